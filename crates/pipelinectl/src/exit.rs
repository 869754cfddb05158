//! The exit codes, in one place.
//!
//! A script reads the code before it reads a word, so each has one meaning; where `sysexits.h` has that meaning, its
//! number is used. A usage error has clap's own 2.

use std::process::ExitCode;

/// How the command ended.
///
/// | code | meaning |
/// | --- | --- |
/// | 0 | done |
/// | 1 | the run failed, timed out or was terminated, or a batch completed no item and failed at least one; `--strict`: also an incomplete answer |
/// | 2 | the command line cannot be understood |
/// | 3 | the run was cancelled |
/// | 64 | an input, a setting or an id cannot be used |
/// | 69 | no server, no worker, or the store does not answer |
/// | 70 | a fault: of this program, or of a process that `dev` runs |
/// | 75 | the time to wait is over; the run goes on |
/// | 130 | waiting was interrupted; the run goes on |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success,
    /// The run failed.
    RunFailed,
    /// The command line can't be understood.
    Usage,
    /// The run was cancelled.
    Cancelled,
    /// An input, a setting or an id can't be used.
    BadInput,
    /// No server, no worker, or the store does not answer.
    Unavailable,
    /// A fault of this program or of one that `dev` runs.
    Fault,
    /// The time to wait is over.
    WaitOver,
    /// Waiting was interrupted.
    Interrupted,
}

impl Exit {
    /// Gives the number that the operating system sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::RunFailed => 1,
            Self::Usage => 2,
            Self::Cancelled => 3,
            Self::BadInput => 64,
            Self::Unavailable => 69,
            Self::Fault => 70,
            Self::WaitOver => 75,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_that_the_readme_lists() {
        let readme = include_str!("../README.md");
        for exit in [
            Exit::Success,
            Exit::RunFailed,
            Exit::Usage,
            Exit::Cancelled,
            Exit::BadInput,
            Exit::Unavailable,
            Exit::Fault,
            Exit::WaitOver,
            Exit::Interrupted,
        ] {
            assert!(readme.contains(&format!("| {} |", exit.code())), "{exit:?}");
        }
    }
}
