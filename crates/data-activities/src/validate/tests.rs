//! What is usable, and what the rest is told.

use serde_json::json;
use workflow_types::{failure::FailureCode, proto::content::Source};

use super::*;
use crate::fixture::{Bench, blob, cancelled, inline, input, problems, scoped};

async fn validate(bench: &Bench, content: Content, kind: DataKind) -> Result<ValidateDataOutput, Error> {
    let input = Wire::new(ValidateDataInput {
        content: Some(content),
        kind: kind.into(),
        schema: None,
    });
    scoped(async |scope| run(&bench.services, input, &scope).await).await
}

#[tokio::test]
async fn a_text_comes_back_with_its_size_and_hash() {
    let bench = Bench::new();
    let given = BlobRef {
        media_type: Some("text/plain".into()),
        ..bench.upload("a.txt", "abc")
    };
    let output = validate(&bench, blob(given.clone()), DataKind::Text)
        .await
        .unwrap();
    let Some(Source::Blob(found)) = output.content.unwrap().source else {
        panic!("not a reference")
    };
    assert_eq!((found.uri, found.media_type), (given.uri, given.media_type));
    assert_eq!(found.size_bytes, Some(3));
    assert_eq!(
        found.sha256.unwrap(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(output.steps[0].step, "validate");
    assert!((bench.counted("aiw_data_read_bytes_total") - 3.0).abs() < 0.5);
    assert!((bench.counted("aiw_data_validated_total") - 1.0).abs() < 0.5);

    let output = validate(&bench, inline("abc"), DataKind::Text).await.unwrap();
    assert_eq!(output.content, Some(inline("abc")));
}

#[tokio::test]
async fn what_is_no_text_is_refused_without_another_try() {
    let bench = Bench::with(|options| options.max_text_bytes = 100);
    let cases = [
        blob(bench.upload("nul", b"a\0b")),
        blob(bench.upload("latin", b"caf\xe9")),
        blob(bench.upload("blank", " \n\u{200B}")),
        blob(bench.upload("large", "x".repeat(101))),
        blob(BlobRef {
            uri: "blob:inbox/absent".into(),
            ..BlobRef::default()
        }),
        blob(BlobRef {
            uri: "file:///etc/hostname".into(),
            ..BlobRef::default()
        }),
        blob(BlobRef {
            sha256: Some("0".repeat(64)),
            ..bench.upload("changed", "abc")
        }),
        blob(BlobRef {
            uri: "s3://b/k".into(),
            ..BlobRef::default()
        }),
        inline("\u{200B}"),
        Content::default(),
    ];
    for content in cases {
        let error = validate(&bench, content.clone(), DataKind::Text)
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            (FailureCode::InvalidInput, false),
            "{content:?}: {error:?}"
        );
    }
    let error = validate(&bench, inline("abc"), DataKind::Unspecified)
        .await
        .unwrap_err();
    assert_eq!(problems(error)[0].path, "kind");
}

#[tokio::test]
async fn the_lines_of_a_file_are_counted_and_bad_ones_are_left_to_their_items() {
    let bench = Bench::new();
    let long = "x".repeat(MAX_LINE_BYTES + 1);
    let mut file = format!("\u{FEFF}{{\"text\":\"a\"}}\r\n\n  \n{long}\nnot json\n").into_bytes();
    file.extend(b"caf\xe9\n{}");
    let given = bench.upload("items.jsonl", &file);
    let output = validate(&bench, blob(given), DataKind::Jsonl).await.unwrap();
    assert_eq!(output.lines, 5);
    let Some(Source::Blob(found)) = output.content.unwrap().source else {
        panic!("not a reference")
    };
    assert_eq!(found.size_bytes, i64::try_from(file.len()).ok());
    assert_eq!(found.sha256.map(|hash| hash.len()), Some(64));
    assert_eq!(
        validate(&bench, inline("{}\n{}"), DataKind::Jsonl)
            .await
            .unwrap()
            .lines,
        2
    );
}

#[tokio::test]
async fn a_file_without_a_usable_line_is_refused_with_the_reason() {
    let bench = Bench::new();
    let cases = [
        (bench.upload("empty", ""), "blank lines"),
        (bench.upload("blank", "\n \r\n"), "blank lines"),
        (bench.upload("utf16", "{\0}\0"), "NUL byte at offset 1"),
        (
            bench.upload("latin", b"caf\xe9\n"),
            "line 1: the line is not UTF-8",
        ),
    ];
    for (file, words) in cases {
        let error = validate(&bench, blob(file), DataKind::Jsonl).await.unwrap_err();
        let problems = problems(error);
        assert_eq!(problems[0].path, "items");
        assert!(problems[0].message.contains(words), "{problems:?}");
    }
}

/// Gives what is said of a file of these lines, all at `items`.
async fn complaints(lines: &[&str]) -> Vec<String> {
    let bench = Bench::new();
    let file = bench.upload("items.jsonl", lines.join("\n"));
    let error = validate(&bench, blob(file), DataKind::Jsonl).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        (FailureCode::InvalidInput, false)
    );
    let problems = problems(error).into_iter();
    problems
        .map(|problem| {
            assert_eq!(problem.path, "items");
            problem.message
        })
        .collect()
}

#[tokio::test]
async fn two_lines_with_one_id_are_refused_and_both_named() {
    let found = complaints(&[
        r#"{"id": "a", "text": "one"}"#,
        "",
        r#"{"id": "b", "text": "two"}"#,
        r#"{"text": "three", "id": "a"}"#,
        r#"{"id": "b", "text": "unusable", "temprature": 1}"#,
    ])
    .await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("lines 1 and 4 have the same id"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("lines 3 and 5 have the same id"),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_id_that_is_another_item_s_position_is_refused() {
    let found = complaints(&[r#"{"id": "2", "text": "one"}"#, "", r#"{"text": "two"}"#]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("lines 1 and 3 have the same id"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_file_full_of_one_id_does_not_fill_the_failure() {
    let line = r#"{"id": "a", "text": "one"}"#;
    assert_eq!(complaints(&[line; 100]).await.len(), MOST_CLASHES);
}

#[tokio::test]
async fn a_file_of_many_pieces_is_read_to_its_end_and_its_hash_checked() {
    let bench = Bench::new();
    let file = "{\"text\":\"some words to read\"}\n".repeat(100_000);
    let given = bench.upload("many.jsonl", &file);
    assert_eq!(
        validate(&bench, blob(given.clone()), DataKind::Jsonl)
            .await
            .unwrap()
            .lines,
        100_000
    );
    let wrong = BlobRef {
        sha256: Some("0".repeat(64)),
        ..given
    };
    let error = validate(&bench, blob(wrong), DataKind::Jsonl).await.unwrap_err();
    assert!(matches!(error, Error::Reference { .. }), "{error:?}");
}

#[tokio::test]
async fn a_cancelled_check_stops_reading() {
    let bench = Bench::new();
    bench.upload("many.jsonl", "{}\n".repeat(1_000_000));
    let input =
        input(&json!({"kind": "DATA_KIND_JSONL", "content": {"blob": {"uri": "blob:inbox/many.jsonl"}}}));
    let error = cancelled(async |scope| run(&bench.services, input, &scope).await).await;
    assert!(matches!(error, Some(Error::Stopped)), "{error:?}");
}

async fn hold(
    bench: &Bench,
    content: Content,
    schema: serde_json::Value,
) -> Result<ValidateDataOutput, Error> {
    let input = Wire::new(ValidateDataInput {
        content: Some(content),
        kind: DataKind::Json.into(),
        schema: schema.as_object().map(json::to_struct),
    });
    scoped(async |scope| run(&bench.services, input, &scope).await).await
}

#[tokio::test]
async fn a_value_is_held_against_its_schema_and_what_does_not_match_is_no_failure() {
    let bench = Bench::new();
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let found = hold(&bench, inline(r#"{"n":1}"#), schema.clone()).await.unwrap();
    assert_eq!(
        (found.problems.len(), found.content),
        (0, Some(inline(r#"{"n":1}"#)))
    );
    let place = |output: ValidateDataOutput| output.problems.into_iter().map(|problem| problem.path);
    for (text, path) in [(r#"{"n":"secret"}"#, "/n"), ("{}", ""), ("secret words", "$")] {
        let stored = blob(bench.upload("edit.json", text));
        for content in [inline(text), stored] {
            let found = hold(&bench, content, schema.clone()).await.unwrap();
            assert!(!format!("{:?}", found.problems).contains("secret"), "{text}");
            assert_eq!(place(found).collect::<Vec<_>>(), [path], "{text}");
        }
    }
    assert!((bench.counted("aiw_data_validated_total") - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn a_schema_that_is_none_is_the_caller_s_mistake() {
    let bench = Bench::new();
    for schema in [json!(null), json!({"type": 5})] {
        let error = hold(&bench, inline("{}"), schema).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::InvalidInput);
        assert_eq!(problems(error)[0].path, "schema");
    }
}
