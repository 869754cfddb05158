//! Why a model cannot be loaded.
//!
//! Loading refuses whatever would otherwise show as bad answers: an architecture that the engine would compute as if
//! it were another, a pre-tokenizer or a chat template that is not known, a file that is not the one that was meant.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use model_clients::{CallOutcome, ErrorKind};
use tokio::task::JoinError;

/// Reports which model file cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("the model file {} does not exist; run `make setup` to fetch it, or correct the model's path", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the model file {}; check its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not the one that the settings name.
    #[error("the model file {} has the SHA-256 {actual} and not {expected}; fetch it again", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest in the settings.
        expected: String,
        /// The file's digest.
        actual: String,
    },
    /// The file's content cannot be used.
    #[error("cannot use the model file {}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Refusal,
    },
    /// The thread that loaded the model broke off.
    #[error("loading the model file {} broke off; the file may be damaged, fetch it again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What became of the thread.
        source: JoinError,
    },
}

/// Says what is wrong with the content of a model file.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its metadata cannot be read.
    #[error("its metadata is unusable")]
    Metadata(#[from] documents::gguf::Error),
    /// Its tokenizer cannot be built.
    #[error("its tokenizer is unusable")]
    Tokenizer(#[from] documents::tokens::Error),
    /// Its vocabulary does not fit.
    #[error("its vocabulary is unusable: {0}")]
    Vocabulary(String),
    /// Its tensors cannot be read or do not fit together.
    #[error("its weights are unusable")]
    Weights(#[from] candle_core::Error),
    /// It is a model that this engine does not compute.
    #[error("it is not supported: {0}")]
    Unsupported(String),
    /// Its chat template is not one of those known here.
    #[error(
        "its chat template (SHA-256 {digest}) is not known; set `chat_template` to the form that the model was \
         trained with"
    )]
    Template {
        /// The digest of the template's program, or `none` where the file has no template.
        digest: String,
    },
    /// The settings ask for a longer context than the model was trained for.
    #[error("`context_window` is {asked}, above the {trained} tokens that the model was trained for")]
    ContextWindow {
        /// The setting.
        asked: u32,
        /// The model's own.
        trained: u32,
    },
    /// The engine that constrains answers does not take the vocabulary.
    #[error("its vocabulary cannot be constrained: {0}")]
    Constraint(String),
}

impl From<Error> for model_clients::Error {
    fn from(error: Error) -> Self {
        // The message is all that a failed call shows, so it carries the whole chain.
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            // Writing to a string has no way to fail.
            write!(message, ": {cause}").unwrap_or_default();
            source = cause.source();
        }
        Self::new(ErrorKind::Internal, CallOutcome::NotSent, message).with_source(error)
    }
}
