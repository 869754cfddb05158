//! Every activity of the process, counted and given its span.
//!
//! An interceptor is the one place that all activities pass, so the count that recycling and the drain's
//! report need, and the span that puts type and attempt on every log line, are here and in no activity.
//! The ids are on the span although the core's own span has them, because that one uses other names.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus::{IntCounter, IntGauge, Registry};
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::fields;

/// The count of a process's activities.
#[derive(Clone, Debug)]
pub struct Activities {
    started: Arc<AtomicU64>,
    started_metric: IntCounter,
    running: IntGauge,
    recycle_after: u64,
    recycle: CancellationToken,
}

impl Activities {
    /// Registers the metrics and starts counting.
    ///
    /// # Errors
    ///
    /// Returns an error when the registry has metrics of these names already.
    pub fn new(registry: &Registry, recycle_after: u64) -> Result<Self, prometheus::Error> {
        let started_metric = IntCounter::new(
            fields::METRIC_ACTIVITIES_STARTED,
            "Activities started by this process.",
        )?;
        let running = IntGauge::new(
            fields::METRIC_ACTIVITIES_RUNNING,
            "Activities running in this process.",
        )?;
        registry.register(Box::new(started_metric.clone()))?;
        registry.register(Box::new(running.clone()))?;
        Ok(Self {
            started: Arc::new(AtomicU64::new(0)),
            started_metric,
            running,
            recycle_after,
            recycle: CancellationToken::new(),
        })
    }

    /// Returns how many run now.
    #[must_use]
    pub fn running(&self) -> i64 {
        self.running.get()
    }

    /// Returns how many were started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Returns a token that is cancelled when the process should recycle itself.
    #[must_use]
    pub fn recycle(&self) -> CancellationToken {
        self.recycle.clone()
    }

    /// Counts one activity until the guard is dropped.
    #[must_use]
    fn begin(&self) -> Running {
        let started = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        self.started_metric.inc();
        self.running.inc();
        if self.recycle_after > 0 && started >= self.recycle_after {
            self.recycle.cancel();
        }
        Running(self.running.clone())
    }
}

/// One running activity; a guard, because a panic in an activity unwinds through here.
#[derive(Debug)]
struct Running(IntGauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ActivityInboundInterceptor for Activities {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        let span = tracing::info_span!(
            "activity",
            { fields::WORKFLOW_ID } = info.workflow_id.as_deref(),
            { fields::RUN_ID } = info.workflow_run_id.as_deref(),
            { fields::WORKFLOW_TYPE } = info.workflow_type.as_deref(),
            { fields::ACTIVITY_ID } = info.activity_id,
            { fields::ACTIVITY_TYPE } = info.activity_type,
            { fields::ATTEMPT } = info.attempt,
        );
        let running = self.begin();
        let execution = next.run(input);
        Box::pin(
            async move {
                let result = execution.await;
                drop(running);
                result
            }
            .instrument(span),
        )
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::Activities;

    #[test]
    fn the_count_follows_the_guards_and_the_limit_asks_for_recycling_once_reached() {
        let activities = Activities::new(&Registry::new(), 2).unwrap();
        let first = activities.begin();
        assert!(!activities.recycle().is_cancelled());
        let second = activities.begin();
        assert!(activities.recycle().is_cancelled());
        assert_eq!((activities.running(), activities.started()), (2, 2));
        drop(first);
        drop(second);
        assert_eq!((activities.running(), activities.started()), (0, 2));
    }

    #[test]
    fn a_limit_of_zero_never_recycles() {
        let activities = Activities::new(&Registry::new(), 0).unwrap();
        for _ in 0..10 {
            drop(activities.begin());
        }
        assert!(!activities.recycle().is_cancelled());
    }

    #[test]
    fn an_activity_that_panics_is_not_counted_as_running() {
        let activities = Activities::new(&Registry::new(), 0).unwrap();
        let inside = activities.clone();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _running = inside.begin();
            panic!("as an activity might");
        }));
        assert!(unwound.is_err());
        assert_eq!(activities.running(), 0);
    }
}
