//! What can go wrong in a model activity, and the one place where it becomes a failure code.

use std::time::Duration;

use documents::{schema, text, tokens};
use effect_journal::{Limited, OverBudget, Why};
use model_clients::provider::{self, ErrorKind};
use workflow_types::{failure::FailureCode, problem::Problems};

use crate::failed::shown;

/// Why `generateText` gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input can't be used.
    #[error("the input can't be used: {0}")]
    Input(#[from] Problems),
    /// The content is no text.
    #[error("the content can't be used")]
    Content(#[from] text::Error),
    /// The JSON Schema can't be used.
    #[error("output.json.schema can't be used")]
    Schema(#[from] schema::Error),
    /// No provider of that name is configured.
    #[error(
        "no provider for `{model}` on this worker, which has: {known}; configure it or correct the model's name"
    )]
    UnknownProvider {
        /// The model that was asked for.
        model: String,
        /// The providers there are.
        known: String,
    },
    /// The model's tokenizer can't be had.
    #[error("the tokenizer of `{model}` can't be had")]
    Tokenizer {
        /// The model.
        model: String,
        /// Why.
        #[source]
        source: tokens::Error,
    },
    /// The model call failed.
    #[error(transparent)]
    Provider(#[from] provider::Error),
    /// The effect journal failed.
    #[error(transparent)]
    Journal(#[from] effect_journal::Error),
    /// The blob store failed.
    #[error(transparent)]
    Blob(#[from] blob_store::Error),
    /// Another attempt of the same effect is alive.
    #[error("another attempt holds this effect for {} s more", remaining.as_secs())]
    Busy {
        /// How long, unless it is renewed.
        remaining: Duration,
    },
    /// Whether an earlier attempt was answered could not be learned, and the request says not to repeat.
    #[error(
        "{attempts} earlier call(s) were sent and their outcome could not be learned; \
         look them up at the provider, or start again with onUnknown ON_UNKNOWN_REPEAT"
    )]
    OutcomeUnknown {
        /// How many.
        attempts: usize,
    },
    /// A budget has no room for the call; nothing was called.
    #[error("the budget {} has no room for the call: {}", shown(.0), missing(.0))]
    OverBudget(Box<OverBudget>),
    /// The provider's limit has no place for the call yet; nothing was called.
    #[error("the limit {} ({}) has no place for the call for {} ms", .0.name, .0.why.as_str(), .0.retry_after.as_millis())]
    Limited(Box<Limited>),
    /// The effect's key was first used for another request.
    #[error(
        "the effect was first claimed for another request; the workflow's code or its input changed under a run"
    )]
    OtherRequest,
    /// What the journal holds is not an answer this version can read.
    #[error("the journaled answer can't be read")]
    Journaled(#[source] serde_json::Error),
    /// The answer is journaled by reference, and what it refers to can't be had.
    #[error("the journaled answer can't be read from the blob store")]
    Offloaded(#[source] blob_store::Error),
    /// Work on the blocking pool ended without a result.
    #[error(transparent)]
    Blocking(#[from] activity_context::blocking::Error),
}

impl Error {
    /// Gives the failure code.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Input(_) | Self::Content(_) | Self::Schema(_) => FailureCode::InvalidInput,
            Self::UnknownProvider { .. } => FailureCode::ModelGone,
            Self::Provider(error) => provider_code(error.kind),
            Self::Journal(error) => journal_code(error),
            Self::Blob(error) => blob_code(error),
            Self::Busy { .. } => FailureCode::Storage,
            Self::OutcomeUnknown { .. } => FailureCode::OutcomeUnknown,
            Self::OverBudget(_) => FailureCode::BudgetExceeded,
            Self::Limited(limited) => limited_code(limited.why),
            Self::Offloaded(error) => offloaded_code(error),
            // A worker that shuts down gives its work to another one.
            Self::Blocking(_) => FailureCode::Transport,
            Self::Tokenizer { .. } | Self::OtherRequest | Self::Journaled(_) => FailureCode::Internal,
        }
    }

    /// Gives the least time until another attempt, when the error itself says so.
    pub(crate) fn delay(&self) -> Option<Duration> {
        if let Self::Busy { remaining } = self {
            return Some(*remaining);
        }
        if let Self::Limited(limited) = self {
            return Some(limited.retry_after);
        }
        if let Self::Provider(error) = self {
            error.retry_after
        } else {
            None
        }
    }
}

fn provider_code(kind: ErrorKind) -> FailureCode {
    match kind {
        ErrorKind::RateLimited => FailureCode::RateLimited,
        ErrorKind::Overloaded => FailureCode::Overloaded,
        // The worker cancels a call only when Temporal cancelled the activity, and then nobody reads the code.
        ErrorKind::Transport | ErrorKind::Cancelled => FailureCode::Transport,
        ErrorKind::StreamBroken => FailureCode::StreamBroken,
        ErrorKind::QuotaExhausted => FailureCode::QuotaExhausted,
        ErrorKind::Auth => FailureCode::Auth,
        ErrorKind::InvalidRequest => FailureCode::InvalidRequest,
        ErrorKind::ModelGone => FailureCode::ModelGone,
        ErrorKind::ContentFilter => FailureCode::ContentFilter,
        ErrorKind::DeadlineExceeded => FailureCode::DeadlineExceeded,
        ErrorKind::ResponseTooLarge => FailureCode::ResponseTooLarge,
        ErrorKind::Internal => FailureCode::Internal,
    }
}

fn journal_code(error: &effect_journal::Error) -> FailureCode {
    use effect_journal::Error as Journal;
    match error {
        Journal::Open { .. }
        | Journal::Connect { .. }
        | Journal::Storage { .. }
        | Journal::Closed { .. }
        | Journal::Fenced { .. } => FailureCode::Storage,
        Journal::Pruned { .. } => FailureCode::OutcomeUnknown,
        Journal::Options { .. }
        | Journal::NewerSchema { .. }
        | Journal::Invalid { .. }
        | Journal::Corrupt { .. }
        | Journal::NoAttempt { .. }
        | Journal::State { .. } => FailureCode::Internal,
    }
}

fn blob_code(error: &blob_store::Error) -> FailureCode {
    use blob_store::Error as Blob;
    match error {
        Blob::Open { .. } | Blob::Storage { .. } => FailureCode::Storage,
        Blob::Address { .. }
        | Blob::Forbidden { .. }
        | Blob::NotFound { .. }
        | Blob::Corrupt { .. }
        | Blob::TooLarge { .. }
        | Blob::Range { .. } => FailureCode::InvalidInput,
        Blob::Options { .. } => FailureCode::Internal,
    }
}

/// A provider that keeps failing is one that can't answer; all other waits are for its limits.
fn limited_code(why: Why) -> FailureCode {
    match why {
        Why::CircuitOpen => FailureCode::Overloaded,
        Why::Requests | Why::Tokens | Why::InFlight | Why::Blocked => FailureCode::RateLimited,
    }
}

/// Nobody chose the reference of an offloaded answer, so what is wrong with it is not the input's fault.
fn offloaded_code(error: &blob_store::Error) -> FailureCode {
    use blob_store::Error as Blob;
    match error {
        Blob::Open { .. } | Blob::Storage { .. } => FailureCode::Storage,
        // The effect is done, and its answer is gone.
        Blob::NotFound { .. } => FailureCode::OutcomeUnknown,
        Blob::Address { .. }
        | Blob::Forbidden { .. }
        | Blob::Corrupt { .. }
        | Blob::TooLarge { .. }
        | Blob::Range { .. }
        | Blob::Options { .. } => FailureCode::Internal,
    }
}

/// Says what a budget lacks, in the units that it limits.
fn missing(over: &OverBudget) -> String {
    let money = over.max.cost_micros.map(|max| {
        let (used, needed) = (over.used.cost_micros, over.needed.cost_micros);
        format!("of {max} micros {used} are used and up to {needed} more are needed")
    });
    let tokens = over.max.tokens.map(|max| {
        let (used, needed) = (over.used.tokens, over.needed.tokens);
        format!("of {max} tokens {used} are used and up to {needed} more are needed")
    });
    let parts: Vec<_> = money.into_iter().chain(tokens).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests;
