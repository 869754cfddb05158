//! What can go wrong with a batch, by what is to be done about it.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use tokio_postgres::error::SqlState;

use super::connection::Source;
use crate::Error;

/// What ended a batch.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection broke before anything was committed: the batch can be done again on another one.
    Lost(Source),
    /// The connection broke while it was being committed: nobody knows whether it was.
    Unclear(Source),
    /// The server took it back, because it stood in the way of another: it can be done again.
    Again(Source),
    /// The server refuses what one of the operations holds.
    Refused(Source),
    /// Nothing can be done about it here.
    Failed(Source),
}

impl Fault {
    /// Says that what is stored makes no sense.
    pub(super) fn damaged(what: impl Into<Source>) -> Self {
        Self::Failed(what.into())
    }

    /// Returns the same, for a batch whose commit was under way.
    pub(super) fn while_committing(self) -> Self {
        match self {
            Self::Lost(source) => Self::Unclear(source),
            Self::Unclear(_) | Self::Again(_) | Self::Refused(_) | Self::Failed(_) => self,
        }
    }

    /// Tells whether the connection can be used on.
    pub(super) fn spares_connection(&self) -> bool {
        match self {
            Self::Again(_) | Self::Refused(_) | Self::Failed(_) => true,
            Self::Lost(_) | Self::Unclear(_) => false,
        }
    }

    /// Tells whether the whole batch can be done again.
    pub(super) fn is_repeatable(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Again(_) => true,
            Self::Unclear(_) | Self::Refused(_) | Self::Failed(_) => false,
        }
    }

    /// Returns the error for each of the operations that it ended.
    pub(super) fn shared(self) -> impl Fn(&'static str) -> Error {
        let source: Arc<Source> = Arc::new(match self {
            Self::Lost(source)
            | Self::Unclear(source)
            | Self::Again(source)
            | Self::Refused(source)
            | Self::Failed(source) => source,
        });
        move |operation| Error::Storage {
            operation,
            source: Box::new(Shared(source.clone())),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let broken = error
                .source()
                .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
            return if error.is_closed() || broken {
                Self::Lost(error.into())
            } else {
                Self::Refused(error.into())
            };
        };
        match (code.code().get(..2), code) {
            // The server is going down, has lost the transaction, or has become a standby; or the tables were changed
            // under the statements. A new connection tells.
            (Some("08"), _)
            | (
                _,
                &SqlState::ADMIN_SHUTDOWN
                | &SqlState::CRASH_SHUTDOWN
                | &SqlState::CANNOT_CONNECT_NOW
                | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                | &SqlState::READ_ONLY_SQL_TRANSACTION
                | &SqlState::FEATURE_NOT_SUPPORTED,
            ) => Self::Lost(error.into()),
            // Deadlocks, and what serialization would call one.
            (Some("40"), _) => Self::Again(error.into()),
            // Data, constraints, and limits of what a row can hold.
            (Some("22" | "23" | "54"), _) => Self::Refused(error.into()),
            (_, _) => Self::Failed(error.into()),
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// One source of the errors of many operations.
#[derive(Debug)]
struct Shared(Arc<Source>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
