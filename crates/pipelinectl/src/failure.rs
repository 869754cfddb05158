//! Why a command did not do what it was asked, as one sentence, one word for scripts and one exit code.
//!
//! Every library's error becomes a [`Failure`] here and nowhere else, by exhaustive match where the error is ours, so
//! the same mistake has the same code and the same words under every command.

use std::{fmt, io, path::Path};

use serde::Serialize;
use temporal_client::{connection, history, listing, outcome, run, server, setup, start, update};
use workflow_types::{failure::FailureCode, problem::Problems, proto::Problem};

use crate::exit::Exit;

/// The workers say which models they have; Temporal can't be asked for that before a run starts.
const ADD_A_MODEL: &str = "a model is added in the configuration of both workers, under models.openai of the ai-worker \
                           and documents.models of the data-worker (docs/operations.md shows one)";

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    /// The exit code.
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// One word for scripts: a failure code of the run, or one of `BadInput`, `ServerUnavailable`, `ServerRefused`,
    /// `NoWorker`, `NotFound`, `AlreadyEnded`, `Refused`, `IdTaken`, `Cancelled`, `Terminated`, `TimedOut`, `WaitOver`,
    /// `Interrupted`, `Storage`, `Incomplete`, `NoItemCompleted`, `NotSaved`, `Usage`, `Internal`.
    pub(crate) code: String,
    /// What is wrong and what to do.
    pub(crate) message: String,
    /// What was wrong, one entry a place.
    pub(crate) problems: Vec<Problem>,
    /// The run it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow_id: Option<String>,
    /// What a run that failed had used, and on which models.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) spent: Option<Box<outcome::Spent>>,
}

impl Failure {
    fn new(exit: Exit, code: &str, message: impl fmt::Display) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.to_string(),
            problems: Vec::new(),
            workflow_id: None,
            spent: None,
        }
    }

    /// Says that an input or a setting can't be used.
    pub(crate) fn bad_input(message: impl fmt::Display) -> Self {
        Self::new(Exit::BadInput, "BadInput", message)
    }

    /// Says that nobody works on a queue.
    pub(crate) fn no_worker(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unavailable, "NoWorker", message)
    }

    /// Says that this program, or one that it runs, is at fault.
    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        Self::new(Exit::Fault, "Internal", message)
    }

    /// Says that what a run gave could not be written to a file.
    pub(crate) fn not_saved(message: impl fmt::Display) -> Self {
        Self::new(Exit::Fault, "NotSaved", message)
    }

    /// Says that something is not there.
    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self::new(Exit::BadInput, "NotFound", message)
    }

    /// Says that whoever was asked to change something refuses, and that nothing was changed.
    pub(crate) fn refused(message: impl fmt::Display) -> Self {
        Self::new(Exit::BadInput, "Refused", message)
    }

    /// Says that a run's answer is not complete, for those who asked to be told.
    pub(crate) fn incomplete(message: impl fmt::Display) -> Self {
        Self::new(Exit::RunFailed, "Incomplete", message)
    }

    /// Says that a batch gave nothing but failures.
    pub(crate) fn no_item_completed(message: impl fmt::Display) -> Self {
        Self::new(Exit::RunFailed, "NoItemCompleted", message)
    }

    /// Says that the command line can't be understood.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, "Usage", message)
    }

    /// Says that the time to wait is over.
    pub(crate) fn wait_over(workflow_id: &str) -> Self {
        let message = format!(
            "the time to wait is over and the run goes on: `pipelinectl watch {workflow_id}` waits again, \
             `pipelinectl cancel {workflow_id}` stops it"
        );
        Self::new(Exit::WaitOver, "WaitOver", message).about(workflow_id)
    }

    /// Says that a run has not ended, to somebody who did not want to wait.
    pub(crate) fn not_ended(workflow_id: &str) -> Self {
        let message =
            format!("workflow `{workflow_id}` has not ended: `pipelinectl watch {workflow_id}` waits for it");
        Self::new(Exit::WaitOver, "WaitOver", message).about(workflow_id)
    }

    /// Says that waiting was interrupted.
    pub(crate) fn interrupted(workflow_id: &str) -> Self {
        let message = format!(
            "stopped waiting; the run goes on: `pipelinectl watch {workflow_id}` waits again, \
             `pipelinectl cancel {workflow_id}` stops it"
        );
        Self::new(Exit::Interrupted, "Interrupted", message).about(workflow_id)
    }

    /// Says that a file can't be read or written.
    pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::bad_input(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// Names the run it is about.
    pub(crate) fn about(mut self, workflow_id: &str) -> Self {
        self.workflow_id = Some(workflow_id.to_owned());
        self
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let problems = problems.into_vec();
        let count = problems.len();
        let message = format!(
            "the input has {count} mistake{}; nothing was started",
            if count == 1 { "" } else { "s" }
        );
        Self {
            problems,
            ..Self::bad_input(message)
        }
    }
}

impl From<connection::Error> for Failure {
    fn from(error: connection::Error) -> Self {
        let message = error.to_string();
        match error {
            connection::Error::Settings(problems) => Self {
                problems: problems.into_vec(),
                ..Self::bad_input("the connection settings cannot be used")
            },
            connection::Error::Unreachable { .. } => {
                Self::new(Exit::Unavailable, "ServerUnavailable", message)
            }
            connection::Error::Refused { .. } => Self::new(Exit::Unavailable, "ServerRefused", message),
            connection::Error::NamespaceMissing { .. } => Self::new(Exit::Unavailable, "NotFound", message),
        }
    }
}

impl From<server::Error> for Failure {
    fn from(error: server::Error) -> Self {
        let message = chain(&error);
        match error {
            server::Error::Unavailable { .. } => Self::new(Exit::Unavailable, "ServerUnavailable", message),
            server::Error::Refused { .. } => Self::new(Exit::Unavailable, "ServerRefused", message),
            server::Error::Unreadable(_) | server::Error::Other(_) => Self::internal(message),
        }
    }
}

impl From<start::Error> for Failure {
    fn from(error: start::Error) -> Self {
        let message = error.to_string();
        match error {
            start::Error::Input(problems) => problems.into(),
            start::Error::IdTaken { workflow_id, .. } => {
                let message = format!("{message}: add --use-existing, or `pipelinectl watch {workflow_id}`");
                Self::new(Exit::BadInput, "IdTaken", message).about(&workflow_id)
            }
            start::Error::AttributesMissing { .. } => Self::new(Exit::Unavailable, "ServerRefused", message),
            start::Error::Server(error) => error.into(),
        }
    }
}

impl From<run::Error> for Failure {
    fn from(error: run::Error) -> Self {
        let message = error.to_string();
        match error {
            run::Error::NotFound { workflow_id, .. } => {
                Self::new(Exit::BadInput, "NotFound", message).about(&workflow_id)
            }
            run::Error::Foreign { workflow_id, .. } => Self::bad_input(message).about(&workflow_id),
            run::Error::Ended { workflow_id, .. } => {
                Self::new(Exit::BadInput, "AlreadyEnded", message).about(&workflow_id)
            }
            run::Error::NoAnswer { workflow_id, .. } => Self::no_worker(message).about(&workflow_id),
            run::Error::Answer { workflow_id, .. } => Self::internal(message).about(&workflow_id),
            run::Error::Server(error) => error.into(),
        }
    }
}

impl From<update::Error> for Failure {
    fn from(error: update::Error) -> Self {
        let message = error.to_string();
        match error {
            update::Error::Input(problems) => Self {
                problems: problems.into_vec(),
                ..Self::bad_input("what was to be sent cannot be used; nothing was sent")
            },
            update::Error::Refused { workflow_id, .. } | update::Error::NoRoom { workflow_id, .. } => {
                Self::refused(message).about(&workflow_id)
            }
            update::Error::Pending { workflow_id } => {
                Self::new(Exit::WaitOver, "WaitOver", message).about(&workflow_id)
            }
            update::Error::Run(error) => error.into(),
        }
    }
}

impl From<effect_journal::Error> for Failure {
    fn from(error: effect_journal::Error) -> Self {
        use effect_journal::Error as Journal;
        let message = chain(&error);
        match error {
            Journal::Options { .. } | Journal::Invalid { .. } => Self::bad_input(message),
            Journal::NoAttempt { .. } => Self::not_found(message),
            Journal::State { .. } | Journal::Fenced { .. } | Journal::Pruned { .. } => Self::refused(message),
            Journal::Open { .. }
            | Journal::Connect { .. }
            | Journal::NewerSchema { .. }
            | Journal::Storage { .. }
            | Journal::Closed { .. }
            | Journal::Corrupt { .. } => Self::new(Exit::Unavailable, "Storage", message),
        }
    }
}

impl From<outcome::Error> for Failure {
    fn from(error: outcome::Error) -> Self {
        let message = error.to_string();
        match error {
            outcome::Error::Failed(failed) => {
                let word = failed.code.map_or("RunFailed", FailureCode::as_str);
                let message = match failed.code {
                    Some(FailureCode::ModelGone) => format!("{message}; {ADD_A_MODEL}"),
                    Some(_) | None => message,
                };
                Self {
                    problems: failed.problems,
                    spent: failed.spent,
                    ..Self::new(Exit::RunFailed, word, message)
                }
            }
            outcome::Error::Cancelled { .. } => Self::new(Exit::Cancelled, "Cancelled", message),
            outcome::Error::Terminated => Self::new(Exit::RunFailed, "Terminated", message),
            outcome::Error::TimedOut => Self::new(Exit::RunFailed, "TimedOut", message),
            outcome::Error::NotFound { workflow_id, .. } => {
                Self::new(Exit::BadInput, "NotFound", message).about(&workflow_id)
            }
            outcome::Error::Output(_) => Self::internal(message),
            outcome::Error::Server(error) => error.into(),
        }
    }
}

impl From<listing::Error> for Failure {
    fn from(error: listing::Error) -> Self {
        match error {
            listing::Error::Filter(problems) => Self {
                problems: problems.into_vec(),
                ..Self::bad_input("the filter cannot be used")
            },
            listing::Error::Server(error) => error.into(),
        }
    }
}

impl From<history::Error> for Failure {
    fn from(error: history::Error) -> Self {
        match error {
            history::Error::Run(error) => error.into(),
            history::Error::Json { .. } => Self::internal(chain(&error)),
        }
    }
}

impl From<setup::Error> for Failure {
    fn from(error: setup::Error) -> Self {
        let message = error.to_string();
        match error {
            setup::Error::OtherType { .. } => Self::bad_input(message),
            setup::Error::NotAllowed { .. } | setup::Error::NotVisible => {
                Self::new(Exit::Unavailable, "ServerRefused", message)
            }
            setup::Error::Server(error) => error.into(),
        }
    }
}

impl From<blob_store::Error> for Failure {
    fn from(error: blob_store::Error) -> Self {
        let message = chain(&error);
        if matches!(error, blob_store::Error::Options { .. }) {
            return Self::bad_input(message);
        }
        Self::new(Exit::Unavailable, "Storage", message)
    }
}

/// Writes an error with its causes, which say what the error itself leaves out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // A transparent layer repeats its cause.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
