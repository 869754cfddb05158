//! A bounded pool for work that blocks a thread or keeps a processor busy.
//!
//! Tokio's blocking threads number in the hundreds: enough for file access and ruinous for inference,
//! where the third computation on two cores slows the other two. The pool is tokio's with a bound in front
//! of it, and the wait for a turn is reported, because that wait is what tells an operator that the worker
//! takes on more than its cores can do.
//!
//! A thread cannot be cancelled, only asked: the work gets a flag, set by the token and also when nobody
//! waits for the result any more. A slot is free again when its work has really ended, not when somebody
//! stopped waiting for it; otherwise a few cancelled runs would put the bound out of force.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Span;

/// Why blocking work gave no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The token was cancelled before the work had its turn.
    #[error("cancelled while waiting for a blocking slot")]
    Cancelled,
    /// The work panicked; the message is not kept, because it may quote a text.
    #[error("the blocking work panicked")]
    Panicked,
    /// The runtime is shutting down.
    #[error("the runtime is shutting down; no blocking work is taken")]
    ShuttingDown,
}

/// Whether blocking work should stop; cheap enough to look at for every token or row.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Tells whether the work should stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sets the flag when nobody waits any more.
#[derive(Debug)]
struct SetOnDrop(CancelFlag);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A result with the times it took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Done<T> {
    /// The result.
    pub value: T,
    /// How long the work waited for its turn.
    pub waited: Duration,
    /// How long it ran.
    pub ran: Duration,
}

/// A pool of a fixed number of slots; clones share it.
#[derive(Clone, Debug)]
pub struct BlockingPool(Arc<Semaphore>);

impl BlockingPool {
    /// Makes a pool; a size of 0 counts as 1.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(Arc::new(Semaphore::new(size.max(1))))
    }

    /// Returns how many slots are free now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }

    /// Waits for a slot and runs `work` on a blocking thread.
    ///
    /// When `cancel` is cancelled, the flag that `work` was given is set and its end awaited; what it then
    /// returns is the result. When this future is dropped, the flag is set and nobody waits.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Cancelled`] only if `work` was never begun.
    pub async fn run<F, T>(&self, cancel: &CancellationToken, work: F) -> Result<Done<T>, Error>
    where
        F: FnOnce(CancelFlag) -> T + Send + 'static,
        T: Send + 'static,
    {
        let asked = Instant::now();
        let slot = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Error::Cancelled),
            slot = Arc::clone(&self.0).acquire_owned() => slot.map_err(|_| Error::ShuttingDown)?,
        };
        let waited = asked.elapsed();
        let flag = CancelFlag::default();
        let _abandoned = SetOnDrop(flag.clone());
        let seen = flag.clone();
        // A thread knows nothing of the span that its work was asked for in.
        let span = Span::current();
        let mut running = spawn_blocking(move || {
            let _slot = slot;
            span.in_scope(|| work(seen))
        });
        let began = Instant::now();
        let joined = tokio::select! {
            biased;
            joined = &mut running => joined,
            () = cancel.cancelled() => {
                flag.set();
                running.await
            }
        };
        match joined {
            Ok(value) => Ok(Done {
                value,
                waited,
                ran: began.elapsed(),
            }),
            Err(error) if error.is_panic() => Err(Error::Panicked),
            Err(_) => Err(Error::ShuttingDown),
        }
    }
}

#[cfg(test)]
mod tests;
