//! What can go wrong in a model activity, and the one place where it becomes a failure code.

use std::time::Duration;

use activity_context::{Failure, with_sources};
use documents::{schema, text, tokens};
use model_clients::provider::{self, ErrorKind};
use workflow_types::{failure::FailureCode, problem::Problems, proto::FailureDetails, wire::Wire};

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
    /// The effect's key was first used for another request.
    #[error(
        "the effect was first claimed for another request; the workflow's code or its input changed under a run"
    )]
    OtherRequest,
    /// What the journal holds is not an answer this version can read.
    #[error("the journaled answer can't be read")]
    Journaled(#[source] serde_json::Error),
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
            // A worker that shuts down gives its work to another one.
            Self::Blocking(_) => FailureCode::Transport,
            Self::Tokenizer { .. } | Self::OtherRequest | Self::Journaled(_) => FailureCode::Internal,
        }
    }

    /// Gives the least time until another attempt, when the error itself says so.
    fn delay(&self) -> Option<Duration> {
        if let Self::Busy { remaining } = self {
            return Some(*remaining);
        }
        if let Self::Provider(error) = self {
            error.retry_after
        } else {
            None
        }
    }

    /// Converts into what crosses to the workflow.
    pub(crate) fn into_failure(self) -> Failure {
        let code = self.code();
        // Neither an error here nor what lies under it quotes a prompt or an answer.
        let message = with_sources(&self);
        let delay = self.delay();
        let problems = if let Self::Input(problems) = self {
            problems.into_vec()
        } else {
            Vec::new()
        };
        let details = FailureDetails {
            code: code.as_str().to_owned(),
            problems,
        };
        let failure = if code.row().retryable {
            Failure::retryable(code.as_str(), message)
        } else {
            Failure::non_retryable(code.as_str(), message)
        };
        let failure = failure.with_details(Wire::new(details));
        match delay {
            Some(delay) => failure.after(delay),
            None => failure,
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
        Journal::Open { .. } | Journal::Storage { .. } | Journal::Closed { .. } | Journal::Fenced { .. } => {
            FailureCode::Storage
        }
        Journal::Pruned { .. } => FailureCode::OutcomeUnknown,
        Journal::Options { .. }
        | Journal::NewerSchema { .. }
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

#[cfg(test)]
mod tests;
