//! Payloads that nobody's types have checked, sent by Temporal's own command line: a run fails and says where, or a
//! signal is put on record; nothing hangs.

use chaos_provider::{Options, Provider, Reply, Rule, Script};
use serde_json::{Value, json};

use crate::stack::{SCRIPTED, Stack};

const PIPELINE: &str = "LlmPipelineWorkflow";
const BATCH: &str = "LlmBatchWorkflow";

/// Workflow type, payloads, and the paths of what is wrong with them.
const CASES: &[(&str, &[&str], &[&str])] = &[
    (PIPELINE, &[], &["content.text"]),
    (PIPELINE, &["--input", "null"], &["content.text"]),
    (PIPELINE, &["--input", "\"text\""], &["$"]),
    (PIPELINE, &["--input", "[1]"], &["$"]),
    (PIPELINE, &["--input", "{}", "--input", "{}"], &["$"]),
    (
        PIPELINE,
        &["--input", "{oops", "--input-meta", "encoding=binary/plain"],
        &["$"],
    ),
    (
        PIPELINE,
        &["--input", r#"{"content": {"text": 5}}"#],
        &["content.text"],
    ),
    (
        PIPELINE,
        &[
            "--input",
            r#"{"content": {"text": "a"}, "placement": "PLACEMENT_MARS"}"#,
        ],
        &["placement"],
    ),
    (
        PIPELINE,
        &[
            "--input",
            r#"{"content": {"text": "a"}, "model": "x", "parameters": {"temperature": 9, "maxOutputTokens": 0}}"#,
        ],
        &["model", "parameters.maxOutputTokens", "parameters.temperature"],
    ),
    (BATCH, &[], &["items"]),
    (
        BATCH,
        &["--input", r#"{"items": {"uri": "blob:x"}, "window": "many"}"#],
        &["window"],
    ),
    (
        BATCH,
        &[
            "--input",
            r#"{"items": {"uri": "blob:x"}, "window": 0, "pageItems": 501}"#,
        ],
        &["pageItems", "window"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_payloads_fail_the_run_with_the_path_of_every_problem() {
    let stack = Stack::local();
    for (number, (workflow_type, payloads, paths)) in CASES.iter().enumerate() {
        let id = format!("bad-{number}");
        stack.start_raw(workflow_type, &id, payloads).await;
        let said = stack
            .ctl(&["result", &id, "--output", "json", "--wait-timeout", "20s"])
            .await;
        assert_eq!(said.code, Some(1), "{payloads:?}: {said:?}");
        let (code, mut found) = said.complaint();
        found.sort();
        assert_eq!(code, "InvalidInput", "{payloads:?}");
        assert_eq!(found, *paths, "{payloads:?}");
        assert_eq!(stack.ctl_json(&["describe", &id]).await["status"], "failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_cannot_be_used_is_put_on_record_and_the_run_goes_on() {
    let script = Script::new([Rule::always(Reply::text("done").behind("answer"))]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::scripted(&provider);
    let input = json!({"model": SCRIPTED, "content": {"text": "a"}}).to_string();
    stack.start_raw(PIPELINE, "signalled", &["--input", &input]).await;
    assert_eq!(provider.wait_for(1).await.len(), 1);
    let garbage: &[&[&str]] = &[
        &["--input", "5"],
        &["--input", r#"{"reason": {"a": 1}}"#],
        &["--input", "{}", "--input", "{}"],
    ];
    for payloads in garbage {
        let signal = [
            "workflow",
            "signal",
            "--workflow-id",
            "signalled",
            "--name",
            "cancel",
        ];
        stack.temporal(&[&signal[..], payloads].concat()).await;
    }
    let status = stack.ctl_json(&["status", "signalled"]).await["status"].clone();
    let rejected = status["rejectedSignals"].as_array().unwrap();
    let paths: Vec<&Value> = rejected
        .iter()
        .map(|signal| &signal["problems"][0]["path"])
        .collect();
    assert_eq!(paths, ["$", "reason", "$"], "{status}");
    assert!(rejected.iter().all(|signal| signal["signal"] == "cancel"));
    assert_eq!(status["cancelReason"], Value::Null);
    provider.open_gate("answer");
    let output = stack.ctl_json(&["result", "signalled"]).await;
    assert_eq!(output["text"], "done");
    let ended = provider.wait_ended(1).await;
    assert_eq!(ended.len(), 1, "the run was not disturbed: {ended:?}");
}
