//! A run that is not done in the time it was granted ends itself, in the middle of a call too.

use std::time::Duration;

use chaos_provider::{Options, Outcome, Provider, Reply, Rule, Script};
use serde_json::json;
use tokio::time::timeout;

use crate::stack::{SCRIPTED, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_past_its_deadline_removes_what_it_staged_and_fails_with_its_own_code() {
    let script = Script::new([Rule::always(Reply::text("never").behind("never"))]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::scripted(&provider);
    let input = json!({
        "model": SCRIPTED,
        "content": {"text": "Some words."},
        "placement": "PLACEMENT_DATA_WORKER",
        "output": {"store": true},
        "deadlineSeconds": 20
    });
    let input = ["--input", &input.to_string()];
    stack.start_raw("LlmPipelineWorkflow", "late", &input).await;
    let asked = timeout(Duration::from_secs(15), provider.wait_for(1)).await;
    assert_eq!(asked.expect("the model is asked in time").len(), 1);
    assert_eq!(stack.blobs("late").len(), 1, "the chunk that the model works on");

    let said = stack.ctl(&["result", "late", "--output", "json"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.error()["code"], "DeadlineExceeded", "{said:?}");
    let described = stack.ctl_json(&["describe", "late"]).await;
    assert_eq!(
        (&described["status"], &described["stage"]),
        (&json!("failed"), &json!("failed"))
    );
    assert_eq!(stack.blobs("late"), [""; 0]);
    let calls = provider.wait_ended(1).await;
    assert_eq!(calls.len(), 1, "a call out of time is not tried again");
    assert_eq!(calls[0].ending.as_ref().unwrap().outcome, Outcome::ClientLeft);
}
