//! What comes beside an answer: its text on the way, and what its head says.

use std::time::Duration;

use model_clients::{ErrorKind, LimitHeaders};
use serde_json::json;

use crate::fake::{Fake, Step, document, stream, stream_head};
use crate::streams::{EVENTS, TEXT};
use crate::{Call, answer, client, failure, options};

#[tokio::test]
async fn whoever_reads_along_is_told_each_piece_in_order() {
    let fake = Fake::start(vec![Step::Drip(stream(&EVENTS))]).await;
    let (response, pieces) = Call::default()
        .read_along(&client(options(fake.base_url())).await)
        .await;
    assert_eq!(pieces, ["H\u{e9}l", "lo \u{1f600}"]);
    assert_eq!(response.unwrap().text, pieces.concat());

    let body = json!({"choices": [{"message": {"content": TEXT}, "finish_reason": "stop"}]}).to_string();
    let fake = Fake::answering(document(&body)).await;
    let (_, pieces) = Call::default()
        .read_along(&client(options(fake.base_url())).await)
        .await;
    assert_eq!(pieces, [TEXT]);
}

#[tokio::test]
async fn a_refusal_beside_text_is_not_told_and_one_alone_is() {
    let refusal = r#"{"choices":[{"index":0,"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#;
    for (events, expected) in [(vec![refusal], "No."), (vec![EVENTS[1], refusal], "H\u{e9}l")] {
        let fake = Fake::answering(stream(&events)).await;
        let (response, pieces) = Call::default()
            .read_along(&client(options(fake.base_url())).await)
            .await;
        assert_eq!(
            (response.unwrap().text.as_str(), pieces.concat().as_str()),
            (expected, expected)
        );
    }
}

#[tokio::test]
async fn a_reader_that_has_gone_away_or_is_slow_changes_nothing() {
    let fake = Fake::answering(stream(&EVENTS)).await;
    let (deltas, pieces) = tokio::sync::mpsc::unbounded_channel();
    let call = Call {
        deltas: Some(deltas),
        ..Call::default()
    };
    // Not read until the answer is there.
    assert_eq!(call.run(options(fake.base_url())).await.unwrap().text, TEXT);
    drop(pieces);
    assert_eq!(call.run(options(fake.base_url())).await.unwrap().text, TEXT);
}

#[tokio::test]
async fn what_came_before_a_failure_was_told() {
    let fake = Fake::answering(stream(&EVENTS[..2])).await;
    let (response, pieces) = Call::default()
        .read_along(&client(options(fake.base_url())).await)
        .await;
    assert_eq!(response.unwrap_err().kind, ErrorKind::StreamBroken);
    assert_eq!(pieces, ["H\u{e9}l"]);
}

#[tokio::test]
async fn headers_about_limits_come_with_an_answer_and_with_one_that_breaks_off() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-ratelimit-remaining-requests: 59\r\n\
                x-ratelimit-reset-requests: 1s\r\nx-ratelimit-remaining-tokens: 149984\r\n\
                x-ratelimit-reset-tokens: 6m0s\r\nx-request-id: req_7-a\r\n\r\n";
    let expected = LimitHeaders {
        retry_after: None,
        remaining_requests: Some(59),
        reset_requests: Some(Duration::from_secs(1)),
        remaining_tokens: Some(149_984),
        reset_tokens: Some(Duration::from_mins(6)),
    };
    let events = stream(&EVENTS)[stream_head().len()..].to_vec();
    let whole = answer(
        &Fake::answering([head.as_bytes(), &events].concat()).await,
        |_| {},
    )
    .await;
    assert_eq!(
        (whole.limits, whole.request_id.as_deref()),
        (expected, Some("req_7-a"))
    );
    let cut = failure(
        &Fake::answering([head.as_bytes(), &events[..300]].concat()).await,
        |_| {},
    )
    .await;
    assert_eq!((cut.kind, *cut.limits), (ErrorKind::StreamBroken, expected));
    assert!(cut.message.ends_with("(request id req_7-a)"), "{cut}");
}
