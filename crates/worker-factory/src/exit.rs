//! The exit codes of a worker process, in one place.
//!
//! A supervisor, a script and an alert all read the exit code before they read a log line, so each code
//! has one meaning and the meanings are those of `sysexits.h` where it has one. A process that was told
//! to stop and stopped in order is a success whatever made it stop; a process that leaves work behind is
//! not, although Temporal will run that work again, because whoever tunes the drain has to see it.

use std::process::ExitCode;

/// How a worker process ended.
///
/// | code | meaning |
/// | --- | --- |
/// | 0 | drained: told to stop, or recycled; no work left behind |
/// | 64 | the configuration is wrong; nothing was started |
/// | 69 | the Temporal server, the namespace, a required search attribute, or what the binary opens at its start is not there |
/// | 70 | a fault: the worker failed, or it did not register what its queue's contract lists |
/// | 75 | the drain's deadline passed; the unfinished work will be tried again |
/// | 130, 143 | a second SIGINT or SIGTERM cut the drain short |
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// The process drained, or had nothing to do.
    Drained,
    /// The configuration or the command line is wrong.
    Config,
    /// The server, something required of it, or something that the binary opens at its start is not available.
    Unavailable,
    /// The worker failed or must not run as it was built.
    Fault,
    /// The drain's hard deadline passed with work left.
    DeadlineHit,
    /// A second signal asked for an immediate end; holds the signal's number.
    Forced(u8),
}

impl Exit {
    /// Returns the number the operating system sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Config => 64,
            Self::Unavailable => 69,
            Self::Fault => 70,
            Self::DeadlineHit => 75,
            Self::Forced(signal) => 128_u8.saturating_add(signal),
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
    use super::Exit;

    #[test]
    fn every_ending_has_its_own_code() {
        let codes: Vec<u8> = [
            Exit::Drained,
            Exit::Config,
            Exit::Unavailable,
            Exit::Fault,
            Exit::DeadlineHit,
            Exit::Forced(2),
            Exit::Forced(15),
        ]
        .map(Exit::code)
        .to_vec();
        assert_eq!(codes, [0, 64, 69, 70, 75, 130, 143]);
    }
}
