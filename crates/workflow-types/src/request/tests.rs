//! What is taken, and what every mistake says.

use super::*;
use crate::wire;

fn parse(json: &str) -> Result<PipelineRequest, Problems> {
    PipelineRequest::parse(wire::parse_json_strictly(json.as_bytes())?)
}

fn paths(json: &str) -> Vec<String> {
    parse(json)
        .unwrap_err()
        .into_vec()
        .into_iter()
        .map(|problem| problem.path)
        .collect()
}

#[test]
fn a_text_alone_is_a_request() {
    let request = parse(r#"{"content":{"text":"Some words."}}"#).unwrap();
    assert_eq!(request.model.to_string(), DEFAULT_MODEL);
    assert_eq!(request.parameters.max_output_tokens, 256);
    assert_eq!(request.placement, Placement::Auto);
    assert_eq!(request.deadline, Duration::from_hours(1));
    assert!(request.preprocessing.normalize);
}

#[test]
fn every_mistake_is_reported_at_once_by_its_path() {
    let json = r#"{
        "content": {"text": "  "},
        "model": "gpt",
        "parameters": {"maxOutputTokens": 0, "temperature": 3, "topP": 0, "seed": -1, "stop": [""]},
        "output": {"json": {"maxRepairs": 2}},
        "preprocessing": {"chunkTokens": 1, "maxConcurrentChunks": 100},
        "placement": "PLACEMENT_AUTO",
        "tenant": "a b",
        "deadlineSeconds": 0
    }"#;
    assert_eq!(
        paths(json),
        [
            "content.text",
            "model",
            "parameters.maxOutputTokens",
            "parameters.temperature",
            "parameters.topP",
            "parameters.seed",
            "parameters.stop[0]",
            "output.json.schema",
            "output.json.maxRepairs",
            "preprocessing.chunkTokens",
            "preprocessing.maxConcurrentChunks",
            "tenant",
            "deadlineSeconds",
        ]
    );
}

#[test]
fn a_reference_has_a_scheme_a_clean_path_and_a_real_hash() {
    assert!(parse(r#"{"content":{"blob":{"uri":"blob:inbox/a.txt"}}}"#).is_ok());
    assert!(parse(r#"{"content":{"blob":{"uri":"file:///tmp/a.txt"}}}"#).is_ok());
    for uri in [
        "s3://x/y",
        "blob:",
        "blob:a/../b",
        "file://etc/passwd",
        "file:///a/./b",
    ] {
        let json = format!(r#"{{"content":{{"blob":{{"uri":"{uri}","sha256":"A"}}}}}}"#);
        assert_eq!(paths(&json), ["content.blob.uri", "content.blob.sha256"], "{uri}");
    }
}

#[test]
fn content_by_reference_cannot_be_forced_onto_the_ai_worker() {
    let json = r#"{"content":{"blob":{"uri":"blob:a"}},"placement":"PLACEMENT_AI_WORKER"}"#;
    assert_eq!(paths(json), ["placement"]);
}

#[test]
fn text_above_the_inline_limit_is_refused_with_the_way_out() {
    let text = "x".repeat(INLINE_LIMIT_BYTES + 1);
    let problems = parse(&format!(r#"{{"content":{{"text":"{text}"}}}}"#)).unwrap_err();
    assert!(problems.to_string().contains("content.blob"), "{problems}");
}

#[test]
fn a_request_survives_being_sent_on() {
    let json = r#"{"content":{"text":"a"},"output":{"json":{"schema":{"type":"object"},"maxRepairs":0}},
        "parameters":{"seed":7,"stop":["END"]}}"#;
    let request = parse(json).unwrap();
    assert_eq!(Output::parse(request.output.clone().into()), Ok(request.output));
    assert_eq!(
        Parameters::parse(request.parameters.clone().into()),
        Ok(request.parameters)
    );
}
