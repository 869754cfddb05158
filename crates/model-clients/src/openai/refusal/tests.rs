//! One row for each refusal that providers are known to give.

use reqwest::StatusCode;
use serde_json::json;

use super::Complaint;
use crate::provider::{CallOutcome, ErrorKind};
use crate::quoted::Confidential;

const NOTHING: Confidential<'static> = Confidential {
    messages: &[],
    key: Some("sk-secret-key"),
};

fn refused(status: u16, body: &str) -> crate::provider::Error {
    Complaint::from_body(body.as_bytes()).refused(StatusCode::from_u16(status).unwrap(), NOTHING)
}

/// Status, kind, outcome, body.
const REFUSALS: &str = r#"
307 Internal       NotBilled
400 InvalidRequest NotBilled {"error":{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}}
400 InvalidRequest NotBilled {"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}
400 InvalidRequest NotBilled {"object":"error","message":"x","type":"BadRequestError","code":400}
400 ContentFilter  NotBilled {"error":{"code":"content_filter","message":"x"}}
400 ModelGone      NotBilled {"error":{"code":"model_decommissioned","message":"x"}}
401 Auth           NotBilled {"error":{"message":"x","code":"invalid_api_key"}}
401 Auth           NotBilled no
402 QuotaExhausted NotBilled
403 Auth           NotBilled {"error":"forbidden"}
404 InvalidRequest NotBilled <html>
404 InvalidRequest NotBilled {"detail":"Not Found"}
404 ModelGone      NotBilled {"error":{"message":"The model `x` does not exist","code":"model_not_found"}}
404 ModelGone      NotBilled {"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error"}}
404 ModelGone      NotBilled {"error":{"message":"gone","param":"model"}}
404 ModelGone      NotBilled {"error":{"code":"DeploymentNotFound","message":"x"}}
407 Auth           NotBilled
408 Overloaded     NotBilled
409 Overloaded     NotBilled
410 ModelGone      NotBilled
413 InvalidRequest NotBilled
422 InvalidRequest NotBilled {"detail":[{"loc":["body"],"msg":"x"}]}
429 RateLimited    NotBilled
429 RateLimited    NotBilled {"error":{"message":"x","type":"requests","code":"rate_limit_exceeded"}}
429 RateLimited    NotBilled [{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]
429 QuotaExhausted NotBilled {"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}
429 QuotaExhausted NotBilled {"error":{"message":"x","type":"insufficient_quota","code":null}}
500 Overloaded     NotBilled Internal Server Error
500 Overloaded     NotBilled {"error":{"code":"insufficient_quota"}}
501 InvalidRequest NotBilled
502 Overloaded     Unknown
503 Overloaded     NotBilled {"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}
504 Overloaded     Unknown   <html>
524 Overloaded     Unknown
529 Overloaded     NotBilled {"error":{"type":"overloaded_error","message":"Overloaded"}}
"#;

#[test]
fn every_refusal_has_its_kind_and_outcome() {
    for row in REFUSALS.trim().lines() {
        let (status, rest) = row.split_at(4);
        let (kind, rest) = rest.split_at(15);
        let (billing, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let error = refused(status.trim().parse().unwrap(), body.trim());
        assert_eq!(error.kind.as_str(), kind.trim(), "{row}");
        assert_eq!(format!("{:?}", error.billing), billing, "{row}");
        assert_eq!(error.status.unwrap().to_string(), status.trim());
    }
}

#[test]
fn a_message_gives_status_code_advice_and_the_providers_words() {
    assert_eq!(
        refused(
            400,
            r#"{"error":{"message":"the prompt is too long","code":"context_length_exceeded"}}"#
        )
        .message,
        "the provider answered with status 400 (context_length_exceeded): the prompt is too long"
    );
    assert_eq!(
        refused(
            404,
            r#"{"error":{"message":"no model x","code":"model_not_found"}}"#
        )
        .message,
        "the provider answered with status 404 (model_not_found); check the model's name: no model x"
    );
}

#[test]
fn a_refused_key_is_not_repeated() {
    let body =
        json!({"error": {"message": "wrong key sk-secret-key", "code": "bad sk-secret-key"}}).to_string();
    for status in [401, 403, 400, 500] {
        assert!(
            !format!("{:?}", refused(status, &body)).contains("secret"),
            "{status}"
        );
    }
}

#[test]
fn a_long_message_is_cut() {
    let body = json!({"error": {"message": "x".repeat(5_000), "code": "y".repeat(5_000)}}).to_string();
    assert!(refused(400, &body).message.len() < 500);
}

#[test]
fn an_error_inside_a_successful_answer_depends_on_how_far_the_answer_was() {
    use CallOutcome::{NotBilled, Unknown};
    use ErrorKind::{InvalidRequest, Overloaded, QuotaExhausted, RateLimited, StreamBroken};
    for (error, has_text, kind, billing) in [
        (json!({"message": "x"}), false, StreamBroken, Unknown),
        (json!("x"), true, StreamBroken, Unknown),
        (json!({"type": "server_error"}), false, StreamBroken, Unknown),
        (json!({"code": 503}), false, Overloaded, Unknown),
        (json!({"code": 503}), true, StreamBroken, Unknown),
        (json!({"code": 429}), false, RateLimited, NotBilled),
        (json!({"code": 429}), true, RateLimited, Unknown),
        (
            json!({"code": "rate_limit_exceeded"}),
            false,
            RateLimited,
            NotBilled,
        ),
        (
            json!({"code": "insufficient_quota"}),
            false,
            QuotaExhausted,
            NotBilled,
        ),
        (
            json!({"type": "invalid_request_error"}),
            false,
            InvalidRequest,
            NotBilled,
        ),
    ] {
        let found = Complaint::from_value(&error).after_success(has_text, NOTHING);
        assert_eq!((found.kind, found.billing), (kind, billing), "{error} {has_text}");
    }
}
