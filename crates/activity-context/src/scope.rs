//! The work of an activity, with a heartbeat beside it and a cancellation above it.
//!
//! An activity that forgets a heartbeat in one branch is run twice; one that looks for a cancellation only
//! between steps holds a worker's drain up. Both are taken out of the activity's hands: the work is a
//! future, the beat runs beside it, and the work's only duty is to watch one token.
//!
//! The scope needs little of the SDK's context, and that little is the trait [`Pulse`]: a test stands in
//! for it without a server. (The SDK's own stand-in comes with a feature that changes the features of
//! shared dependencies for every other crate.)

use std::{
    fmt::Display,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use temporalio_common::data_converters::TemporalSerializable;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// What a scope needs of an activity's context.
pub trait Pulse: Sync {
    /// Completes when Temporal asks the activity to stop, for whatever reason.
    fn cancelled(&self) -> impl Future<Output = ()> + Send;

    /// Records a heartbeat with progress; an error is a text for the log.
    fn beat<D>(&self, details: D) -> impl Future<Output = Result<(), String>> + Send
    where
        D: TemporalSerializable + Send + Sync + 'static;

    /// Returns when the attempt times out.
    fn deadline(&self) -> Option<SystemTime>;
}

impl Pulse for ActivityContext {
    async fn cancelled(&self) {
        Self::cancelled(self).await;
    }

    async fn beat<D>(&self, details: D) -> Result<(), String>
    where
        D: TemporalSerializable + Send + Sync + 'static,
    {
        self.record_heartbeat(details)
            .await
            .map_err(|error| error.to_string())
    }

    fn deadline(&self) -> Option<SystemTime> {
        self.info().deadline
    }
}

/// How a scope beats and ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The time between two beats. Must stay well below the activity's heartbeat timeout and below a third
    /// of the lease that the hook renews.
    pub beat_every: Duration,
    /// How long the work may take to stop after it was cancelled; then it is dropped.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            beat_every: Duration::from_secs(10),
            grace: Duration::from_secs(10),
        }
    }
}

/// What the work is handed; clones share it.
#[derive(Debug)]
pub struct Scope<D> {
    progress: Arc<watch::Sender<Option<D>>>,
    cancellation: CancellationToken,
    deadline: Option<SystemTime>,
}

impl<D> Clone for Scope<D> {
    fn clone(&self) -> Self {
        Self {
            progress: Arc::clone(&self.progress),
            cancellation: self.cancellation.clone(),
            deadline: self.deadline,
        }
    }
}

impl<D> Scope<D> {
    /// Sets the progress that the next beat carries; a later attempt can read it.
    pub fn report(&self, progress: D) {
        self.progress.send_replace(Some(progress));
    }

    /// Returns the token that is cancelled when the work should stop.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.cancellation.clone()
    }

    /// Tells whether the work should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Completes when the work should stop.
    pub async fn cancelled(&self) {
        self.cancellation.cancelled().await;
    }

    /// Returns the time until the attempt times out; `None` without a timeout, zero after it.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// Why the work gave no result.
#[derive(Debug)]
pub enum Stop<E, H> {
    /// The work failed by itself.
    Failed(E),
    /// Temporal cancelled the activity; holds the work's error if it returned one within the grace period.
    Cancelled(Option<E>),
    /// The beat's hook failed, so the work lost the right to go on; holds the hook's error.
    Fenced(H),
    /// The work panicked. The message is not kept: a panic over a text's boundaries quotes the text.
    Panicked,
}

impl<E, H: Display> Stop<E, H> {
    /// Converts into the SDK's error; `convert` maps the work's own.
    ///
    /// A fence and a panic become retryable failures with the code `Internal`: another owner is at work,
    /// or another attempt may fare better.
    pub fn into_activity_error(self, convert: impl FnOnce(E) -> Failure) -> ActivityError {
        match self {
            Self::Failed(error) => convert(error).into_activity_error(),
            Self::Cancelled(_) => ActivityError::cancelled(),
            Self::Fenced(reason) => {
                Failure::retryable("Internal", format!("the activity lost its lease: {reason}"))
                    .into_activity_error()
            }
            Self::Panicked => Failure::retryable("Internal", "the activity panicked").into_activity_error(),
        }
    }
}

/// Drives `work` to its end, beating beside it.
///
/// The first heartbeat goes out at once, so that a cancellation that is already there is seen; `on_beat` is
/// called from the first full interval on. A heartbeat that cannot be encoded is logged and the work goes
/// on; an error of `on_beat` cancels it.
///
/// A result that the work returns after a cancellation, within the grace period, is a result.
///
/// # Errors
///
/// Returns why there is no result.
pub async fn run<P, D, B, R, H, W, F, T, E>(
    pulse: &P,
    settings: Settings,
    on_beat: B,
    work: W,
) -> Result<T, Stop<E, H>>
where
    P: Pulse,
    D: TemporalSerializable + Clone + Send + Sync + 'static,
    B: FnMut() -> R,
    R: Future<Output = Result<(), H>>,
    W: FnOnce(Scope<D>) -> F,
    F: Future<Output = Result<T, E>>,
{
    let (progress, latest) = watch::channel(None);
    let scope = Scope {
        progress: Arc::new(progress),
        cancellation: CancellationToken::new(),
        deadline: pulse.deadline(),
    };
    let cancellation = scope.cancellation.clone();
    let mut work = pin!(guarded(work(scope)));
    let mut heart = pin!(beat(pulse, settings, latest, on_beat));
    let fence = tokio::select! {
        biased;
        ended = &mut work => return ended.map_or(Err(Stop::Panicked), |result| result.map_err(Stop::Failed)),
        reason = &mut heart => Some(reason),
        () = pulse.cancelled() => None,
    };
    cancellation.cancel();
    let fenced = fence.is_some();
    // The heart goes on while the work saves what it has, or the attempt would time out in the middle.
    let ended = tokio::select! {
        biased;
        ended = &mut work => Some(ended),
        reason = &mut heart, if !fenced => return after_fence(work, reason, settings.grace).await,
        () = sleep(settings.grace) => None,
    };
    conclude(ended, fence)
}

/// A lease that is lost while a cancelled work stops; the work has its grace period all the same.
async fn after_fence<F, T, E, H>(work: Pin<&mut F>, reason: H, grace: Duration) -> Result<T, Stop<E, H>>
where
    F: Future<Output = Result<Result<T, E>, Unwound>>,
{
    let ended = tokio::time::timeout(grace, work).await.ok();
    conclude(ended, Some(reason))
}

/// What a cancelled work's end means: a result counts, anything else is the cancellation's doing.
fn conclude<T, E, H>(
    ended: Option<Result<Result<T, E>, Unwound>>,
    fence: Option<H>,
) -> Result<T, Stop<E, H>> {
    match (ended, fence) {
        (Some(Ok(Ok(result))), _) => Ok(result),
        (Some(Err(Unwound)), _) => Err(Stop::Panicked),
        (Some(Ok(Err(_))) | None, Some(reason)) => Err(Stop::Fenced(reason)),
        (Some(Ok(Err(error))), None) => Err(Stop::Cancelled(Some(error))),
        (None, None) => Err(Stop::Cancelled(None)),
    }
}

/// The work panicked.
struct Unwound;

/// Completes with an error when the future panics.
async fn guarded<F: Future>(future: F) -> Result<F::Output, Unwound> {
    let mut future = pin!(future);
    poll_fn(
        move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Unwound)),
        },
    )
    .await
}

/// Beats until the hook fails, and returns its error.
async fn beat<P, D, B, R, H>(
    pulse: &P,
    settings: Settings,
    latest: watch::Receiver<Option<D>>,
    mut on_beat: B,
) -> H
where
    P: Pulse,
    D: TemporalSerializable + Clone + Send + Sync + 'static,
    B: FnMut() -> R,
    R: Future<Output = Result<(), H>>,
{
    let mut ticks = interval_at(Instant::now() + settings.beat_every, settings.beat_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let progress = latest.borrow().clone();
        let recorded = match progress {
            Some(progress) => pulse.beat(progress).await,
            None => pulse.beat(()).await,
        };
        if let Err(error) = recorded {
            tracing::warn!("error.message" = error, "a heartbeat could not be recorded");
        }
        ticks.tick().await;
        if let Err(reason) = on_beat().await {
            return reason;
        }
    }
}

#[cfg(test)]
mod tests;
