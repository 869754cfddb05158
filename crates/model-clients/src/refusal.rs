//! From a provider's refusal to an error: which kind it is, and whether anything can have been billed.
//!
//! The status alone is not enough: 429 stands for "slower" and for "no money left", 404 for a wrong address and for
//! a model that is gone. The provider's own code decides where there is one, and its words only where products are
//! known to have nothing better. Both protocols put their errors into the same shape, so there is one reading of them;
//! a code of the one is no code of the other.

use std::fmt::Write as _;

use reqwest::StatusCode;
use serde_json::Value;

use crate::provider::{CallOutcome, Error, ErrorKind};
use crate::quoted::Confidential;

const QUOTA: [&str; 8] = [
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
    "budget_exceeded",
    "insufficient_balance",
    "insufficient_credits",
    "insufficient_quota",
    "quota_exceeded",
];
const FILTERED: [&str; 4] = [
    "content_filter",
    "content_policy_violation",
    "moderation_blocked",
    "responsibleaipolicyviolation",
];
const NO_MODEL: [&str; 5] = [
    "deploymentnotfound",
    "model_decommissioned",
    "model_deprecated",
    "model_not_available",
    "model_not_found",
];
const RATE: [&str; 4] = [
    "rate_limit_error",
    "rate_limit_exceeded",
    "too_many_requests",
    "toomanyrequests",
];

/// Words that stand for a used-up account where the code says no more than "invalid request".
const QUOTA_WORDS: [&str; 2] = ["credit balance is too low", "api usage limits"];
/// Words that stand for a filter where the code says no more than "invalid request".
const FILTER_WORDS: [&str; 1] = ["content filtering policy"];
/// The status that a code would have come with, for an error in the middle of an answer, which has none of its own.
const STATUS_OF_LABEL: [(&str, u16); 9] = [
    ("api_error", 500),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("not_found_error", 404),
    ("overloaded_error", 529),
    ("permission_error", 403),
    ("rate_limit_error", 429),
    ("request_too_large", 413),
    ("timeout_error", 504),
];

/// The most characters of a provider's error code that are shown.
const MAX_CODE_CHARS: usize = 64;

/// How far an answer had come when it turned into an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progressed {
    /// Nothing has come of it.
    Nothing,
    /// The provider has said that it works on it, or how much it has read.
    Accepted,
    /// Text has come.
    Text,
}

/// What a provider says about an error.
#[derive(Default)]
pub(crate) struct Complaint {
    message: Option<String>,
    /// `code` and `type`, in lower case.
    labels: Vec<String>,
    is_about_the_model: bool,
    /// The status that a gateway puts into the body of a 200.
    status: Option<u16>,
}

impl Complaint {
    /// Reads the body of a refusal; a body in no known form says nothing.
    pub(crate) fn from_body(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        // One vendor's compatible endpoint wraps its errors in an array.
        let value = value.get(0).unwrap_or(&value);
        Self::from_value(value.get("error").unwrap_or(value))
    }

    /// Reads the value of an `error` field.
    pub(crate) fn from_value(error: &Value) -> Self {
        let field = |name: &str| error.get(name);
        let code = field("code");
        let label = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_ascii_lowercase);
        let message = error
            .as_str()
            .or_else(|| field("message").and_then(Value::as_str))
            .or_else(|| field("detail").and_then(Value::as_str))
            .map(str::to_owned);
        let names_a_model = message
            .as_ref()
            .is_some_and(|message| message.to_ascii_lowercase().contains("model"));
        Self {
            is_about_the_model: names_a_model || field("param").and_then(Value::as_str) == Some("model"),
            labels: label(code).into_iter().chain(label(field("type"))).collect(),
            status: code
                .and_then(Value::as_u64)
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| (400..600).contains(code)),
            message,
        }
    }

    fn has(&self, labels: &[&str]) -> bool {
        self.labels.iter().any(|label| labels.contains(&label.as_str()))
    }

    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        words.iter().any(|words| message.contains(words))
    }

    /// The status of an error that came without one: the body's own number, or the one its code stands for.
    fn implied_status(&self) -> Option<u16> {
        let of_label = STATUS_OF_LABEL
            .into_iter()
            .find(|(label, _)| self.has(&[label]))
            .map(|(_, status)| status);
        self.status.or(of_label)
    }

    fn is_about_the_request(&self) -> bool {
        [&QUOTA[..], &FILTERED, &NO_MODEL, &["invalid_request_error"]]
            .iter()
            .any(|labels| self.has(labels))
    }

    fn kind(&self, status: u16) -> ErrorKind {
        if (400..500).contains(&status) {
            if self.has(&QUOTA) || self.says(&QUOTA_WORDS) {
                return ErrorKind::QuotaExhausted;
            }
            if self.has(&FILTERED) || self.says(&FILTER_WORDS) {
                return ErrorKind::ContentFilter;
            }
            if self.has(&NO_MODEL) {
                return ErrorKind::ModelGone;
            }
        }
        match status {
            300..=399 => ErrorKind::Internal,
            401 | 403 | 407 => ErrorKind::Auth,
            402 => ErrorKind::QuotaExhausted,
            404 if self.is_about_the_model => ErrorKind::ModelGone,
            410 => ErrorKind::ModelGone,
            429 => ErrorKind::RateLimited,
            501 | 505 => ErrorKind::InvalidRequest,
            408 | 409 | 425 | 500..=599 => ErrorKind::Overloaded,
            _ => ErrorKind::InvalidRequest,
        }
    }

    /// Makes the error of an answer whose status is not a success.
    pub(crate) fn refused(&self, status: StatusCode, confidential: Confidential<'_>) -> Error {
        let status = status.as_u16();
        let kind = self.kind(status);
        let message = self.describe(kind, &format!("status {status}"), confidential);
        Error::new(kind, outcome(status), message).with_status(status)
    }

    /// Makes the error of an answer that began as a success and then reported an error.
    pub(crate) fn after_success(&self, progressed: Progressed, confidential: Confidential<'_>) -> Error {
        let status = self.implied_status();
        let kind = match status {
            Some(status) => self.kind(status),
            None if self.has(&RATE) => ErrorKind::RateLimited,
            None if self.is_about_the_request() => self.kind(400),
            // Anything else tells of trouble on the provider's side.
            None => ErrorKind::StreamBroken,
        };
        let is_passing = matches!(
            kind,
            ErrorKind::Overloaded | ErrorKind::Transport | ErrorKind::StreamBroken
        );
        let billing = if progressed != Progressed::Nothing || is_passing {
            CallOutcome::Unknown
        } else {
            CallOutcome::NotBilled
        };
        let kind = if progressed == Progressed::Text && is_passing {
            ErrorKind::StreamBroken
        } else {
            kind
        };
        let mut error = Error::new(
            kind,
            billing,
            self.describe(kind, "an error in the answer", confidential),
        );
        error.status = status;
        error
    }

    fn describe(&self, kind: ErrorKind, what: &str, confidential: Confidential<'_>) -> String {
        let mut text = format!("the provider answered with {what}");
        if let Some(label) = self.labels.first() {
            let label: String = label.chars().take(MAX_CODE_CHARS).collect();
            // Writing to a string does not fail.
            write!(text, " ({})", confidential.clean(&label)).ok();
        }
        text.push_str(advice(kind));
        // Servers that refuse a key are the ones that repeat it.
        if let Some(message) = self.message.as_ref().filter(|_| kind != ErrorKind::Auth) {
            text.push_str(": ");
            text.push_str(&confidential.clean(message));
        }
        text
    }
}

/// Says what became of a call that was answered with this status.
///
/// A provider does not bill what it refuses. A gateway in front of it that lost the provider's answer cannot know.
fn outcome(status: u16) -> CallOutcome {
    match status {
        499 | 502 | 504 | 520..=527 => CallOutcome::Unknown,
        _ => CallOutcome::NotBilled,
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Auth => "; check the key and what it may do",
        ErrorKind::QuotaExhausted => "; the account's quota or money is used up",
        ErrorKind::ModelGone => "; check the model's name",
        ErrorKind::Internal => "; it redirects, which is not followed, so set base_url to the final address",
        ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Transport
        | ErrorKind::StreamBroken
        | ErrorKind::InvalidRequest
        | ErrorKind::ContentFilter
        | ErrorKind::DeadlineExceeded
        | ErrorKind::ResponseTooLarge
        | ErrorKind::Cancelled => "",
    }
}

#[cfg(test)]
mod tests;
