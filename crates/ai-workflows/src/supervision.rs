//! A run's deadline.
//!
//! The caller's own execution timeout would end a run without a chance to clean up, and a caller in another language may
//! not set one. So the run watches its own clock: when time is up its steps are stopped like those of a cancelled run,
//! it cleans up, and it fails with `DeadlineExceeded`. Time can be raised like money while the run is at work; whoever watches
//! the clock looks again then.

use std::{future::Future, pin::pin, time::Duration};

use futures::FutureExt as _;
use temporalio_workflow::select;
use workflow_types::failure::FailureCode;

use crate::{
    failures::{Failure, StepError},
    spending::Spends,
    steps::Steps,
    waiting::{self, Waited},
};

/// Runs `work` until it ends or the run's time is up.
pub(crate) async fn within<W: Spends, T>(
    steps: &Steps<W>,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    // The watch has a token of its own, so that what ends it leaves no timer behind.
    let watch = steps.apart();
    let mut late = pin!(time_up(&watch).fuse());
    let mut work = pin!(work.fuse());
    select! {
        result = work => {
            watch.stop.cancel();
            return result;
        }
        () = late => steps.stop.cancel_with_reason("deadline"),
    }
    match work.await {
        // What was finished in the same moment is not thrown away.
        Ok(result) => Ok(result),
        Err(StepError::Cancelled) => {
            let seconds = steps.ctx.state(|state| state.spending().allowed.deadline_seconds);
            let message = format!("not done within {seconds} s; a longer deadlineSeconds may help");
            Err(Failure::new(FailureCode::DeadlineExceeded, message).into())
        }
        Err(failed) => Err(failed),
    }
}

/// Gives the time that one step may take: all that the run has. What is left of it would end a step in the same moment as
/// the run's own watch, and a wait that a longer deadline can still make good would not be begun.
pub(crate) fn granted<W: Spends>(steps: &Steps<W>) -> Duration {
    let seconds = steps.ctx.state(|state| state.spending().allowed.deadline_seconds);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
}

fn left<W: Spends>(steps: &Steps<W>) -> Duration {
    let now = steps.now();
    let until = steps.ctx.state(|state| {
        let spending = state.spending();
        spending.started_unix_seconds + f64::from(spending.allowed.deadline_seconds)
    });
    Duration::try_from_secs_f64(until - now).unwrap_or_default()
}

async fn time_up<W: Spends>(watch: &Steps<W>) {
    loop {
        let seen = watch.ctx.state(|state| state.spending().allowed.deadline_seconds);
        let left = left(watch).max(Duration::from_millis(1));
        let raised = |state: &W| state.spending().allowed.deadline_seconds != seen;
        match waiting::until(watch, Some(left), raised).await {
            Waited::Met => {}
            Waited::TimeUp => return,
            // The work has ended; nobody asks any more.
            Waited::Stopped => std::future::pending().await,
        }
    }
}
