//! Timeouts and retries of every activity, in one table.
//!
//! Attempts are not counted: waiting out a rate limit or a worker's restart is no reason to give up, so the time a caller
//! granted is the only bound. Which failures are retried is not decided here but by the failure itself, whose code has
//! one row in one table; a list of types beside it would be a second opinion.

use std::time::Duration;

use temporalio_workflow::{
    ActivityCancellationType, ActivityOptions, RetryPolicy, WorkflowCancellationToken,
    common::ActivityCloseTimeouts,
};
use workflow_types::names::{AI_QUEUE, DATA_QUEUE};

/// How one kind of activity is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The task queue whose worker does it.
    pub queue: &'static str,
    /// The longest one attempt may take.
    pub start_to_close: Duration,
    /// How long a silent attempt is believed to be alive.
    pub heartbeat: Duration,
    /// The wait before the first retry; each further one doubles it.
    pub first_retry: Duration,
    /// The longest wait between retries.
    pub longest_retry: Duration,
    /// The most attempts; none means as many as the time allows.
    pub attempts: Option<u32>,
}

const HEARTBEAT: Duration = Duration::from_secs(30);

/// A model call: longer than the longest deadline a provider's client has, by a fifth.
pub const GENERATE: Policy = Policy {
    queue: AI_QUEUE,
    start_to_close: Duration::from_mins(12),
    heartbeat: HEARTBEAT,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_mins(1),
    attempts: None,
};

/// Work on documents.
pub const DOCUMENTS: Policy = Policy {
    queue: DATA_QUEUE,
    start_to_close: Duration::from_mins(10),
    heartbeat: HEARTBEAT,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(30),
    attempts: None,
};

/// Writing what a stopped batch has: given up after a while, because the batch has ended and waits for it.
pub const KEEP: Policy = Policy {
    queue: DATA_QUEUE,
    start_to_close: Duration::from_mins(5),
    heartbeat: HEARTBEAT,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(30),
    attempts: Some(10),
};

/// How long writing what a stopped batch has may take with all its attempts, also when no worker takes it: within what a
/// starter grants beyond the deadline, so that the run still says itself how it ended.
pub const KEEP_WITHIN: Duration = Duration::from_mins(5);

/// Removing what was staged.
pub const DISCARD: Policy = Policy {
    queue: DATA_QUEUE,
    start_to_close: Duration::from_mins(10),
    heartbeat: HEARTBEAT,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_mins(5),
    attempts: None,
};

/// How long a run that has nothing else to do waits for what it staged to be removed: a worker that is there takes a
/// fraction of it, and whoever waits for the result waits as long.
pub const DISCARD_WITHIN: Duration = Duration::from_secs(10);

/// How long what a run left behind is tried to be removed after the run: longer than workers are usually away.
pub const DISCARD_LATER_WITHIN: Duration = Duration::from_hours(7 * 24);

/// How long the run that does so may take, so that it fails by itself when its time is up.
pub const DISCARD_LATER_RUN: Duration = Duration::from_hours(7 * 24 + 1);

impl Policy {
    /// Gives the options of one call that ends with `token`, and within `within` when that is given.
    ///
    /// Cancelling waits until the activity has stopped, so that compensation never races with work that is still
    /// writing.
    pub fn options(&self, token: WorkflowCancellationToken, within: Option<Duration>) -> ActivityOptions {
        let timeouts = match within {
            Some(within) => ActivityCloseTimeouts::ScheduleAndStartToClose {
                start_to_close: self.start_to_close.min(within),
                schedule_to_close: within,
            },
            None => ActivityCloseTimeouts::StartToClose(self.start_to_close),
        };
        ActivityOptions::with_close_timeouts(timeouts)
            .task_queue(self.queue)
            .heartbeat_timeout(self.heartbeat)
            .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
            .cancellation_token(token)
            .retry_policy(self.retries())
            .build()
    }

    fn retries(&self) -> RetryPolicy {
        RetryPolicy::builder()
            .initial_interval(self.first_retry)
            .backoff_coefficient(2.0)
            .maximum_interval(self.longest_retry)
            .maximum_attempts(self.attempts.unwrap_or(0))
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_beats_and_ends() {
        for policy in [GENERATE, DOCUMENTS, KEEP, DISCARD] {
            assert!(policy.heartbeat < policy.start_to_close, "{policy:?}");
            assert!(policy.first_retry <= policy.longest_retry, "{policy:?}");
        }
    }

    #[test]
    fn a_caller_s_deadline_bounds_an_attempt_too() {
        let options = GENERATE.options(WorkflowCancellationToken::new(), Some(Duration::from_secs(5)));
        assert_eq!(
            options.close_timeouts,
            ActivityCloseTimeouts::ScheduleAndStartToClose {
                start_to_close: Duration::from_secs(5),
                schedule_to_close: Duration::from_secs(5)
            }
        );
        assert_eq!(options.task_queue.as_deref(), Some(AI_QUEUE));
    }
}
