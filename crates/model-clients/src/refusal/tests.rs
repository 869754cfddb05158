//! One row for each refusal that providers are known to give.

use reqwest::StatusCode;
use serde_json::json;

use super::{Complaint, Progressed};
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
400 InvalidRequest NotBilled {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"},"request_id":"r"}
400 QuotaExhausted NotBilled {"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}
400 QuotaExhausted NotBilled {"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits."}}
400 ContentFilter  NotBilled {"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}
401 Auth           NotBilled {"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}
402 QuotaExhausted NotBilled {"type":"error","error":{"type":"billing_error","message":"x"}}
403 Auth           NotBilled {"type":"error","error":{"type":"permission_error","message":"x"}}
404 ModelGone      NotBilled {"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}
404 InvalidRequest NotBilled {"type":"error","error":{"type":"not_found_error","message":"Not Found"}}
413 InvalidRequest NotBilled {"type":"error","error":{"type":"request_too_large","message":"x"}}
429 RateLimited    NotBilled {"type":"error","error":{"type":"rate_limit_error","message":"x"}}
500 Overloaded     NotBilled {"type":"error","error":{"type":"api_error","message":"x"}}
504 Overloaded     Unknown   {"type":"error","error":{"type":"timeout_error","message":"x"}}
529 Overloaded     NotBilled {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}
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

/// How far the answer was, kind, outcome, error.
const LATE_ERRORS: &str = r#"
Nothing  StreamBroken   Unknown   {"message":"x"}
Text     StreamBroken   Unknown   "x"
Nothing  StreamBroken   Unknown   {"type":"server_error"}
Nothing  Overloaded     Unknown   {"code":503}
Text     StreamBroken   Unknown   {"code":503}
Nothing  RateLimited    NotBilled {"code":429}
Text     RateLimited    Unknown   {"code":429}
Nothing  RateLimited    NotBilled {"code":"rate_limit_exceeded"}
Nothing  QuotaExhausted NotBilled {"code":"insufficient_quota"}
Nothing  InvalidRequest NotBilled {"type":"invalid_request_error"}
Nothing  Overloaded     Unknown   {"type":"overloaded_error"}
Accepted Overloaded     Unknown   {"type":"overloaded_error"}
Text     StreamBroken   Unknown   {"type":"overloaded_error"}
Accepted Overloaded     Unknown   {"type":"api_error"}
Accepted Overloaded     Unknown   {"type":"timeout_error"}
Nothing  RateLimited    NotBilled {"type":"rate_limit_error"}
Accepted RateLimited    Unknown   {"type":"rate_limit_error"}
Nothing  Auth           NotBilled {"type":"authentication_error"}
Nothing  Auth           NotBilled {"type":"permission_error"}
Nothing  QuotaExhausted NotBilled {"type":"billing_error"}
Nothing  ModelGone      NotBilled {"type":"not_found_error","message":"model: x"}
Nothing  InvalidRequest NotBilled {"type":"request_too_large"}
"#;

#[test]
fn an_error_inside_a_successful_answer_depends_on_how_far_the_answer_was() {
    for row in LATE_ERRORS.trim().lines() {
        let (progressed, rest) = row.split_once(' ').unwrap();
        let (kind, rest) = rest.trim_start().split_once(' ').unwrap();
        let (billing, error) = rest.trim_start().split_once(' ').unwrap();
        let progressed = match progressed {
            "Nothing" => Progressed::Nothing,
            "Accepted" => Progressed::Accepted,
            _ => Progressed::Text,
        };
        let error = serde_json::from_str(error.trim()).unwrap();
        let found = Complaint::from_value(&error).after_success(progressed, NOTHING);
        assert_eq!(found.kind.as_str(), kind, "{row}");
        assert_eq!(format!("{:?}", found.billing), billing, "{row}");
    }
}
