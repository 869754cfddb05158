//! One typed failure, converted once.
//!
//! The SDK turns anything that is reached with a bare `?` into a retryable failure without a type. An
//! activity is therefore a short shell around a function with a typed error, and the shell converts that
//! error here, where code, retryability and delay are fields and cannot be forgotten.

use std::{error::Error, time::Duration};

use temporalio_common::{
    data_converters::TemporalSerializable,
    error::{ApplicationFailure, FailurePayloads},
};
use temporalio_sdk::activities::ActivityError;

/// Says what went wrong with all that lies under it, in one line.
///
/// A failure is all that crosses to the workflow, so its message carries the whole chain. A cause whose words are already
/// there is left out: many errors repeat their source's.
pub fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let shown = cause.to_string();
        if !text.contains(&shown) {
            text = format!("{text}: {shown}");
        }
        source = cause.source();
    }
    text
}

/// A failure as it crosses to the workflow.
#[derive(Debug)]
pub struct Failure {
    /// The failure's type name, from the closed list of codes of the caller's contract.
    pub code: &'static str,
    /// What failed and for which input; never the text of a prompt, a document or an answer.
    pub message: String,
    /// Whether Temporal may try again.
    pub retryable: bool,
    /// The least time until the next attempt, instead of the retry policy's interval.
    pub next_retry_delay: Option<Duration>,
    details: Option<FailurePayloads>,
}

impl Failure {
    /// States a failure that another attempt may mend.
    pub fn retryable(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: true,
            next_retry_delay: None,
            details: None,
        }
    }

    /// States a failure that another attempt would repeat.
    pub fn non_retryable(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            retryable: false,
            ..Self::retryable(code, message)
        }
    }

    /// Sets the least time until the next attempt; without effect on a failure that is not retried.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.next_retry_delay = Some(delay);
        self
    }

    /// Adds details that the workflow can read with their type.
    #[must_use]
    pub fn with_details<T>(mut self, details: T) -> Self
    where
        T: TemporalSerializable + Send + Sync + 'static,
    {
        self.details = Some(FailurePayloads::from(details));
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl From<Failure> for ApplicationFailure {
    fn from(failure: Failure) -> Self {
        let Failure {
            code,
            message,
            retryable,
            next_retry_delay,
            details,
        } = failure;
        Self::builder(message)
            .type_name(code.to_owned())
            .non_retryable(!retryable)
            .maybe_next_retry_delay(next_retry_delay)
            .maybe_details(details)
            .build()
    }
}

impl Failure {
    /// Converts into the SDK's error.
    #[must_use]
    pub fn into_activity_error(self) -> ActivityError {
        ActivityError::application(self.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use temporalio_sdk::activities::ActivityError;

    use super::{Failure, with_sources};

    #[derive(Debug, thiserror::Error)]
    enum Chained {
        #[error("outer")]
        Outer(#[source] Box<Chained>),
        #[error("it says: {0}")]
        Quoting(#[source] Box<Chained>),
        #[error("inner")]
        Inner,
    }

    #[test]
    fn a_message_carries_the_whole_chain_and_nothing_twice() {
        let inner = Box::new(Chained::Inner);
        let quoting = Box::new(Chained::Quoting(inner));
        assert_eq!(with_sources(&Chained::Outer(quoting)), "outer: it says: inner");
        assert_eq!(
            with_sources(&Chained::Outer(Box::new(Chained::Inner))),
            "outer: inner"
        );
    }

    #[test]
    fn code_retryability_delay_and_message_survive_the_conversion() {
        let delay = Duration::from_secs(7);
        let cases = [
            (
                Failure::retryable("RateLimited", "slow down").after(delay),
                false,
                Some(delay),
            ),
            (Failure::non_retryable("InvalidRequest", "slow down"), true, None),
            (
                Failure::retryable("Transport", "slow down").with_details("seen".to_owned()),
                false,
                None,
            ),
        ];
        for (failure, non_retryable, delay) in cases {
            let code = failure.code;
            let ActivityError::Application(application) = failure.into_activity_error() else {
                panic!("not an application failure");
            };
            assert_eq!(application.type_name(), Some(code));
            assert_eq!(application.is_non_retryable(), non_retryable, "{code}");
            assert_eq!(application.next_retry_delay(), delay, "{code}");
            assert_eq!(application.to_string(), "slow down");
        }
    }
}
