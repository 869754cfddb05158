//! The closed set of failure codes, each one row of one table.
//!
//! An activity fails with a code and nothing else decides what happens next: the activity's retry policy, the wait
//! before the retry and whether another model may be tried all follow from the row. A provider's error that fits no
//! row is a defect of the mapping, found at compile time because every match over the codes is exhaustive.

use std::{fmt, str::FromStr};

/// Why something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureCode {
    /// The input is not usable as it is.
    InvalidInput,
    /// The provider asks to slow down.
    RateLimited,
    /// The provider can't answer now.
    Overloaded,
    /// The provider could not be reached, or the connection broke before an answer began.
    Transport,
    /// The connection broke while the answer came.
    StreamBroken,
    /// The account has no quota or credit left.
    QuotaExhausted,
    /// The key is missing, wrong or not allowed to do this.
    Auth,
    /// The provider refuses the request as it is.
    InvalidRequest,
    /// The model doesn't exist, or no longer.
    ModelGone,
    /// The provider refuses the content.
    ContentFilter,
    /// The budget is used up.
    BudgetExceeded,
    /// The time that was given is over.
    DeadlineExceeded,
    /// The answer is larger than is accepted.
    ResponseTooLarge,
    /// The blob store or the effect journal can't be read or written.
    Storage,
    /// A call was sent and whether it was answered could not be learned.
    OutcomeUnknown,
    /// A defect of this software.
    Internal,
}

/// How long to wait before a retry, when the failure itself doesn't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// There is no retry.
    None,
    /// From one second, doubling, to a minute.
    Short,
    /// From five seconds, doubling, to five minutes: giving up later costs less than asking again sooner.
    Long,
}

/// What follows from a failure code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Whether the same activity is tried again.
    pub retryable: bool,
    /// How long to wait before.
    pub backoff: Backoff,
    /// Whether another model may be tried instead.
    pub fallback: bool,
}

const fn row(retryable: bool, backoff: Backoff, fallback: bool) -> Row {
    Row {
        retryable,
        backoff,
        fallback,
    }
}

impl FailureCode {
    /// Every code, in the order of the table in the documentation.
    pub const ALL: [Self; 16] = [
        Self::InvalidInput,
        Self::RateLimited,
        Self::Overloaded,
        Self::Transport,
        Self::StreamBroken,
        Self::QuotaExhausted,
        Self::Auth,
        Self::InvalidRequest,
        Self::ModelGone,
        Self::ContentFilter,
        Self::BudgetExceeded,
        Self::DeadlineExceeded,
        Self::ResponseTooLarge,
        Self::Storage,
        Self::OutcomeUnknown,
        Self::Internal,
    ];

    /// Gives what follows from the code.
    pub const fn row(self) -> Row {
        match self {
            Self::RateLimited | Self::Overloaded => row(true, Backoff::Long, true),
            Self::Transport | Self::StreamBroken => row(true, Backoff::Short, true),
            Self::Storage => row(true, Backoff::Short, false),
            Self::QuotaExhausted | Self::ModelGone => row(false, Backoff::None, true),
            Self::InvalidInput
            | Self::Auth
            | Self::InvalidRequest
            | Self::ContentFilter
            | Self::BudgetExceeded
            | Self::DeadlineExceeded
            | Self::ResponseTooLarge
            | Self::OutcomeUnknown
            | Self::Internal => row(false, Backoff::None, false),
        }
    }

    /// Gives the code as it crosses Temporal: the type of an application failure.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::RateLimited => "RateLimited",
            Self::Overloaded => "Overloaded",
            Self::Transport => "Transport",
            Self::StreamBroken => "StreamBroken",
            Self::QuotaExhausted => "QuotaExhausted",
            Self::Auth => "Auth",
            Self::InvalidRequest => "InvalidRequest",
            Self::ModelGone => "ModelGone",
            Self::ContentFilter => "ContentFilter",
            Self::BudgetExceeded => "BudgetExceeded",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::ResponseTooLarge => "ResponseTooLarge",
            Self::Storage => "Storage",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure type that is none of the codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a failure code")]
pub struct UnknownCode(String);

impl FromStr for FailureCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_its_spelling() {
        for code in FailureCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
        assert!("Timeout".parse::<FailureCode>().is_err());
    }

    #[test]
    fn a_wait_is_given_for_exactly_what_is_retried() {
        for code in FailureCode::ALL {
            let row = code.row();
            assert_eq!(row.retryable, row.backoff != Backoff::None, "{code}");
        }
    }

    #[test]
    fn what_asking_again_cannot_mend_is_not_retried() {
        for code in [
            FailureCode::InvalidInput,
            FailureCode::Auth,
            FailureCode::InvalidRequest,
            FailureCode::BudgetExceeded,
            FailureCode::OutcomeUnknown,
        ] {
            assert!(!code.row().retryable, "{code}");
        }
    }
}
