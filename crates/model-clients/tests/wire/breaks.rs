//! Connections and answers that break, stall or never end.

use std::time::Duration;

use model_clients::openai::Options;
use model_clients::{CallOutcome, Error, ErrorKind};

use crate::fake::{Fake, Step, document, response, stream, stream_head};
use crate::{Call, assert_discreet, failure, options};

const PIECE: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
/// A time limit that a test waits for.
const SHORT_SECONDS: f64 = 0.05;

async fn after(script: Vec<Step>, change: impl FnOnce(&mut Options)) -> Error {
    failure(&Fake::start(script).await, change).await
}

fn found(error: &Error) -> (ErrorKind, CallOutcome) {
    assert_eq!(error.retry_after, None);
    (error.kind, error.billing)
}

#[tokio::test]
async fn a_refused_connection_has_sent_nothing() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let error = Call::default()
        .run(options(format!("http://{address}")))
        .await
        .unwrap_err();
    assert_eq!(found(&error), (ErrorKind::Transport, CallOutcome::NotSent));
    assert_discreet(&error);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_leaves_the_outcome_unknown() {
    for script in [
        vec![Step::Reset],
        vec![],
        vec![Step::Send(b"HTTP/1.1 200 O".to_vec())],
    ] {
        let error = after(script, |_| {}).await;
        assert_eq!(found(&error), (ErrorKind::Transport, CallOutcome::Unknown));
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_answer_breaks_the_stream() {
    let begun = stream(&[PIECE]);
    let error = after(vec![Step::Send(begun), Step::Reset], |_| {}).await;
    assert_eq!(found(&error), (ErrorKind::StreamBroken, CallOutcome::Unknown));
}

#[tokio::test]
async fn a_stream_that_ends_too_early_is_broken() {
    for events in [&[][..], &[PIECE], &[PIECE, PIECE]] {
        let error = after(vec![Step::Send(stream(events))], |_| {}).await;
        assert_eq!(found(&error), (ErrorKind::StreamBroken, CallOutcome::Unknown));
    }
}

#[tokio::test]
async fn a_document_that_is_cut_off_is_broken() {
    let cut =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"cho".to_vec();
    let error = after(vec![Step::Send(cut)], |options| options.streaming = false).await;
    assert_eq!(found(&error), (ErrorKind::StreamBroken, CallOutcome::Unknown));
}

#[tokio::test]
async fn an_answer_that_is_no_chat_completion_is_broken() {
    for body in [
        "{\"cho",
        "[]",
        "{}",
        "42",
        "null",
        "<html>",
        "{\"choices\":7}",
        "",
    ] {
        let in_one = after(vec![Step::Send(document(body))], |options| {
            options.streaming = false;
        })
        .await;
        assert_eq!(
            found(&in_one),
            (ErrorKind::StreamBroken, CallOutcome::Unknown),
            "{body}"
        );
        let streamed = after(vec![Step::Send(stream(&[PIECE, body]))], |_| {}).await;
        assert_eq!(
            found(&streamed),
            (ErrorKind::StreamBroken, CallOutcome::Unknown),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_page_for_people_is_named_as_such() {
    let page = response("200 OK", "content-type: text/html\r\n", "<html>log in</html>");
    let error = after(vec![Step::Send(page)], |_| {}).await;
    assert_eq!(found(&error), (ErrorKind::StreamBroken, CallOutcome::Unknown));
    assert!(
        error.message.contains("text/html") && error.message.contains("base_url"),
        "{error}"
    );
}

#[tokio::test]
async fn bytes_that_are_not_utf8_break_the_answer() {
    let mut streamed = stream(&[PIECE]);
    streamed.extend_from_slice(b"data: \xff\xfe\n\n");
    let mut in_one =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n".to_vec();
    in_one.extend_from_slice(b"\"\xff\xfe\"");
    for bytes in [streamed, in_one] {
        let error = after(vec![Step::Send(bytes)], |_| {}).await;
        assert_eq!(found(&error), (ErrorKind::StreamBroken, CallOutcome::Unknown));
    }
}

#[tokio::test]
async fn bytes_that_are_not_http_are_a_broken_connection() {
    let error = after(vec![Step::Send(b"220 mail.test ESMTP\r\n\r\n".to_vec())], |_| {}).await;
    assert_eq!(found(&error), (ErrorKind::Transport, CallOutcome::Unknown));
}

#[tokio::test]
async fn an_answer_above_the_limit_is_dropped() {
    let limit = |options: &mut Options| options.max_response_bytes = 10_000;
    let announced =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10001\r\n\r\n".to_vec();
    let one_line = vec![
        Step::Send(stream_head()),
        Step::Flood(b"data: never ends ".to_vec()),
    ];
    let many_lines = vec![Step::Send(stream_head()), Step::Flood(b": comment\n\n".to_vec())];
    for script in [vec![Step::Send(announced), Step::Stall], one_line, many_lines] {
        let fake = Fake::start(script).await;
        let error = failure(&fake, limit).await;
        assert_eq!(found(&error), (ErrorKind::ResponseTooLarge, CallOutcome::Unknown));
        assert!(error.message.contains("max_response_bytes"), "{error}");
        fake.client_gone().await;
    }
}

#[tokio::test]
async fn each_time_limit_names_itself() {
    let no_head = vec![Step::Stall];
    let no_body = vec![Step::Send(stream_head()), Step::Stall];
    let no_more = vec![Step::Send(stream(&[PIECE])), Step::Stall];
    let first: fn(&mut Options) = |options| options.timeouts.first_byte_seconds = SHORT_SECONDS;
    let between: fn(&mut Options) = |options| options.timeouts.between_bytes_seconds = SHORT_SECONDS;
    let whole: fn(&mut Options) = |options| options.timeouts.whole_call_seconds = SHORT_SECONDS * 20.0;
    for (script, limit, kind, name) in [
        (no_head.clone(), first, ErrorKind::Transport, "first_byte_seconds"),
        (no_body, first, ErrorKind::Transport, "first_byte_seconds"),
        (no_more, between, ErrorKind::StreamBroken, "between_bytes_seconds"),
        (no_head, whole, ErrorKind::DeadlineExceeded, "whole_call_seconds"),
    ] {
        let fake = Fake::start(script).await;
        let error = failure(&fake, limit).await;
        assert_eq!(found(&error), (kind, CallOutcome::Unknown), "{name}");
        assert!(error.message.contains(name), "{error}");
        fake.client_gone().await;
    }
}

#[tokio::test]
async fn the_callers_deadline_stops_an_answer_that_never_ends() {
    let fake = Fake::start(vec![
        Step::Send(stream_head()),
        Step::Flood(b": thinking\n\n".to_vec()),
    ])
    .await;
    let call = Call {
        deadline: Duration::from_secs(1),
        ..Call::default()
    };
    let mut options = options(fake.base_url());
    options.max_response_bytes = 1 << 40;
    let error = call.run(options).await.unwrap_err();
    assert_eq!(found(&error), (ErrorKind::DeadlineExceeded, CallOutcome::Unknown));
    assert!(error.message.contains("left for the call"), "{error}");
    fake.client_gone().await;
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once_and_closes_its_connection() {
    let waiting = vec![Step::Stall];
    let in_the_middle = vec![Step::Send(stream(&[PIECE])), Step::Stall];
    for (script, tokens) in [(waiting, 0), (in_the_middle, 1)] {
        let fake = Fake::start(script).await;
        let call = Call::default();
        let mut progress = call.progress.subscribe();
        let cancel = async {
            if tokens == 0 {
                fake.requested().await;
            } else {
                progress
                    .wait_for(|progress| progress.output_tokens == tokens)
                    .await
                    .unwrap();
            }
            call.cancel.cancel();
        };
        let (result, ()) = tokio::join!(call.run(options(fake.base_url())), cancel);
        let error = result.unwrap_err();
        assert_eq!(found(&error), (ErrorKind::Cancelled, CallOutcome::Unknown));
        fake.client_gone().await;
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_it_starts_sends_nothing() {
    let fake = Fake::start(vec![Step::Stall]).await;
    let call = Call::default();
    call.cancel.cancel();
    let error = call.run(options(fake.base_url())).await.unwrap_err();
    assert_eq!(found(&error), (ErrorKind::Cancelled, CallOutcome::NotSent));
    assert!(fake.requests().is_empty());
}
