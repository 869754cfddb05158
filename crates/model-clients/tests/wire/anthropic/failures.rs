//! Refusals and breaks: their kind, their cost, and the wait they ask for.

use std::time::{Duration, SystemTime};

use model_clients::anthropic::{Client, Options};
use model_clients::prices::Prices;
use model_clients::{CallOutcome, Error, ErrorKind};

use super::streams::{PIECE, START};
use super::{client, failure, options};
use crate::fake::{Fake, Step, document, response, stream, stream_head};
use crate::{Call, PROMPT};

async fn refused(status: &str, headers: &str, kind: &str, message: &str) -> Error {
    let body = format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_b"}}"#
    );
    let fake = Fake::answering(response(status, headers, &body)).await;
    failure(&fake, |_| {}).await
}

/// Status, error type, kind, outcome, message.
const REFUSALS: &str = "\
400 invalid_request_error InvalidRequest NotBilled prompt is too long
400 invalid_request_error QuotaExhausted NotBilled Your credit balance is too low
401 authentication_error  Auth           NotBilled invalid x-api-key
402 billing_error         QuotaExhausted NotBilled x
403 permission_error      Auth           NotBilled x
404 not_found_error       ModelGone      NotBilled model: small
413 request_too_large     InvalidRequest NotBilled x
429 rate_limit_error      RateLimited    NotBilled x
500 api_error             Overloaded     NotBilled x
504 timeout_error         Overloaded     Unknown   x
529 overloaded_error      Overloaded     NotBilled x";

#[tokio::test]
async fn every_status_has_its_kind_and_cost() {
    for row in REFUSALS.lines() {
        let mut rest = row;
        let mut column = || {
            let (column, tail) = rest.split_once(' ').unwrap();
            rest = tail.trim_start();
            column
        };
        let (status, label, kind, billing) = (column(), column(), column(), column());
        let error = refused(&format!("{status} No"), "", label, rest).await;
        assert_eq!(error.kind.as_str(), kind, "{row}");
        assert_eq!(format!("{:?}", error.billing), billing, "{row}");
        assert_eq!(
            (error.status.unwrap().to_string(), error.retry_after),
            (status.to_owned(), None)
        );
        assert!(error.message.contains(label), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_gives_the_wait_of_each_header_form_the_limits_and_the_id() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
    for (headers, least, most) in [
        ("retry-after: 7\r\n".to_owned(), 7_000, 7_000),
        (
            "retry-after-ms: 1250\r\nretry-after: 2\r\n".to_owned(),
            1_250,
            1_250,
        ),
        (format!("retry-after: {date}\r\n"), 1_000, 90_000),
    ] {
        for (status, label) in [
            ("429 Too Many Requests", "rate_limit_error"),
            ("529 Overloaded", "overloaded_error"),
        ] {
            let error = refused(status, &headers, label, "x").await;
            let wait = error.retry_after.unwrap().as_millis();
            assert!((least..=most).contains(&wait), "{headers}: {wait}");
            assert_eq!(error.limits.retry_after, error.retry_after);
        }
    }
    let headers = "date: Thu, 21 Aug 2025 12:41:00 GMT\r\nanthropic-ratelimit-tokens-remaining: 0\r\n\
                   anthropic-ratelimit-tokens-reset: 2025-08-21T12:41:30Z\r\nrequest-id: req_9\r\n";
    let error = refused("429 Too Many Requests", headers, "rate_limit_error", "x").await;
    assert_eq!(
        (error.limits.remaining_tokens, error.limits.retry_after),
        (Some(0), None)
    );
    assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
    assert_eq!(error.request_id.as_deref(), Some("req_9"));
}

#[tokio::test]
async fn a_refusal_that_quotes_the_prompt_is_not_repeated_and_a_redirect_is_not_followed() {
    let error = refused("400 Bad Request", "", "invalid_request_error", PROMPT).await;
    assert!(error.message.ends_with("is left out)"), "{error}");
    let error = refused(
        "307 Temporary Redirect",
        "location: http://127.0.0.1:9/\r\n",
        "x",
        "x",
    )
    .await;
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Internal, CallOutcome::NotBilled)
    );
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_an_error() {
    use CallOutcome::{NotBilled, Unknown};
    let error_event =
        |label: &str| format!(r#"{{"type":"error","error":{{"type":"{label}","message":"because"}}}}"#);
    for (label, before, kind, billing) in [
        ("overloaded_error", &[][..], ErrorKind::Overloaded, Unknown),
        ("overloaded_error", &[START], ErrorKind::Overloaded, Unknown),
        (
            "overloaded_error",
            &[START, PIECE],
            ErrorKind::StreamBroken,
            Unknown,
        ),
        ("api_error", &[START, PIECE], ErrorKind::StreamBroken, Unknown),
        ("timeout_error", &[START], ErrorKind::Overloaded, Unknown),
        ("rate_limit_error", &[], ErrorKind::RateLimited, NotBilled),
        ("rate_limit_error", &[START], ErrorKind::RateLimited, Unknown),
        ("invalid_request_error", &[], ErrorKind::InvalidRequest, NotBilled),
        (
            "an_error_of_next_year",
            &[START],
            ErrorKind::StreamBroken,
            Unknown,
        ),
    ] {
        let last = error_event(label);
        let mut bytes = stream(before);
        bytes.extend_from_slice(format!("event: error\ndata: {last}\n\n").as_bytes());
        let named = failure(&Fake::answering(bytes).await, |_| {}).await;
        let unnamed = failure(
            &Fake::answering(stream(&[before, &[&last]].concat())).await,
            |_| {},
        )
        .await;
        for error in [named, unnamed] {
            assert_eq!(
                (error.kind, error.billing),
                (kind, billing),
                "{label} after {}",
                before.len()
            );
            assert!(error.message.ends_with("because"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_error_in_a_successful_document_is_an_error() {
    let body = r#"{"type":"error","error":{"type":"billing_error","message":"no credits"}}"#;
    let error = failure(&Fake::answering(document(body)).await, |options| {
        options.streaming = false;
    })
    .await;
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::QuotaExhausted, CallOutcome::NotBilled)
    );
}

#[tokio::test]
async fn a_stream_that_ends_resets_or_stalls_in_the_middle_is_broken() {
    for (script, kind) in [
        (vec![Step::Send(stream(&[]))], ErrorKind::StreamBroken),
        (vec![Step::Send(stream(&[START]))], ErrorKind::StreamBroken),
        (vec![Step::Send(stream(&[START, PIECE]))], ErrorKind::StreamBroken),
        (
            vec![Step::Send(stream(&[START, PIECE])), Step::Reset],
            ErrorKind::StreamBroken,
        ),
        (
            vec![Step::Send(stream(&[START, PIECE])), Step::Stall],
            ErrorKind::StreamBroken,
        ),
        (vec![Step::Reset], ErrorKind::Transport),
        (vec![], ErrorKind::Transport),
    ] {
        let fake = Fake::start(script).await;
        let error = failure(&fake, |options| options.timeouts.between_bytes_seconds = 0.2).await;
        assert_eq!((error.kind, error.billing), (kind, CallOutcome::Unknown));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_message_is_broken() {
    for body in [
        "{\"con",
        "[]",
        "{}",
        "42",
        "null",
        "<html>",
        "{\"content\":7}",
        "",
    ] {
        let in_one = failure(&Fake::answering(document(body)).await, |options| {
            options.streaming = false;
        })
        .await;
        let streamed = failure(&Fake::answering(stream(&[START, PIECE, body])).await, |_| {}).await;
        for error in [in_one, streamed] {
            assert_eq!(
                (error.kind, error.billing),
                (ErrorKind::StreamBroken, CallOutcome::Unknown),
                "{body}"
            );
        }
    }
    let page = response("200 OK", "content-type: text/html\r\n", "<html>log in</html>");
    let error = failure(&Fake::answering(page).await, |_| {}).await;
    assert!(
        error.message.contains("text/html") && error.message.contains("base_url"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_above_the_limit_is_dropped() {
    let script = vec![Step::Send(stream_head()), Step::Flood(b": comment\n\n".to_vec())];
    let fake = Fake::start(script).await;
    let error = failure(&fake, |options| options.max_response_bytes = 10_000).await;
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::ResponseTooLarge, CallOutcome::Unknown)
    );
    fake.client_gone().await;
}

#[tokio::test]
async fn each_time_limit_names_itself() {
    let first: fn(&mut Options) = |options| options.timeouts.first_byte_seconds = 0.05;
    let whole: fn(&mut Options) = |options| options.timeouts.whole_call_seconds = 0.5;
    for (limit, kind, name) in [
        (first, ErrorKind::Transport, "first_byte_seconds"),
        (whole, ErrorKind::DeadlineExceeded, "whole_call_seconds"),
    ] {
        let fake = Fake::start(vec![Step::Stall]).await;
        let error = failure(&fake, limit).await;
        assert_eq!((error.kind, error.billing), (kind, CallOutcome::Unknown));
        assert!(error.message.contains(name), "{error}");
        fake.client_gone().await;
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once_and_closes_its_connection() {
    let fake = Fake::start(vec![Step::Send(stream(&[START, PIECE])), Step::Stall]).await;
    let call = Call::default();
    let mut progress = call.progress.subscribe();
    let client = client(&fake, |_| {}).await;
    let cancel = async {
        progress
            .wait_for(|progress| progress.output_tokens == 1)
            .await
            .unwrap();
        call.cancel.cancel();
    };
    let (result, ()) = tokio::join!(call.of(&client), cancel);
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Cancelled, CallOutcome::Unknown)
    );
    fake.client_gone().await;
}

#[tokio::test]
async fn a_refused_connection_has_sent_nothing() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let options = options(format!("http://{address}/v1"));
    let client = Client::new(options, &Prices::shipped().unwrap()).await.unwrap();
    let error = Call::default().of(&client).await.unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Transport, CallOutcome::NotSent)
    );
}

#[tokio::test]
async fn a_client_is_not_made_without_a_price_or_with_a_wrong_setting() {
    let mut options = options("ftp://models.test".to_owned());
    for model in options.models.values_mut() {
        model.billing = None;
    }
    let error = Client::new(options, &Prices::shipped().unwrap())
        .await
        .unwrap_err();
    let shown = error.to_string();
    for part in [
        "anthropic",
        "base_url",
        "models.small.billing",
        "per_token",
        "list prices",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}
