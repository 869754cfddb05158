//! What a first user does, with the model that set-up fetched.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stack::Stack;

const TEXT: &str = "The bridge was closed after the storm. Engineers inspected it for two days.";

#[tokio::test(flavor = "multi_thread")]
async fn a_text_comes_back_summarised_in_one_activity_and_the_run_can_be_found_and_asked() {
    let stack = Stack::local();
    let ask = [
        "--instruction",
        "Summarize in one sentence.",
        "--max-output-tokens",
        "32",
    ];
    let run = ["llm", "run", TEXT, "--id", "summary", "--tenant", "acme"];
    let output = stack.ctl_json(&[&run[..], &ask].concat()).await;
    assert_eq!(output["outcome"], "OUTCOME_COMPLETED", "{output}");
    assert_eq!(output["placement"], "PLACEMENT_AI_WORKER");
    let served = json!({"provider": "local", "model": "smollm2-135m-instruct"});
    assert_eq!(output["servedBy"], served);
    assert_eq!(output["chunks"], 1);
    assert_eq!(output["language"], "eng");
    assert!(output["text"].as_str().unwrap().contains("bridge"), "{output}");
    assert_eq!(output["usage"]["calls"], 1);
    assert!(output["usage"]["inputTokens"].as_i64().unwrap() > output["contentTokens"].as_i64().unwrap());
    assert!(output["usage"]["outputTokens"].as_i64().unwrap() > 0);
    let times: Vec<(&str, f64)> = output["steps"].as_array().unwrap().iter().map(timing).collect();
    let names: Vec<&str> = times.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        ["read", "preprocess", "inference", "postprocess", "publish"]
    );
    assert!(times.iter().all(|(_, time)| *time > 0.0), "{times:?}");

    assert_eq!(stack.activities("summary").await, ["generateText"]);
    assert_eq!(stack.blobs("summary"), [""; 0], "a small request stages nothing");
    let after = stack.ctl_json(&["status", "summary"]).await;
    assert_eq!(after["status"]["stage"], "STAGE_DONE");
    assert_eq!(after["usage"], output["usage"]);
    let described = stack.ctl_json(&["describe", "summary"]).await;
    for (key, value) in [
        ("pipeline", "llm"),
        ("tenant", "acme"),
        ("model", "local/smollm2-135m-instruct"),
        ("stage", "done"),
        ("status", "completed"),
    ] {
        assert_eq!(described[key], value, "{key}");
    }
    let query = "AiPipeline = 'llm' AND AiTenant = 'acme' AND AiStage = 'done'";
    let counted = stack.temporal(&["workflow", "count", "--query", query]).await;
    assert!(counted.out.contains("Total: 1"), "{counted:?}");
}

fn timing(step: &Value) -> (&str, f64) {
    (
        step["step"].as_str().unwrap(),
        step["milliseconds"].as_f64().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn json_by_schema_matches_its_schema() {
    let stack = Stack::local();
    let schema = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 40},
            "mood": {"enum": ["good", "bad"]}
        },
        "required": ["title", "mood"],
        "additionalProperties": false
    });
    let file = stack.write("answer.schema.json", &schema.to_string());
    let ask = [
        "--instruction",
        "Give a title and the mood as JSON.",
        "--max-output-tokens",
        "64",
    ];
    let run = ["llm", "run", TEXT, "--schema", &file, "--strict"];
    let output = stack.ctl_json(&[&run[..], &ask].concat()).await;
    assert_eq!(output["outcome"], "OUTCOME_COMPLETED", "{output}");
    let answer = output["json"].as_object().unwrap();
    let keys: BTreeSet<&str> = answer.keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["mood", "title"]), "{output}");
    assert!(
        answer["title"].as_str().unwrap().chars().count() <= 40,
        "{output}"
    );
    assert!(
        ["good", "bad"].contains(&answer["mood"].as_str().unwrap()),
        "{output}"
    );
    assert_eq!(
        output["repairs"],
        Value::Null,
        "the model is held to the schema while it writes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_beyond_the_chunk_limit_is_cut_by_the_model_s_own_tokens_and_joined() {
    let stack = Stack::local();
    let days =
        (1..=12).map(|day| format!("On day {day} the engineers looked at pillar {day} and found nothing."));
    let text = days.collect::<Vec<_>>().join("\n\n");
    let file = stack.write("report.txt", &text);
    let ask = [
        "--instruction",
        "Summarize.",
        "--max-output-tokens",
        "12",
        "--chunk-tokens",
        "64",
    ];
    let run = [
        "llm",
        "run",
        "--file",
        &file,
        "--id",
        "cut",
        "--placement",
        "data-worker",
    ];
    let output = stack.ctl_json(&[&run[..], &ask].concat()).await;
    let chunks = output["chunks"].as_i64().unwrap();
    let tokens = output["contentTokens"].as_i64().unwrap();
    assert!(chunks >= 3 && (tokens + 63) / 64 <= chunks, "{output}");
    assert_eq!(
        output["usage"]["calls"],
        chunks + 1,
        "one call a chunk and one that joins: {output}"
    );
    assert!(!output["text"].as_str().unwrap().is_empty());
    assert_eq!(output["placement"], "PLACEMENT_DATA_WORKER");
    assert_eq!(stack.blobs("cut"), [""; 0], "chunks and partial answers are gone");
}
