//! What is refused: it can be found as such, and costs nothing.

use std::time::Duration;

use chaos_provider::{Options, Provider};
use serde_json::json;
use testkit::within;

use crate::stack::{SCRIPTED, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_input_cannot_be_used_is_found_by_its_pipeline_and_as_failed() {
    let stack = Stack::local();
    let runs = [
        ("LlmPipelineWorkflow", "refused-one", "llm"),
        ("LlmBatchWorkflow", "refused-file", "llm-batch"),
    ];
    for (workflow_type, id, pipeline) in runs {
        stack.start_raw(workflow_type, id, &["--input", "{}"]).await;
        let said = stack.ctl(&["result", id, "--output", "json"]).await;
        assert_eq!(said.complaint().0, "InvalidInput", "{said:?}");
        let described = stack.ctl_json(&["describe", id]).await;
        assert_eq!(
            (&described["pipeline"], &described["stage"]),
            (&json!(pipeline), &json!("failed")),
            "{described}"
        );
        // The server lists a run a moment after it has ended.
        within(Duration::from_secs(20), "the run is listed", async || {
            let listed = stack.ctl_json(&["list", "--status", "failed"]).await;
            let mut listed = listed.as_array().unwrap().iter();
            Ok(listed.any(|run| run["id"] == id && run["pipeline"] == pipeline && run["stage"] == "failed"))
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_one_id_twice_is_refused_before_anything_is_asked() {
    let provider = Provider::start(Options::default()).await.unwrap();
    let stack = Stack::scripted(&provider);
    let lines: Vec<String> = (0..7)
        .map(|number| json!({"id": format!("item-{}", number % 6), "text": "Words."}).to_string())
        .collect();
    let file = stack.write("items.jsonl", &lines.join("\n"));
    // Not by `pipelinectl`, which looks itself. Pages are shorter than the distance between the two lines, so that no
    // page holds both.
    let items = json!({"uri": format!("file://{file}")});
    let input = json!({"items": items, "pageItems": 2, "defaults": {"model": SCRIPTED}}).to_string();
    stack
        .start_raw("LlmBatchWorkflow", "twice", &["--input", &input])
        .await;
    let said = stack.ctl(&["result", "twice", "--output", "json"]).await;
    let error = said.error();
    assert_eq!(error["code"], "InvalidInput", "{said:?}");
    assert_eq!(error["problems"][0]["path"], "items", "{error}");
    let message = error["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("lines 1 and 7"), "{error}");
    assert_eq!(provider.requests().len(), 0);
    let activities = stack.activities("twice").await;
    let spent = ["buildManifest", "generateText"];
    assert!(
        !activities
            .iter()
            .any(|activity| spent.contains(&activity.as_str())),
        "{activities:?}"
    );
}
