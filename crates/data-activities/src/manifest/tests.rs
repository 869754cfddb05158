//! Pages of files, whatever their size, and what is staged for their items.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use workflow_types::{failure::FailureCode, proto::LineRef};

use super::*;
use crate::fixture::{Bench, PREFIX, cancelled, input, paths, problems, scoped};

async fn build(bench: &Bench, file: &BlobRef, adjust: Value) -> Result<BuildManifestOutput, Error> {
    let mut object = json!({"file": file, "maxItems": 100, "stagePrefix": PREFIX});
    object
        .as_object_mut()
        .unwrap()
        .extend(adjust.as_object().unwrap().clone());
    let input = input(&object);
    scoped(async |scope| run(&bench.services, input, &scope).await).await
}

fn line(item: &ManifestItem) -> &LineRef {
    match &item.route {
        Some(Route::Line(line)) => line,
        other => panic!("not by line: {other:?}"),
    }
}

fn child(item: &ManifestItem) -> &LlmPipelineInput {
    match &item.route {
        Some(Route::Child(child)) => child,
        other => panic!("not by child: {other:?}"),
    }
}

fn child_blob(item: &ManifestItem) -> &BlobRef {
    match child(item)
        .content
        .as_ref()
        .and_then(|content| content.source.as_ref())
    {
        Some(Source::Blob(blob)) => blob,
        other => panic!("not by reference: {other:?}"),
    }
}

#[tokio::test]
async fn small_items_go_by_line_and_share_their_staged_defaults() {
    let bench = Bench::new();
    let file = bench.upload(
        "items.jsonl",
        "\u{FEFF}{\"id\":\"a\",\"text\":\"one\"}\r\n\n{\"text\":\"zwölf\"}\n",
    );
    let output = build(
        &bench,
        &file,
        json!({"defaults": {"instruction": "Count."}, "firstIndex": 4}),
    )
    .await
    .unwrap();
    assert!(output.end);
    let ids: Vec<_> = output
        .items
        .iter()
        .map(|item| (item.index, item.id.as_str()))
        .collect();
    assert_eq!(ids, [(4, "a"), (5, "6")]);
    for (item, expected) in output
        .items
        .iter()
        .zip([r#"{"id":"a","text":"one"}"#, r#"{"text":"zwölf"}"#])
    {
        let LineRef {
            file,
            offset_bytes,
            length_bytes,
        } = line(item).clone();
        let (offset, length) = (offset_bytes.unsigned_abs(), length_bytes.unsigned_abs().into());
        let bytes = bench
            .services
            .store
            .get_range(&file.unwrap(), offset, length)
            .await
            .unwrap();
        assert_eq!(bytes, expected.as_bytes());
    }
    let defaults = output.defaults.unwrap();
    assert_eq!(defaults.uri, format!("blob:{PREFIX}staged/defaults.json"));
    assert_eq!(bench.read(&defaults).await, r#"{"instruction":"Count."}"#);
}

#[tokio::test]
async fn every_page_stages_the_same_defaults_though_a_schema_has_no_order() {
    let bench = Bench::new();
    let file = bench.upload("items.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}");
    let fields: serde_json::Map<_, _> = (0..50).map(|key| (format!("key-{key}"), json!(key))).collect();
    let adjust = json!({"maxItems": 1, "defaults": {"output": {"json": {"schema": fields}}}});
    let first = build(&bench, &file, adjust.clone()).await.unwrap();
    let mut second = adjust;
    second["offsetBytes"] = json!(first.next_offset_bytes.to_string());
    let second = build(&bench, &file, second).await.unwrap();
    assert_eq!(first.defaults, second.defaults);
    assert!(first.defaults.is_some());
}

#[tokio::test]
async fn large_text_is_staged_and_becomes_a_child_that_stores_its_answer() {
    let bench = Bench::new();
    let (large, larger) = ("l".repeat(8 * 1024 + 1), "ü".repeat(100_000));
    let reference = json!({"content": {"blob": {"uri": "blob:inbox/doc.txt"}}, "output": {"text": {}}});
    let lines = [
        json!({"text": large}),
        json!({"content": {"text": larger}}),
        reference,
    ];
    let file = bench.upload("items.jsonl", lines.map(|line| line.to_string()).join("\n"));
    let defaults = json!({"defaults": {"instruction": "Sum up.", "tenant": "acme"}});
    let output = build(&bench, &file, defaults).await.unwrap();
    assert_eq!(output.defaults, None, "no item needs them");
    for (item, text) in output.items.iter().zip([&large, &larger]) {
        let blob = child_blob(item);
        assert_eq!(blob.uri, format!("blob:{PREFIX}staged/items/{}.txt", item.index));
        assert_eq!(
            (blob.sha256.is_some(), blob.size_bytes),
            (true, i64::try_from(text.len()).ok())
        );
        assert_eq!(&bench.read(blob).await, text);
    }
    assert_eq!(child_blob(&output.items[2]).uri, "blob:inbox/doc.txt");
    for item in &output.items {
        assert_eq!(child(item).output.as_ref().unwrap().store, Some(true));
        assert_eq!(child(item).tenant.as_deref(), Some("acme"));
    }
}

#[tokio::test]
async fn a_bad_line_is_an_invalid_item_and_the_others_go_on() {
    let bench = Bench::new();
    let mut file = b"{\"text\":\"a\"}\n{\"txt\":\"a\",\"paramters\":{}}\nnot json\ncaf\xe9\n".to_vec();
    file.extend(b"x".repeat(MAX_LINE_BYTES + 1));
    file.extend(b"\n{\"text\":\"b\"}");
    let file = bench.upload("items.jsonl", file);
    let output = build(&bench, &file, json!({})).await.unwrap();
    let routes: Vec<_> = output
        .items
        .iter()
        .map(|item| match item.route.as_ref().unwrap() {
            Route::Line(_) => "line".to_owned(),
            Route::Child(_) => "child".to_owned(),
            Route::Invalid(details) => {
                assert_eq!(details.code, "InvalidInput");
                paths(details).join(" ")
            }
        })
        .collect();
    assert_eq!(routes, ["line", "txt paramters", "$", "$", "$", "line"]);
    assert_eq!(output.items[5].id, "6");
    assert!((bench.counted("aiw_data_items_total") - 6.0).abs() < 0.5);
}

#[tokio::test]
async fn a_page_ends_before_its_result_is_too_large() {
    let bench = Bench::new();
    let schema: serde_json::Map<_, _> = (0..1000)
        .map(|key| (format!("key-{key}"), json!({"type": "string"})))
        .collect();
    let defaults =
        json!({"defaults": {"output": {"json": {"schema": {"type": "object", "properties": schema}}}}});
    let reference = json!({"content": {"blob": {"uri": "blob:inbox/doc.txt"}}}).to_string();
    let file = bench.upload("items.jsonl", vec![reference; 50].join("\n"));
    let mut next = json!({});
    let mut pages = Vec::new();
    loop {
        let adjust = json!({"defaults": defaults["defaults"], "offsetBytes": next, "firstIndex": pages.iter().sum::<usize>()});
        let adjust = if pages.is_empty() {
            defaults.clone()
        } else {
            adjust
        };
        let output = build(&bench, &file, adjust).await.unwrap();
        assert!(serde_json::to_vec(&output).unwrap().len() < RESULT_BYTES + 1024);
        assert_eq!(
            output.items[0].index.unsigned_abs() as usize,
            pages.iter().sum::<usize>()
        );
        pages.push(output.items.len());
        if output.end {
            break;
        }
        next = json!(output.next_offset_bytes.to_string());
    }
    assert_eq!(pages.iter().sum::<usize>(), 50);
    assert!(pages.len() > 2 && pages[0] > 1, "{pages:?}");
}

#[tokio::test]
async fn a_page_holds_no_more_text_than_memory_allows() {
    let bench = Bench::new();
    let item = json!({"text": "x".repeat(1_000_000)}).to_string();
    let file = bench.upload("items.jsonl", vec![item; 20].join("\n"));
    let output = build(&bench, &file, json!({})).await.unwrap();
    assert_eq!((output.items.len(), output.end), (17, false));
}

#[tokio::test]
async fn beyond_the_end_there_is_an_empty_last_page() {
    let bench = Bench::new();
    let file = bench.upload("items.jsonl", "{\"text\":\"a\"}\n\n");
    let output = build(&bench, &file, json!({"offsetBytes": "13"})).await.unwrap();
    assert_eq!(
        (output.items.len(), output.end, output.next_offset_bytes),
        (0, true, 14)
    );
}

#[tokio::test]
async fn a_page_that_makes_no_sense_is_refused_with_all_its_problems() {
    let bench = Bench::new();
    let file = BlobRef {
        uri: "s3://b".into(),
        ..BlobRef::default()
    };
    let wrong = json!({"offsetBytes": "-1", "firstIndex": -1, "maxItems": 501});
    let found = problems(build(&bench, &file, wrong).await.unwrap_err());
    let found: Vec<_> = found.into_iter().map(|problem| problem.path).collect();
    assert_eq!(found, ["items.uri", "offsetBytes", "firstIndex", "maxItems"]);

    let file = bench.upload("items.jsonl", "{\"text\":\"a\"}");
    let error = build(&bench, &file, json!({"stagePrefix": "runs/"}))
        .await
        .unwrap_err();
    assert_eq!(problems(error)[0].path, "stagePrefix");
    let changed = BlobRef {
        size_bytes: Some(1),
        ..file
    };
    let error = build(&bench, &changed, json!({})).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        (FailureCode::InvalidInput, false),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_cancelled_page_stops() {
    let bench = Bench::new();
    let file = bench.upload("items.jsonl", "\n".repeat(3_000_000));
    let input = input(&json!({"file": file, "maxItems": 1, "stagePrefix": PREFIX}));
    let error = cancelled(async |scope| run(&bench.services, input, &scope).await).await;
    assert!(matches!(error, Some(Error::Stopped)), "{error:?}");
}

/// Lines of a file as people and programs write them: items, blanks, spaces and rubbish, with either line end.
fn file() -> impl Strategy<Value = String> {
    let content = prop_oneof![
        3 => "[a-zü]{1,12}".prop_map(|word| format!("{{\"text\":\"{word}\"}}")),
        1 => Just(String::new()),
        1 => Just("  ".to_owned()),
        1 => Just("rubbish".to_owned()),
    ];
    let end = prop_oneof![3 => Just("\n"), 1 => Just("\r\n")];
    let lines = prop::collection::vec((content, end), 0..20);
    (lines, any::<bool>(), any::<bool>()).prop_map(|(lines, mark, ended)| {
        let mut text = String::from(if mark { "\u{FEFF}" } else { "" });
        for (line, end) in &lines {
            text.push_str(line);
            text.push_str(end);
        }
        if ended {
            text
        } else {
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn pages_cover_every_line_once_and_in_order_whatever_their_size(text in file(), max_items in 1_usize..8) {
        let bench = Bench::new();
        let blob = bench.upload("items.jsonl", &text);
        let expected: Vec<_> = text
            .trim_start_matches('\u{FEFF}')
            .lines()
            .map(|line| line.trim_end_matches('\r'))
            .filter(|line| !line.trim().is_empty())
            .collect();
        let (mut offset, mut items, mut end) = (0, Vec::new(), false);
        Runtime::new().unwrap().block_on(async {
            while !end {
                let adjust = json!({"offsetBytes": offset.to_string(), "firstIndex": items.len(), "maxItems": max_items});
                let page = build(&bench, &blob, adjust).await.unwrap();
                assert!(page.items.len() == max_items || page.end);
                assert!(!page.items.is_empty() || items.is_empty());
                (offset, end) = (page.next_offset_bytes, page.end);
                items.extend(page.items);
            }
        });
        let indices: Vec<_> = items.iter().map(|item| item.index).collect();
        let all: Vec<_> = (0..).take(expected.len()).collect();
        prop_assert_eq!(indices, all);
        for (item, expected) in items.iter().zip(expected) {
            match item.route.as_ref().unwrap() {
                Route::Line(line) => {
                    let start = usize::try_from(line.offset_bytes).unwrap();
                    let length = usize::try_from(line.length_bytes).unwrap();
                    prop_assert_eq!(&text[start..start + length], expected);
                }
                Route::Invalid(_) => prop_assert_eq!(expected, "rubbish"),
                Route::Child(child) => prop_assert!(false, "{:?}", child),
            }
        }
    }
}
