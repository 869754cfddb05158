//! Pages, their joining, and what becomes of an answer.

use serde_json::{Value, json};
use workflow_types::{failure::FailureCode, proto::LlmBatchResult, wire::parse_json_strictly};

use super::*;
use crate::fixture::{Bench, PREFIX, cancelled, input, problems, scoped};

async fn write(bench: &Bench, work: Value) -> Result<BlobRef, Error> {
    let mut object = work;
    object["stagePrefix"] = json!(PREFIX);
    let input = input(&object);
    let output = scoped(async |scope| run(&bench.services, input, &scope).await).await?;
    Ok(output.file.unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_page_holds_a_line_for_every_receipt_in_order() {
    let bench = Bench::new();
    let text = bench.stage("staged/items/0.answer", "größe".as_bytes()).await;
    let object = bench
        .stage("staged/items/1.answer", br#"{"n": 3, "list": [1.5, null]}"#)
        .await;
    let page = json!({"page": {"number": 2, "receipts": [
        {"index": 0, "id": "first", "outcome": "OUTCOME_COMPLETED", "answer": text,
         "usage": {"calls": 1, "inputTokens": 9, "outputTokens": 2}},
        {"index": 1, "id": "second", "outcome": "OUTCOME_COMPLETED", "answer": object, "json": true},
        {"index": 2, "id": "third", "message": "the line can't be used",
         "error": {"code": "InvalidInput", "problems": [{"path": "text", "message": "is empty"}]}},
        {"index": 3, "id": "fourth", "outcome": "OUTCOME_CONTENT_FILTERED"},
    ]}});
    let file = write(&bench, page.clone()).await.unwrap();
    assert_eq!(file.uri, format!("blob:{PREFIX}results/parts/000002.jsonl"));
    let written = bench.read(&file).await;
    assert!(written.ends_with('\n'));
    assert_eq!(
        lines(&written),
        [
            json!({"id": "first", "index": 0, "outcome": "OUTCOME_COMPLETED", "text": "größe",
                   "usage": {"calls": 1, "inputTokens": 9, "outputTokens": 2}}),
            json!({"id": "second", "index": 1, "outcome": "OUTCOME_COMPLETED",
                   "json": {"n": 3, "list": [1.5, null]}}),
            json!({"id": "third", "index": 2, "message": "the line can't be used",
                   "error": {"code": "InvalidInput", "problems": [{"path": "text", "message": "is empty"}]}}),
            json!({"id": "fourth", "index": 3, "outcome": "OUTCOME_CONTENT_FILTERED"}),
        ]
    );
    assert!(written.contains(r#""n":3}"#), "an integer stays one: {written}");
    let parsed = written.lines().map(|line| {
        parse_json_strictly::<LlmBatchResult>(line.as_bytes())
            .unwrap()
            .index
    });
    assert_eq!(parsed.collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(
        write(&bench, page).await.unwrap(),
        file,
        "a retry writes the same object"
    );
    assert!((bench.counted("aiw_data_results_total") - 8.0).abs() < 0.5);
}

#[tokio::test]
async fn a_large_answer_moves_to_where_it_outlives_the_run() {
    let bench = Bench::new();
    let (small, large) = ("s".repeat(65_536), "l".repeat(65_537));
    let receipt =
        |index: i32, blob: &BlobRef| json!({"index": index, "id": "x", "outcome": 1, "answer": blob});
    let small = bench.stage("staged/items/0.answer", small.as_bytes()).await;
    let large = bench.stage("staged/items/7.answer", large.as_bytes()).await;
    let page = json!({"page": {"receipts": [receipt(0, &small), receipt(7, &large)]}});
    let file = write(&bench, page).await.unwrap();
    let written = lines(&bench.read(&file).await);
    assert_eq!(written[0]["text"].as_str().map(str::len), Some(65_536));
    assert_eq!(
        written[1]["blob"]["uri"],
        format!("blob:{PREFIX}results/answers/7")
    );
    assert_eq!(written[1]["blob"]["sha256"].as_str(), large.sha256.as_deref());
    assert!(bench.staged().await.contains(&"results/answers/7".to_owned()));
}

#[tokio::test]
async fn an_answer_that_is_not_the_json_it_claims_is_handed_on_as_text() {
    let bench = Bench::new();
    let blob = bench.stage("staged/items/0.answer", b"{oops").await;
    let page = json!({"page": {"receipts": [{"id": "x", "answer": blob, "json": true}]}});
    let file = write(&bench, page).await.unwrap();
    assert_eq!(
        lines(&bench.read(&file).await),
        [json!({"id": "x", "index": 0, "text": "{oops"})]
    );
}

#[tokio::test]
async fn pages_are_joined_in_order_into_one_file() {
    let bench = Bench::new();
    for number in 0..12 {
        let receipts: Vec<_> = (0..3)
            .map(|item| json!({"index": number * 3 + item, "id": "x"}))
            .collect();
        write(&bench, json!({"page": {"number": number, "receipts": receipts}}))
            .await
            .unwrap();
    }
    let file = write(&bench, json!({"join": {"pages": 12}})).await.unwrap();
    assert_eq!(file.uri, format!("blob:{PREFIX}results/results.jsonl"));
    let indices: Vec<_> = lines(&bench.read(&file).await)
        .iter()
        .map(|line| line["index"].as_i64().unwrap())
        .collect();
    assert_eq!(indices, (0..36).collect::<Vec<_>>());
    assert_eq!(write(&bench, json!({"join": {"pages": 12}})).await.unwrap(), file);

    let none = write(&bench, json!({"join": {}})).await.unwrap();
    assert_eq!((none.size_bytes, bench.read(&none).await.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn staged_data_that_is_gone_is_a_defect_and_not_tried_again() {
    let bench = Bench::new();
    let gone = json!({"page": {"receipts": [{"id": "x", "answer": {"uri": "blob:runs/a/b/gone"}}]}});
    for work in [gone, json!({"join": {"pages": 1}})] {
        let error = write(&bench, work).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            (FailureCode::Internal, false),
            "{error:?}"
        );
    }
    assert_eq!(bench.staged().await, Vec::<String>::new());
}

#[tokio::test]
async fn work_that_makes_no_sense_is_refused_by_its_path() {
    let bench = Bench::new();
    for (work, path) in [
        (json!({}), "work"),
        (json!({"join": {"pages": -1}}), "join.pages"),
        (json!({"page": {"number": -1}}), "page.number"),
        (
            json!({"page": {"receipts": [{}, {"index": -1}]}}),
            "page.receipts[1].index",
        ),
    ] {
        assert_eq!(problems(write(&bench, work).await.unwrap_err())[0].path, path);
    }
}

#[tokio::test]
async fn a_cancelled_page_leaves_no_part() {
    let bench = Bench::new();
    let receipts: Vec<_> = (0..100).map(|index| json!({"index": index, "id": "x"})).collect();
    let input = input(&json!({"stagePrefix": PREFIX, "page": {"receipts": receipts}}));
    let error = cancelled(async |scope| run(&bench.services, input, &scope).await).await;
    assert!(matches!(error, Some(Error::Stopped)), "{error:?}");
    assert_eq!(bench.staged().await, Vec::<String>::new());
}
