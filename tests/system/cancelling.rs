//! Stopping a run while a model is at work.

use chaos_provider::{Options, Outcome, Provider, Reply, Rule, Script};
use serde_json::json;

use crate::stack::{SCRIPTED, Stack};

/// Starts one run that waits for its model with a chunk staged, and returns when the model was asked.
async fn stack_with_runs(provider: &Provider, ids: &[&str]) -> Stack {
    let stack = Stack::scripted(provider);
    let input = json!({
        "model": SCRIPTED,
        "content": {"text": "Some words."},
        "placement": "PLACEMENT_DATA_WORKER",
        "output": {"store": true}
    });
    for id in ids {
        let input = ["--input", &input.to_string()];
        stack.start_raw("LlmPipelineWorkflow", id, &input).await;
    }
    assert_eq!(provider.wait_for(ids.len()).await.len(), ids.len());
    for id in ids {
        assert!(!stack.blobs(id).is_empty(), "{id} has staged its chunk");
    }
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_by_signal_or_natively_ends_the_call_and_removes_what_was_staged() {
    let script = Script::new([Rule::always(Reply::text("never").behind("never"))]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = stack_with_runs(&provider, &["by-signal", "natively"]).await;
    stack
        .ctl_json(&["cancel", "by-signal", "--reason", "no longer needed"])
        .await;
    stack
        .ctl_json(&["cancel", "natively", "--native", "--reason", "stop it"])
        .await;
    for (id, reason) in [("by-signal", "no longer needed"), ("natively", "")] {
        let said = stack.ctl(&["result", id, "--output", "json"]).await;
        assert_eq!(said.code, Some(3), "{id}: {said:?}");
        let error = said.error();
        assert_eq!(error["code"], "Cancelled");
        assert!(error["message"].as_str().unwrap().contains(reason), "{error}");
        let described = stack.ctl_json(&["describe", id]).await;
        assert_eq!(described["status"], "canceled", "{id}");
        assert_eq!(described["stage"], "cancelled", "{id}");
        assert_eq!(stack.blobs(id), [""; 0], "{id}");
        assert_eq!(stack.activities(id).await.last().unwrap(), "discardStaged");
    }
    let status = stack.ctl_json(&["status", "by-signal"]).await;
    assert_eq!(status["status"]["cancelReason"], "no longer needed");
    let ended = provider.wait_ended(2).await;
    assert_eq!(ended.len(), 2, "a cancelled call is not tried again");
    for call in ended {
        assert_eq!(call.ending.unwrap().outcome, Outcome::ClientLeft);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_cannot_be_cancelled() {
    let provider = Provider::start(Options::default()).await.unwrap();
    let stack = Stack::scripted(&provider);
    stack
        .ctl_json(&["llm", "run", "Words.", "--model", SCRIPTED, "--id", "ended"])
        .await;
    let said = stack.ctl(&["cancel", "ended", "--output", "json"]).await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert_eq!(said.error()["code"], "AlreadyEnded");
    let missing = stack.ctl(&["cancel", "endde", "--output", "json"]).await;
    assert_eq!(missing.error()["code"], "NotFound");
}
