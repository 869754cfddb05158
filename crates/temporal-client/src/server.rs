//! What goes wrong between this program and the server, whatever was asked.
//!
//! A caller acts on three things only: nobody answers, the server refuses, the answer can't be read. Every module's
//! error carries one of them, so that a tool maps them to an exit code once and not for each call.

use std::fmt::Write as _;

use temporalio_client::tonic::{Code, Status};
use temporalio_common::data_converters::PayloadConversionError;

/// Why a call to a server that was reached before gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered, also after the SDK's own retries.
    #[error("the Temporal server does not answer ({reason}): check that it still runs and try again")]
    Unavailable {
        /// What the last attempt ended with.
        reason: String,
    },
    /// The server answered that it won't.
    #[error("the Temporal server refused: {reason}")]
    Refused {
        /// The server's words, with the gRPC code.
        reason: String,
    },
    /// The payload that came can't be read.
    #[error("the server's answer cannot be read: another data converter or key may have written it")]
    Unreadable(#[source] Box<PayloadConversionError>),
    /// The SDK met something it does not expect.
    #[error("the Temporal client failed: {0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Tells whether the same call may succeed a little later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
        ) || is_transport(&status)
        {
            return Self::Unavailable {
                reason: innermost(&status),
            };
        }
        let mut reason = status.message().trim_end_matches('.').to_owned();
        // Writing to a String can't fail.
        let _written = write!(reason, " ({:?})", status.code());
        Self::Refused { reason }
    }
}

impl From<PayloadConversionError> for Error {
    fn from(error: PayloadConversionError) -> Self {
        Self::Unreadable(Box::new(error))
    }
}

/// A connection that breaks in the middle of a call comes as code `Unknown` with the transport's error inside.
fn is_transport(status: &Status) -> bool {
    status.code() == Code::Unknown && std::error::Error::source(status).is_some()
}

/// Gives the innermost cause: tonic's outer text is only "transport error".
fn innermost(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    if text.is_empty() {
        format!("{:?}", status.code())
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_refusal_are_told_apart() {
        assert!(Error::from(Status::unavailable("tcp connect error")).is_unavailable());
        assert!(Error::from(Status::deadline_exceeded("")).is_unavailable());
        let refused = Error::from(Status::invalid_argument("invalid query."));
        assert_eq!(
            refused.to_string(),
            "the Temporal server refused: invalid query (InvalidArgument)"
        );
    }
}
