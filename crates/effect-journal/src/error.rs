//! How the journal can fail.
//!
//! The variants are what a caller decides on: a store that is away is worth another try, a fenced lease ends this
//! attempt, a damaged answer needs a person. A store's own error is kept as the source and never matched on, so
//! that a second store changes nothing for callers.

use std::path::PathBuf;

use crate::{EffectKey, Problem, State};

/// Says what the journal could not do, and for which attempt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options are wrong; all problems are listed.
    #[error("the journal's options are wrong: {}", join(.problems))]
    Options {
        /// Every problem that was found.
        problems: Vec<Problem>,
    },
    /// The store could not be opened or prepared.
    #[error("cannot open the journal {path:?}: check that it is a journal on a local disk, and writable")]
    Open {
        /// The store's file.
        path: PathBuf,
        /// What the file system or the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store's server could not be reached or prepared.
    #[error("cannot open the journal at {server}: check that the server runs, and that this user may use it")]
    Connect {
        /// The server and its database, without a password.
        server: String,
        /// What the server or the way to it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store was written by a newer release.
    #[error(
        "the journal {store} has schema version {found}, and this release knows versions up to {known}: run the newer release"
    )]
    NewerSchema {
        /// The store's file, or its server and database.
        store: String,
        /// The version that the store has.
        found: i64,
        /// The newest version that this release knows.
        known: i64,
    },
    /// The store could not be read or written: full, locked for too long, away or damaged.
    #[error("the journal cannot {operation}")]
    Storage {
        /// What was being done.
        operation: &'static str,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stored value contradicts its checksum or the rest of the store; it is not used.
    #[error("the journal is damaged at {key}, attempt {fence}: {what}; restore it from a backup")]
    Corrupt {
        /// The effect.
        key: EffectKey,
        /// The attempt.
        fence: u32,
        /// What contradicts what.
        what: &'static str,
    },
    /// What was asked makes no sense; retrying cannot help.
    #[error("the journal cannot take this: {what}")]
    Invalid {
        /// What is wrong.
        what: String,
    },
    /// The store's thread has ended.
    #[error("the journal cannot {operation}: its thread has ended, restart the worker")]
    Closed {
        /// What was being done.
        operation: &'static str,
    },
    /// The attempt was taken over by a later one.
    #[error("attempt {fence} of {key} was taken over by attempt {current}: stop, and claim again")]
    Fenced {
        /// The effect.
        key: EffectKey,
        /// The attempt that lost its lease.
        fence: u32,
        /// The attempt that holds the effect now.
        current: u32,
    },
    /// The attempt's state does not allow the step.
    #[error("attempt {fence} of {key} is {state} and cannot {operation}")]
    State {
        /// The effect.
        key: EffectKey,
        /// The attempt.
        fence: u32,
        /// The state it is in.
        state: State,
        /// What was asked.
        operation: &'static str,
    },
    /// The lease names an attempt that this store never granted.
    #[error("this journal holds no attempt {fence} of {key}: the lease is of another journal")]
    NoAttempt {
        /// The effect.
        key: EffectKey,
        /// The attempt.
        fence: u32,
    },
    /// The effect has a committed result whose response was pruned; it is neither replayed nor called again.
    #[error(
        "the answer of attempt {fence} of {key} was pruned: the effect is done, and its response is gone"
    )]
    Pruned {
        /// The effect.
        key: EffectKey,
        /// The attempt that was committed.
        fence: u32,
    },
}

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
