//! Waiting inside a workflow: for a condition, for time, for a stop, whichever comes first.
//!
//! The SDK's wait has no time limit and a dropped timer stays in history, so the two are joined here once, and the loser
//! is cancelled.

use std::{pin::pin, time::Duration};

use futures::FutureExt as _;
use temporalio_workflow::{TimerOptions, TimerResult, WaitConditionOptions, select};

use crate::steps::Steps;

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The condition holds.
    Met,
    /// The time is up.
    TimeUp,
    /// The run was stopped.
    Stopped,
}

/// Waits until `condition` holds, for at most `within` when that is given, or until the run is stopped.
pub(crate) async fn until<W>(
    steps: &Steps<W>,
    within: Option<Duration>,
    condition: impl FnMut(&W) -> bool,
) -> Waited {
    let options = WaitConditionOptions::builder()
        .cancellation_token(steps.stop.clone())
        .build();
    let met = steps.ctx.wait_condition_with_options(condition, options);
    let Some(within) = within else {
        return met.await.map_or(Waited::Stopped, |()| Waited::Met);
    };
    let token = steps.stop.child_token();
    let timer = TimerOptions::builder(within)
        .cancellation_token(token.clone())
        .build();
    let mut met = pin!(met);
    let mut timer = pin!(steps.ctx.timer(timer).fuse());
    select! {
        met = met => {
            token.cancel();
            met.map_or(Waited::Stopped, |()| Waited::Met)
        }
        fired = timer => match fired {
            TimerResult::Fired => Waited::TimeUp,
            TimerResult::Cancelled => Waited::Stopped,
        },
    }
}
