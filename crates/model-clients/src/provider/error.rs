//! The error of a model call: a closed kind, what became of the call, and when to come back.
//!
//! The kinds are those codes of the project's failure table that a provider can cause, so the mapping in the
//! activity is one exhaustive match. A message never holds text of a prompt or an answer; a provider's own error
//! text is cut to [`MAX_MESSAGE_CHARS`].

use std::fmt;
use std::time::Duration;

use crate::limits::LimitHeaders;

/// The source of an error, boxed.
pub type BoxedSource = Box<dyn std::error::Error + Send + Sync>;

/// The most characters of a provider's error text that a message holds.
pub const MAX_MESSAGE_CHARS: usize = 300;

/// A failed model call.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of failure it is; decides whether and how to try again.
    pub kind: ErrorKind,
    /// What became of the call; decides what the effect journal records.
    pub billing: CallOutcome,
    /// How long the provider asks to wait before the next call.
    pub retry_after: Option<Duration>,
    /// What the answer's headers say about limits; nothing where there was no answer.
    pub limits: Box<LimitHeaders>,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's own id of the exchange, for asking there what became of it.
    pub request_id: Option<String>,
    /// What failed and what to do about it, without any text of prompt or answer.
    pub message: String,
    /// The error underneath.
    #[source]
    pub source: Option<BoxedSource>,
}

impl Error {
    /// Makes an error without delay, status and source.
    pub fn new(kind: ErrorKind, billing: CallOutcome, message: impl Into<String>) -> Self {
        Self {
            kind,
            billing,
            retry_after: None,
            limits: Box::default(),
            status: None,
            request_id: None,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxedSource>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds the delay that the provider asks for.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }
}

/// What kind of failure a model call met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The provider limits the rate of calls; wait and try again.
    RateLimited,
    /// The provider is overloaded or broken for the moment; try again with back-off, here or elsewhere.
    Overloaded,
    /// The connection failed, or a time limit passed, before the first byte of an answer.
    Transport,
    /// The answer broke off, stalled or turned into something unreadable after it had begun.
    StreamBroken,
    /// The account's quota or money is used up; trying again does not help.
    QuotaExhausted,
    /// The key is missing, wrong, or not allowed to do this.
    Auth,
    /// The provider refuses the request as it stands, for instance because it exceeds the context window.
    InvalidRequest,
    /// The model does not exist here, or no longer.
    ModelGone,
    /// The provider refuses the content of the request.
    ContentFilter,
    /// The time for the whole call is used up.
    DeadlineExceeded,
    /// The answer is larger than the configured limit.
    ResponseTooLarge,
    /// The call was cancelled.
    Cancelled,
    /// A defect on our side or in the configuration.
    Internal,
}

impl ErrorKind {
    /// Names the kind as the project's failure table does.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "RateLimited",
            Self::Overloaded => "Overloaded",
            Self::Transport => "Transport",
            Self::StreamBroken => "StreamBroken",
            Self::QuotaExhausted => "QuotaExhausted",
            Self::Auth => "Auth",
            Self::InvalidRequest => "InvalidRequest",
            Self::ModelGone => "ModelGone",
            Self::ContentFilter => "ContentFilter",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::ResponseTooLarge => "ResponseTooLarge",
            Self::Cancelled => "Cancelled",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of a call that failed, as far as money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// Nothing of the request left this process: the reservation can be released.
    NotSent,
    /// The provider answered with a refusal, or the work was done here: nothing is billed, the reservation can be
    /// released.
    NotBilled,
    /// The request left and its outcome was not learned: it may be billed, and counts as if it were.
    Unknown,
}
