//! Refusals: the body of each status in either protocol's words.

use serde_json::{Value, json};

use super::anthropic::named;
use crate::call::Protocol;

/// A refusal made out.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The status, which in one protocol may differ from the script's.
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Refusal {
    /// Makes out the refusal with a status; the usual code of the status when there is none.
    pub(crate) fn new(protocol: Protocol, seq: u64, status: u16, code: Option<&str>) -> Self {
        match protocol {
            Protocol::OpenAi => Self {
                status,
                body: openai(status, code),
            },
            Protocol::Anthropic => anthropic(seq, status, code),
        }
    }

    /// The refusal as an event in the middle of a stream.
    pub(crate) fn event(self, protocol: Protocol) -> String {
        match protocol {
            Protocol::OpenAi => format!("data: {}\n\n", self.body),
            Protocol::Anthropic => named("error", self.body),
        }
    }
}

fn openai(status: u16, code: Option<&str>) -> Value {
    let (kind, usual, message) = match status {
        400 => (
            "invalid_request_error",
            "invalid_request",
            "The request is not valid.",
        ),
        401 => ("authentication_error", "invalid_api_key", "The key is not valid."),
        403 => ("permission_error", "forbidden", "The key may not use this model."),
        404 => (
            "invalid_request_error",
            "model_not_found",
            "The model does not exist.",
        ),
        429 => ("rate_limit_error", "rate_limit_exceeded", "Too many requests."),
        503 | 529 => ("overloaded_error", "overloaded", "The provider is overloaded."),
        _ => ("server_error", "internal_error", "The provider failed."),
    };
    let (kind, message) = match code {
        Some("insufficient_quota") => ("insufficient_quota", "The account has no quota left."),
        Some("context_length_exceeded") => (kind, "The prompt is longer than the model's context window."),
        Some("requests" | "tokens") => (code.unwrap_or(kind), message),
        Some(_) | None => (kind, message),
    };
    let code = match code {
        // The limit that was reached is the error's type; its code is that of every limit.
        Some("requests" | "tokens") | None => usual,
        Some(code) => code,
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

fn anthropic(seq: u64, status: u16, code: Option<&str>) -> Refusal {
    let (status, kind, message) = match (status, code) {
        (_, Some("insufficient_quota")) => (402, "billing_error", "Your credit balance is too low."),
        (_, Some("context_length_exceeded")) => (400, "invalid_request_error", "prompt is too long"),
        (401, _) => (status, "authentication_error", "invalid x-api-key"),
        (402, _) => (
            status,
            "billing_error",
            "There is a problem with the account's payment.",
        ),
        (403, _) => (status, "permission_error", "The key may not use this model."),
        (404, _) => (status, "not_found_error", "The model does not exist."),
        (413, _) => (status, "request_too_large", "The request is too large."),
        (429, _) => (
            status,
            "rate_limit_error",
            "This request would exceed the account's rate limit.",
        ),
        (504, _) => (status, "timeout_error", "The request timed out."),
        (503 | 529, _) => (status, "overloaded_error", "Overloaded"),
        (400..=499, _) => (status, "invalid_request_error", "The request is not valid."),
        _ => (status, "api_error", "Internal server error"),
    };
    let kind = match code {
        // A script may give any type of its own.
        Some(code) if code.ends_with("_error") => code,
        Some(_) | None => kind,
    };
    let error = json!({"type": kind, "message": message});
    let body = json!({"type": "error", "error": error, "request_id": format!("req_{seq}")});
    Refusal { status, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(protocol: Protocol, status: u16, code: Option<&str>) -> (u16, String) {
        let refusal = Refusal::new(protocol, 1, status, code);
        let kind = refusal.body["error"]["type"].as_str().unwrap().to_owned();
        (refusal.status, kind)
    }

    #[test]
    fn an_exhausted_quota_is_told_from_a_fast_pace() {
        let pace = Refusal::new(Protocol::OpenAi, 1, 429, None).body;
        assert_eq!(pace["error"]["code"], "rate_limit_exceeded");
        let quota = Some("insufficient_quota");
        assert_eq!(
            kind(Protocol::OpenAi, 429, quota),
            (429, "insufficient_quota".into())
        );
        assert_eq!(
            kind(Protocol::Anthropic, 429, None),
            (429, "rate_limit_error".into())
        );
        assert_eq!(
            kind(Protocol::Anthropic, 429, quota),
            (402, "billing_error".into())
        );
    }

    #[test]
    fn every_status_has_the_type_of_its_protocol() {
        for (status, expected) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            assert_eq!(kind(Protocol::Anthropic, status, None), (status, expected.into()));
        }
        assert_eq!(
            kind(Protocol::OpenAi, 529, None),
            (529, "overloaded_error".into())
        );
        assert_eq!(kind(Protocol::OpenAi, 500, None), (500, "server_error".into()));
    }
}
