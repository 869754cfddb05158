//! Why bytes could not be had or kept.
//!
//! The variants say what a caller can do about it: a missing or damaged object is the caller's news, a store that
//! doesn't answer is the store's. Which of them is worth another try is not decided here, because a model's worker and
//! a clean-up see it differently.

use crate::Problem;

/// Reports why the blob store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options do not make a store.
    #[error("the blob store's options are not usable: {}", listed(.problems))]
    Options {
        /// Everything that is wrong with them.
        problems: Vec<Problem>,
    },
    /// The store that the options name cannot be opened.
    #[error("cannot open the blob store {url}; check its address and the rights to it")]
    Open {
        /// The store's address.
        url: String,
        /// What the system or the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A text is no reference to an object, or no place where a run may stage data.
    #[error("`{uri}` {reason}")]
    Address {
        /// The text as it was given.
        uri: String,
        /// What is wrong with it and what would be right.
        reason: &'static str,
    },
    /// The reference points to where this process may not read or write.
    #[error("`{uri}` is not allowed here: {reason}")]
    Forbidden {
        /// The reference.
        uri: String,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// There is no such object.
    #[error("`{uri}` does not exist; check the reference, or stage the data again")]
    NotFound {
        /// The reference.
        uri: String,
    },
    /// The object is not what its reference says.
    #[error(
        "`{uri}` is not what its reference says: {difference}; it was changed or damaged, so reference it anew"
    )]
    Corrupt {
        /// The reference.
        uri: String,
        /// The sizes or the hashes that differ.
        difference: String,
    },
    /// The object is larger than the caller takes.
    #[error("`{uri}` has {size_bytes} bytes, above the limit of {limit_bytes}")]
    TooLarge {
        /// The reference.
        uri: String,
        /// The object's size as far as it is known.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// A part was asked for that the object does not have.
    #[error(
        "`{uri}` has {size_bytes} bytes and no {length} from {offset}; the file changed or the position is wrong"
    )]
    Range {
        /// The reference.
        uri: String,
        /// Where the part would start.
        offset: u64,
        /// How long it would be.
        length: u64,
        /// The object's size.
        size_bytes: u64,
    },
    /// The store could not be reached, refused, or failed half way.
    #[error("could not {operation} `{uri}` in the blob store")]
    Storage {
        /// What was being done: read, write, list, delete, check.
        operation: &'static str,
        /// The reference or prefix.
        uri: String,
        /// What the system or the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub(crate) fn address(uri: &str, reason: &'static str) -> Self {
        Self::Address {
            uri: uri.to_owned(),
            reason,
        }
    }

    /// Makes the error for what `object_store` says about an object.
    pub(crate) fn from_object_store(operation: &'static str, uri: &str, source: object_store::Error) -> Self {
        if matches!(source, object_store::Error::NotFound { .. }) {
            return Self::NotFound { uri: uri.to_owned() };
        }
        Self::storage(operation, uri, source)
    }

    pub(crate) fn storage(
        operation: &'static str,
        uri: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Storage {
            operation,
            uri: uri.to_owned(),
            source: source.into(),
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    let texts: Vec<_> = problems.iter().map(Problem::to_string).collect();
    texts.join("; ")
}
