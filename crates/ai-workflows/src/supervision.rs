//! A run's deadline.
//!
//! The caller's own execution timeout would end a run without a chance to clean up, and a caller in another language may
//! not set one. So the run watches its own clock: when time is up its steps are stopped like those of a cancelled run,
//! it cleans up, and it fails with `DeadlineExceeded`.

use std::{future::Future, pin::pin, time::Duration};

use futures::FutureExt as _;
use temporalio_workflow::{TimerOptions, TimerResult, WorkflowCancellationToken, select};
use workflow_types::failure::FailureCode;

use crate::{
    failures::{Failure, StepError},
    steps::Steps,
};

/// Runs `work` until it ends or the time is up.
pub(crate) async fn within<W, T>(
    steps: &Steps<W>,
    deadline: Duration,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let timer_token = WorkflowCancellationToken::new();
    let timer = TimerOptions::builder(deadline)
        .cancellation_token(timer_token.clone())
        .build();
    let mut timer = pin!(steps.ctx.timer(timer).fuse());
    let mut work = pin!(work.fuse());
    let late = select! {
        result = work => {
            timer_token.cancel();
            return result;
        }
        fired = timer => fired,
    };
    match late {
        TimerResult::Fired => steps.stop.cancel_with_reason("deadline"),
        TimerResult::Cancelled => {}
    }
    match work.await {
        // What was finished in the same moment is not thrown away.
        Ok(result) => Ok(result),
        Err(StepError::Cancelled) => {
            let message = format!(
                "not done within {} s; a longer deadlineSeconds may help",
                deadline.as_secs()
            );
            Err(Failure::new(FailureCode::DeadlineExceeded, message).into())
        }
        Err(failed) => Err(failed),
    }
}
