//! What ends a call before its answer is complete: its deadline, and its cancellation.
//!
//! Decoding runs on a thread that nothing can interrupt, so it asks here between its steps; everything that waits
//! before that is raced against the same two limits, and both give the same errors.

use std::time::{Duration, Instant};

use model_clients::{CallOutcome, Error, ErrorKind};
use tokio_util::sync::CancellationToken;

/// The limits of one call.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    started: Instant,
    deadline: Duration,
    cancel: CancellationToken,
}

impl Limits {
    /// Starts the clock of a call.
    pub(crate) fn start(deadline: Duration, cancel: CancellationToken) -> Self {
        Self {
            started: Instant::now(),
            deadline,
            cancel,
        }
    }

    /// Gives the milliseconds since the call began.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Reports a limit that has been reached; `progress` says in numbers how far the call has come.
    pub(crate) fn check(&self, progress: impl FnOnce() -> String) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(cancelled(&progress(), CallOutcome::NotBilled));
        }
        if self.started.elapsed() >= self.deadline {
            return Err(self.expired(&progress(), CallOutcome::NotBilled));
        }
        Ok(())
    }

    /// Waits for something that precedes the work, unless a limit comes first.
    pub(crate) async fn wait<T>(&self, what: &str, event: impl Future<Output = T>) -> Result<T, Error> {
        let left = self.deadline.saturating_sub(self.started.elapsed());
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(cancelled(what, CallOutcome::NotSent)),
            outcome = tokio::time::timeout(left, event) => {
                outcome.map_err(|_| self.expired(what, CallOutcome::NotSent))
            }
        }
    }

    fn expired(&self, progress: &str, outcome: CallOutcome) -> Error {
        let milliseconds = self.deadline.as_millis();
        Error::new(
            ErrorKind::DeadlineExceeded,
            outcome,
            format!("the call's {milliseconds} ms were used up {progress}; allow more time or ask for less"),
        )
    }
}

fn cancelled(progress: &str, outcome: CallOutcome) -> Error {
    Error::new(
        ErrorKind::Cancelled,
        outcome,
        format!("the call was cancelled {progress}"),
    )
}
