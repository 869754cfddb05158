//! What the head of an answer says beside its status.
//!
//! It is read once, when the head arrives, and kept with the call: an answer that breaks off afterwards has still said
//! how much of a limit is left, and under which id the provider can be asked what became of it.

use std::time::{Duration, SystemTime};

use reqwest::Response;

use crate::limits::{self, LimitHeaders};
use crate::retry_after;

/// The longest id of an exchange that is kept.
const MAX_ID_BYTES: usize = 128;

/// What the head of an answer says beside its status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    pub(crate) limits: LimitHeaders,
    /// How long to wait after a refusal, by any header.
    pub(crate) wait: Option<Duration>,
    pub(crate) request_id: Option<String>,
}

impl Heard {
    pub(super) fn of(response: &Response) -> Self {
        let (headers, now) = (response.headers(), SystemTime::now());
        let request_id = ["request-id", "x-request-id"]
            .iter()
            .find_map(|name| retry_after::text(headers, name))
            .filter(|id| is_id(id));
        Self {
            limits: limits::headers::read(headers, now),
            wait: retry_after::from_headers(headers, now),
            request_id: request_id.map(str::to_owned),
        }
    }
}

/// Whether a text has the form of an id; anything else in its place is not shown to anybody.
fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(is_plain)
}
