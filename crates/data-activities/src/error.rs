//! What can go wrong in a data activity, and the one place where it becomes a failure code.
//!
//! The blob store's errors come in two variants, because the same missing object means two things: what a caller
//! referenced and isn't there is the caller's input, what the run itself staged and isn't there is a defect.

use activity_context::{Failure, blocking, with_sources};
use blob_store::Error as Blob;
use documents::{chunk, text, tokens};
use workflow_types::{
    failure::FailureCode,
    problem::Problems,
    proto::{FailureDetails, Problem},
};

/// Why a data activity gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input can't be used.
    #[error("the input can't be used: {0}")]
    Input(#[from] Problems),
    /// What should be text is none.
    #[error("{path} can't be used")]
    Text {
        /// Where the text came from.
        path: &'static str,
        /// What is wrong with it.
        source: text::Error,
    },
    /// What the caller references can't be read.
    #[error("{path} can't be read")]
    Reference {
        /// Where the reference came from.
        path: &'static str,
        /// What the store said.
        source: Blob,
    },
    /// What the run stages can't be written, read or removed.
    #[error("staged data can't be written, read or removed")]
    Staged(#[source] Blob),
    /// The model is not in the options.
    #[error(
        "`{model}` is not among the data-worker's models, which are: {known}; add it there or correct its name"
    )]
    UnknownModel {
        /// The model that was asked for.
        model: String,
        /// The models there are.
        known: String,
    },
    /// The model's tokenizer can't be had.
    #[error("the tokenizer of `{model}` can't be had")]
    Tokenizer {
        /// The model.
        model: String,
        /// Why.
        source: tokens::Error,
    },
    /// The text can't be cut.
    #[error("the content can't be cut into chunks")]
    Chunk(#[from] chunk::Error),
    /// A message can't be written as JSON.
    #[error("a result can't be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The blocking pool gave no result.
    #[error(transparent)]
    Blocking(#[from] blocking::Error),
    /// The activity was asked to stop.
    #[error("the activity was asked to stop")]
    Stopped,
}

impl Error {
    /// Gives the failure code.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Input(_) | Self::Text { .. } | Self::Chunk(_) => FailureCode::InvalidInput,
            Self::Reference { source, .. } => reference_code(source),
            Self::Staged(source) => staged_code(source),
            Self::UnknownModel { .. } => FailureCode::ModelGone,
            Self::Tokenizer { .. } | Self::Encode(_) | Self::Blocking(_) | Self::Stopped => {
                FailureCode::Internal
            }
        }
    }

    /// Tells whether another attempt may fare better: as the code's row says, and after a worker's shutdown.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Stopped | Self::Blocking(blocking::Error::Cancelled | blocking::Error::ShuttingDown) => {
                true
            }
            Self::Input(_)
            | Self::Text { .. }
            | Self::Reference { .. }
            | Self::Staged(_)
            | Self::UnknownModel { .. }
            | Self::Tokenizer { .. }
            | Self::Chunk(_)
            | Self::Encode(_)
            | Self::Blocking(blocking::Error::Panicked) => self.code().row().retryable,
        }
    }

    /// Converts into what crosses to the workflow.
    pub(crate) fn into_failure(self) -> Failure {
        // Neither an error here nor what lies under it quotes a document.
        let (code, message) = (self.code().as_str(), with_sources(&self));
        let failure = if self.retryable() {
            Failure::retryable(code, message.clone())
        } else {
            Failure::non_retryable(code, message.clone())
        };
        failure.with_details(FailureDetails {
            code: code.to_owned(),
            problems: self.problems(message),
            ..FailureDetails::default()
        })
    }

    /// Gives what is wrong with the input, place by place; nothing for what is not the input's fault.
    fn problems(self, message: String) -> Vec<Problem> {
        if self.code() != FailureCode::InvalidInput {
            return Vec::new();
        }
        let path = match self {
            Self::Input(problems) => return problems.into_vec(),
            Self::Text { path, .. } | Self::Reference { path, .. } => path,
            Self::Chunk(_) => "preprocessing.chunkTokens",
            Self::Staged(_)
            | Self::UnknownModel { .. }
            | Self::Tokenizer { .. }
            | Self::Encode(_)
            | Self::Blocking(_)
            | Self::Stopped => "$",
        };
        vec![Problem {
            path: path.to_owned(),
            message,
        }]
    }
}

fn reference_code(error: &Blob) -> FailureCode {
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

fn staged_code(error: &Blob) -> FailureCode {
    match error {
        Blob::Open { .. } | Blob::Storage { .. } => FailureCode::Storage,
        Blob::Address { .. }
        | Blob::Forbidden { .. }
        | Blob::NotFound { .. }
        | Blob::Corrupt { .. }
        | Blob::TooLarge { .. }
        | Blob::Range { .. }
        | Blob::Options { .. } => FailureCode::Internal,
    }
}

#[cfg(test)]
mod tests;
