//! Refusals: their kind, their cost, and the wait they ask for.

use std::time::{Duration, SystemTime};

use model_clients::{CallOutcome, ErrorKind};

use crate::fake::{Fake, response};
use crate::{PROMPT, failure};

async fn refused(status: &str, headers: &str, body: &str) -> model_clients::Error {
    let fake = Fake::answering(response(status, headers, body)).await;
    failure(&fake, |_| {}).await
}

#[tokio::test]
async fn too_many_requests_gives_the_wait_of_each_header_form() {
    let date = httpdate(Duration::from_secs(90));
    for (headers, least, most) in [
        ("retry-after: 7\r\n".to_owned(), 7_000, 7_000),
        (
            "retry-after-ms: 1250\r\nretry-after: 2\r\n".to_owned(),
            1_250,
            1_250,
        ),
        (format!("retry-after: {date}\r\n"), 1_000, 90_000),
        ("retry-after: 7200\r\n".to_owned(), 7_200_000, 7_200_000),
    ] {
        let error = refused("429 Too Many Requests", &headers, "").await;
        assert_eq!(
            (error.kind, error.billing),
            (ErrorKind::RateLimited, CallOutcome::NotBilled)
        );
        let wait = error.retry_after.unwrap().as_millis();
        assert!((least..=most).contains(&wait), "{headers}: {wait}");
    }
}

fn httpdate(ahead: Duration) -> String {
    httpdate::fmt_http_date(SystemTime::now() + ahead)
}

#[tokio::test]
async fn an_overloaded_provider_is_told_apart_from_a_refused_request() {
    for (status, kind, billing) in [
        (
            "500 Internal Server Error",
            ErrorKind::Overloaded,
            CallOutcome::NotBilled,
        ),
        ("502 Bad Gateway", ErrorKind::Overloaded, CallOutcome::Unknown),
        (
            "503 Service Unavailable",
            ErrorKind::Overloaded,
            CallOutcome::NotBilled,
        ),
        ("529 Overloaded", ErrorKind::Overloaded, CallOutcome::NotBilled),
        ("401 Unauthorized", ErrorKind::Auth, CallOutcome::NotBilled),
        ("403 Forbidden", ErrorKind::Auth, CallOutcome::NotBilled),
        ("404 Not Found", ErrorKind::InvalidRequest, CallOutcome::NotBilled),
    ] {
        let error = refused(status, "", "").await;
        assert_eq!(
            (error.kind, error.billing, error.retry_after),
            (kind, billing, None),
            "{status}"
        );
        assert_eq!(error.status.unwrap().to_string(), status[..3]);
    }
}

#[tokio::test]
async fn a_wait_is_read_from_any_refusal() {
    let error = refused("503 Service Unavailable", "retry-after: 3\r\n", "").await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn the_providers_code_decides_between_kinds_of_one_status() {
    for (status, code, kind) in [
        (
            "429 Too Many Requests",
            "insufficient_quota",
            ErrorKind::QuotaExhausted,
        ),
        ("404 Not Found", "model_not_found", ErrorKind::ModelGone),
        ("400 Bad Request", "content_filter", ErrorKind::ContentFilter),
        (
            "400 Bad Request",
            "context_length_exceeded",
            ErrorKind::InvalidRequest,
        ),
    ] {
        let body = format!(r#"{{"error":{{"message":"because","code":"{code}"}}}}"#);
        let error = refused(status, "content-type: application/json\r\n", &body).await;
        assert_eq!(
            (error.kind, error.billing),
            (kind, CallOutcome::NotBilled),
            "{code}"
        );
        assert!(
            error.message.contains(code) && error.message.ends_with("because"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_refusal_tells_of_limits_and_names_the_exchange() {
    let headers = "retry-after: 2\r\nx-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 20ms\r\n\
                   x-request-id: req 1\r\nrequest-id: req_1\r\n";
    let error = refused("429 Too Many Requests", headers, "").await;
    assert_eq!(error.limits.retry_after, Some(Duration::from_secs(2)));
    assert_eq!(error.limits.remaining_tokens, Some(0));
    assert_eq!(error.limits.reset_tokens, Some(Duration::from_millis(20)));
    assert_eq!(error.request_id.as_deref(), Some("req_1"));
}

#[tokio::test]
async fn an_id_that_is_none_is_not_shown() {
    let headers = format!("x-request-id: {PROMPT}\r\n");
    let error = refused("500 Internal Server Error", &headers, "").await;
    assert_eq!(error.request_id, None);
}

#[tokio::test]
async fn a_refusal_that_quotes_the_prompt_is_not_repeated() {
    let body = format!(r#"{{"error":{{"message":"cannot handle: {PROMPT}"}}}}"#);
    let error = refused("422 Unprocessable Entity", "", &body).await;
    assert!(error.message.ends_with("is left out)"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Fake::answering(response("200 OK", "", "")).await;
    let location = format!("location: {}\r\n", elsewhere.base_url());
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let error = refused(status, &location, "").await;
        assert_eq!(
            (error.kind, error.billing),
            (ErrorKind::Internal, CallOutcome::NotBilled)
        );
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_huge_or_broken_refusal_still_counts_by_its_status() {
    let huge = refused("400 Bad Request", "", &"x".repeat(1_000_000)).await;
    assert_eq!(huge.kind, ErrorKind::InvalidRequest);

    let cut = b"HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 100\r\n\r\n{\"err".to_vec();
    let error = failure(&Fake::answering(cut).await, |_| {}).await;
    assert_eq!(
        (error.kind, error.retry_after),
        (ErrorKind::RateLimited, Some(Duration::from_secs(1)))
    );
}
