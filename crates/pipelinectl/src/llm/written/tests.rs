//! Each mistake in the words in which a person is told of it.

use std::path::Path;

use workflow_types::proto::{LlmBatchItem, LlmPipelineInput};

use super::*;

fn told<T: DeserializeOwned + Default>(json: &str, origin: &Origin) -> (String, String) {
    let mut problems = message::<T>(json.as_bytes(), origin).err().unwrap().into_vec();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = problems.remove(0);
    (problem.path, problem.message)
}

fn file() -> Origin {
    Origin::file(Path::new("request.json"))
}

#[test]
fn a_mistake_in_the_syntax_has_its_place_and_its_remedy() {
    let cases = [
        ("{\n \"system\": text}", "line 2, column 13", "double quotes"),
        ("{\"system\": }", "line 1, column 12", "a value is expected here"),
        ("{'system': 1}", "line 1, column 2", "a name in double quotes"),
        ("{\"system\": \"a\",}", "line 1, column 16", "take it out"),
        ("{} {}", "line 1, column 4", "take out what follows"),
        ("{\"system\" 1}", "line 1, column 11", "a colon"),
        (
            "{\"a\": 1 \"b\": 2}",
            "line 1, column 9",
            "a comma or a closing brace",
        ),
        ("[1 2]", "line 1, column 4", "a comma or a closing bracket"),
        (
            "{\"system\": \"a",
            "line 1, column 13",
            "close it with a double quote",
        ),
        ("", "line 1, column 0", "a value is expected"),
        ("[1,\n", "line 2, column 0", "is expected"),
        ("{\"a\": 1", "line 1, column 7", "close it with a brace"),
        (
            "{\"system\": \"C:\\dir\"}",
            "line 1, column 16",
            "two backslashes",
        ),
        ("{\"a\": 01}", "line 1, column 8", "numbers are written as"),
        ("{\"system\": \"a\nb\"}", "line 2, column 0", "write \\n"),
    ];
    for (json, place, remedy) in cases {
        let (path, message) = told::<LlmPipelineInput>(json, &file());
        assert_eq!(path, "$", "{json}");
        assert!(
            message.starts_with(&format!("is no JSON (request.json, {place}): ")) && message.contains(remedy),
            "{json}: {message}"
        );
    }
}

#[test]
fn a_value_of_another_shape_has_its_path_and_its_place_in_the_file() {
    let line = Origin::file(Path::new("items.jsonl")).line(7);
    let cases = [
        (r#"{"text": 5}"#, "text", "expected a string"),
        (
            r#"{"parameters": {"stop": "END"}}"#,
            "parameters.stop",
            "expected a list",
        ),
        (
            r#"{"parameters": {"topP": "high"}}"#,
            "parameters.topP",
            "is no number that this field takes",
        ),
        (
            r#"{"parameters": {"seed": 1.5}}"#,
            "parameters.seed",
            "is no number that this field takes",
        ),
        (
            r#"{"parameters": {"seed": true}}"#,
            "parameters.seed",
            "is no number that this field takes",
        ),
    ];
    for (json, place, words) in cases {
        let (path, message) = told::<LlmBatchItem>(json, &line);
        assert_eq!(path, place, "{message}");
        assert!(
            message.contains(words) && message.ends_with("; correct it"),
            "{message}"
        );
        assert!(message.contains("(items.jsonl, line 7, column "), "{message}");
    }
}

#[test]
fn null_is_taken_where_a_field_can_be_unset_and_told_where_it_cannot() {
    let item: LlmBatchItem = message(
        br#"{"id": null, "parameters": {"seed": null}, "content": null}"#,
        &file(),
    )
    .unwrap();
    assert_eq!(item.id, None);
    for (json, place) in [
        (r#"{"parameters": {"stop": null}}"#, "parameters.stop"),
        (r#"{"content": {"blob": {"uri": null}}}"#, "content.blob.uri"),
    ] {
        let (path, message) = told::<LlmBatchItem>(json, &file());
        assert_eq!(path, place, "{message}");
        assert!(
            message.contains("leave the field out (request.json, line 1, column "),
            "{message}"
        );
    }
}

#[test]
fn a_schema_keeps_its_nulls() {
    let schema = br#"{"output": {"json": {"schema": {"enum": [null, 1]}}}}"#;
    let item: LlmBatchItem = message(schema, &file()).unwrap();
    let json = serde_json::to_value(item).unwrap();
    assert!(json["output"]["json"]["schema"]["enum"][0].is_null(), "{json}");
}

#[test]
fn a_misspelt_field_is_told_by_its_path() {
    let (path, message) = told::<LlmBatchItem>(r#"{"txt": "a"}"#, &file());
    assert_eq!(
        (path.as_str(), message.as_str()),
        ("txt", "is not a field of this message; check its spelling")
    );
}

#[test]
fn text_in_another_encoding_is_told_where_it_begins() {
    let problems = message::<LlmBatchItem>(b"{\n\"text\": \"\xe9\"}", &file())
        .unwrap_err()
        .into_vec();
    assert_eq!(
        problems[0].message,
        "is no UTF-8 text (request.json, line 2, column 10); save the file as UTF-8"
    );
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let item: LlmBatchItem = message(b"\xEF\xBB\xBF{\"id\": \"a\"}", &file()).unwrap();
    assert_eq!(item.id.as_deref(), Some("a"));
}

#[test]
fn a_schema_is_an_object() {
    assert_eq!(object(br#"{"type": "object"}"#, &file()).unwrap().len(), 1);
    for json in ["[]", "null", "\"object\""] {
        let message = object(json.as_bytes(), &file()).unwrap_err();
        assert!(
            message.starts_with("request.json holds no JSON object; write one"),
            "{message}"
        );
    }
    let message = object(b"{type: 1}", &Origin::file(Path::new("-"))).unwrap_err();
    assert_eq!(
        message,
        "is no JSON (standard input, line 1, column 2): a name in double quotes is expected here"
    );
}
