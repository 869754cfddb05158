//! Which lines pass, and how those that do not are told.

use std::fs;

use super::*;

fn told(content: &str) -> Vec<(String, String)> {
    told_with(content, &LlmPipelineInput::default())
}

fn told_with(content: &str, defaults: &LlmPipelineInput) -> Vec<(String, String)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    let mut problems = Problems::new();
    check(file.path(), defaults, &mut problems).unwrap();
    problems
        .into_vec()
        .into_iter()
        .map(|problem| (problem.path, problem.message))
        .collect()
}

fn paths(content: &str) -> Vec<String> {
    told(content).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn each_bad_line_is_named() {
    let content =
        "{\"id\":\"a\",\"text\":\"x\"}\n\n{\"txt\":\"x\"}\r\n{\"parameters\":{\"topP\":\"high\"}}\n[]";
    assert_eq!(
        paths(content),
        ["line 3.txt", "line 4.parameters.topP", "line 5.$"]
    );
}

#[test]
fn a_mistake_says_the_line_of_the_file_and_not_of_the_parser() {
    let found = told("{\"text\":\"x\"}\n{oops\n");
    assert_eq!(found[0].0, "line 2.$");
    assert!(found[0].1.contains(", line 2, column 2): a name"), "{found:?}");
}

#[test]
fn two_lines_of_one_id_are_both_named() {
    let content = r#"{"id":"a","text":"x"}

{"id":"b","text":"x"}
{"id":"a","text":"x"}
{"id":"a","text":"x"}
"#;
    let found = told(content);
    assert_eq!(found.len(), 2, "{found:?}");
    for (line, (path, message)) in [4, 5].into_iter().zip(found) {
        assert_eq!(path, format!("line {line}.id"));
        assert!(
            message.starts_with("`a` is the id of line 1 already"),
            "{message}"
        );
    }
}

#[test]
fn an_id_may_be_the_number_by_which_another_item_goes() {
    let found = told("{\"id\":\"2\",\"text\":\"x\"}\n\n{\"text\":\"x\"}\n");
    assert_eq!(found[0].0, "line 3.id");
    assert!(
        found[0].1.contains("own number, 2, is the id of line 1"),
        "{found:?}"
    );
    assert!(told("{\"text\":\"x\"}\n{\"text\":\"x\"}\n{\"id\":\"1a\",\"text\":\"x\"}\n").is_empty());
}

#[test]
fn a_schema_that_cannot_be_used_is_told_with_its_line() {
    let schema = |kind: &str| {
        let schema = serde_json::json!({"properties": {"n": {"type": kind}}});
        serde_json::json!({"text": "x", "output": {"json": {"schema": schema}}}).to_string()
    };
    let content = [schema("integer"), schema("intger"), schema("intger")].join("\n");
    let found = told(&content);
    let places: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(places, ["line 2.output.json.schema", "line 3.output.json.schema"]);
    assert!(found[0].1.contains("/properties/n/type"), "{found:?}");
}

#[test]
fn values_that_the_batch_would_refuse_are_told_with_their_line() {
    let long = "x".repeat(MOST_ID_BYTES + 1);
    for (line, path, words) in [
        (r#"{"text":" "}"#, "text", "is empty"),
        (r#"{"id":"a"}"#, "text", "is missing"),
        (r#"{"content":{}}"#, "content.text", "is missing"),
        (
            r#"{"content":{"blob":{"uri":"http://a"}}}"#,
            "content.blob.uri",
            "must begin",
        ),
        (
            r#"{"text":"x","content":{"text":"y"}}"#,
            "text",
            "give one of them",
        ),
        (
            r#"{"text":"x","parameters":{"maxOutputTokens":0}}"#,
            "parameters.maxOutputTokens",
            "must be 1",
        ),
        (r#"{"id":"","text":"x"}"#, "id", "1 to 256 bytes"),
        (
            &format!(r#"{{"id":"{long}","text":"x"}}"#),
            "id",
            "1 to 256 bytes",
        ),
        (
            &format!(r#"{{"text":"{}"}}"#, "x".repeat(MOST_LINE_BYTES)),
            "$",
            "content.blob",
        ),
    ] {
        let found = told(&format!("{{\"text\":\"x\"}}\n{line}\n"));
        let place = found.first().map(|(path, _)| path.as_str());
        assert_eq!(place, Some(format!("line 2.{path}").as_str()), "{path}: {words}");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].1.contains(words), "{found:?}");
    }
}

#[test]
fn text_that_the_batch_stages_passes() {
    let large = serde_json::json!({"text": "x".repeat(INLINE_LIMIT_BYTES + 1)}).to_string();
    assert!(told(&large).is_empty());
}

#[test]
fn a_line_is_judged_with_the_defaults() {
    let defaults = LlmPipelineInput {
        placement: Some(workflow_types::proto::Placement::AiWorker.into()),
        ..LlmPipelineInput::default()
    };
    let line = r#"{"content":{"blob":{"uri":"blob:a"}}}"#;
    assert!(told(line).is_empty());
    assert_eq!(told_with(line, &defaults)[0].0, "line 1.placement");
}

#[test]
fn a_file_of_something_else_does_not_fill_the_screen() {
    let found = told(&"not json\n".repeat(100));
    assert_eq!(found.len(), MOST_BAD_LINES + 1);
    let (path, message) = &found[MOST_BAD_LINES];
    assert_eq!(path, "lines");
    assert!(message.starts_with("100 lines cannot be used"), "{message}");
}

#[test]
fn a_file_without_lines_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "\n \n").unwrap();
    assert!(check(file.path(), &LlmPipelineInput::default(), &mut Problems::new()).is_err());
}
