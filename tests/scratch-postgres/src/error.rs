//! How a server can fail to be there.

use std::path::PathBuf;

/// Says what could not be done with the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no PostgreSQL on this machine.
    #[error(
        "no PostgreSQL server on this machine: install one (on Debian `apt-get install postgresql`), or set TAW_TEST_POSTGRES_BIN to the folder with initdb and postgres"
    )]
    Missing,
    /// PostgreSQL refuses to run as root, and there is nobody else to run it as.
    #[error(
        "PostgreSQL does not run as root, and this machine has neither a user postgres nor a user nobody"
    )]
    NoUser,
    /// A file or a process could not be had from the system.
    #[error("cannot {what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The cluster could not be made.
    #[error("initdb failed; can its user enter the temporary folder?\n{said}")]
    Initdb {
        /// What it said.
        said: String,
    },
    /// The server ended instead of becoming ready.
    #[error("PostgreSQL in {folder} did not start:\n{log}")]
    Start {
        /// The cluster's folder.
        folder: PathBuf,
        /// What it said, the last lines.
        log: String,
    },
    /// The server is not running.
    #[error("cannot {what}: the server does not run")]
    Stopped {
        /// What was asked.
        what: &'static str,
    },
}

/// Names what the system refused.
pub(crate) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::System { what, source }
}
