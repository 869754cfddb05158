//! Every activity of the process: counted, given its span, and its end logged.
//!
//! An interceptor is the one place that all activities pass, so the count that recycling and the drain's
//! report need, the span that puts ids, type and attempt on every log line, and the line that says how an
//! attempt ended are here and in no activity. The ids are on the span although the SDK's own span has them,
//! because that one uses other names. Temporal shows a failed attempt only until the next one; the log keeps it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::{IntCounter, IntGauge, Registry};
use temporalio_sdk::{
    activities::ActivityError,
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
};
use tokio::time::Instant;
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
        let began = Instant::now();
        Box::pin(
            async move {
                let result = execution.await;
                drop(running);
                report(result.as_ref().err(), began.elapsed());
                result
            }
            .instrument(span),
        )
    }
}

/// Logs how an attempt ended; the span around says whose it was.
fn report(error: Option<&ActivityError>, took: Duration) {
    let duration = milliseconds(took);
    match error {
        None => tracing::debug!({ fields::DURATION_MS } = duration, "an activity ended well"),
        Some(ActivityError::Cancelled { .. }) => {
            tracing::info!({ fields::DURATION_MS } = duration, "an activity was cancelled");
        }
        Some(ActivityError::Application(failure)) => {
            // A failure without a code is none of ours: a decoder's error, say, which quotes what it could not read.
            let message = failure.type_name().map(|_| failure.to_string());
            tracing::warn!(
                { fields::DURATION_MS } = duration,
                { fields::ERROR_CODE } = failure.type_name(),
                { fields::ERROR_RETRYABLE } = !failure.is_non_retryable(),
                { fields::RETRY_DELAY_MS } = failure.next_retry_delay().map(milliseconds),
                { fields::ERROR } = message.as_deref().unwrap_or("withheld"),
                "an attempt of an activity failed"
            );
        }
        // It is completed by somebody else.
        Some(_) => tracing::debug!(
            { fields::DURATION_MS } = duration,
            "an activity was left to another"
        ),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
    fn a_failure_without_a_code_is_not_quoted() {
        use temporalio_sdk::{activities::ActivityError, error::ApplicationFailure};

        let coded = ApplicationFailure::builder("the model is away").type_name("ModelGone".to_owned());
        let coded = ActivityError::application(coded.build());
        let foreign = ActivityError::application(ApplicationFailure::new("cannot read `the prompt`"));
        let options = crate::telemetry::Options {
            log_filter: "debug".to_owned(),
            ..crate::telemetry::Options::default()
        };
        let logged = crate::telemetry::captured(&options, true, || {
            super::report(Some(&coded), std::time::Duration::from_secs(1));
            super::report(Some(&foreign), std::time::Duration::from_secs(1));
            super::report(
                Some(&ActivityError::cancelled()),
                std::time::Duration::from_secs(1),
            );
            super::report(None, std::time::Duration::from_secs(1));
        });
        assert!(
            logged.contains("the model is away") && !logged.contains("the prompt"),
            "{logged}"
        );
        let lines: Vec<serde_json::Value> = logged
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let levels: Vec<_> = lines.iter().map(|line| &line["level"]).collect();
        assert_eq!(levels, ["WARN", "WARN", "INFO", "DEBUG"]);
        assert_eq!(
            (&lines[0]["error.code"], &lines[0]["error.retryable"]),
            (&"ModelGone".into(), &true.into())
        );
        assert!(lines.iter().all(|line| line["duration_ms"] == 1_000), "{logged}");
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
