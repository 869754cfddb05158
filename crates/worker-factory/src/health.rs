//! What the process knows about its own health, and what the probes answer.
//!
//! * `/livez` is about this process alone: the runtime still turns. A server that is away must not restart
//!   a fleet, so nothing outside the process counts here.
//! * `/startupz` is about the start: connected, namespace and search attributes there, contract met.
//! * `/readyz` is about now: Temporal holds our polls, the namespace answers, the binary's own checks
//!   (a journal that can be written) pass, workflows make progress, no drain has begun.
//!
//! Checks run on a timer and probes read their last result: a probe is answered in microseconds whatever
//! is slow, and a flood of probes asks the server nothing. A result that is too old counts as a failure.
//!
//! The server has a thread and a runtime of its own ([`server`]), so it answers while the main runtime is
//! stuck, which is when the answer matters.

pub mod server;

use std::{
    collections::BTreeMap,
    fmt::Display,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prometheus::{Gauge, IntGauge, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::{
    config::{Problem, Validate},
    fields,
    telemetry::polls::{Kind, Polls},
};

/// How often the runtime's pulse is taken.
const PULSE: Duration = Duration::from_secs(1);

/// Where and how health is shown; section `health`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The IP address and port of the probes; port 0 takes a free one and logs it.
    #[schemars(extend("format" = "socket-address", "examples" = ["0.0.0.0:8080"]))]
    pub listen: SocketAddr,
    /// An IP address and port for `/metrics` alone.
    #[schemars(extend(
        "format" = "socket-address",
        "x-unset" = "served beside the probes",
        "examples" = ["0.0.0.0:9090"]
    ))]
    pub metrics_listen: Option<SocketAddr>,
    /// The time between two runs of the readiness checks, in seconds.
    #[schemars(range(min = 1))]
    pub check_interval_seconds: u32,
    /// How long one check may take, in seconds.
    #[schemars(range(min = 1))]
    pub check_timeout_seconds: u32,
    /// How long the runtime may stand still before `/livez` fails, in seconds.
    #[schemars(range(min = 3))]
    pub stalled_after_seconds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            metrics_listen: None,
            check_interval_seconds: 5,
            check_timeout_seconds: 5,
            stalled_after_seconds: 30,
        }
    }
}

impl Validate for Options {
    fn validate(&self) -> Vec<Problem> {
        [
            ("check_interval_seconds", self.check_interval_seconds, 1),
            ("check_timeout_seconds", self.check_timeout_seconds, 1),
            ("stalled_after_seconds", self.stalled_after_seconds, 3),
        ]
        .into_iter()
        .filter(|(_, value, least)| value < least)
        .map(|(key, _, least)| Problem::new(key, format!("must be at least {least}")))
        .collect()
    }
}

/// The answer of one run of a check: `Err` holds a text for the log.
pub type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Something that has to hold for the process to be ready.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    run: Arc<dyn Fn() -> CheckFuture + Send + Sync>,
}

impl Check {
    /// Names a check and says how to run it; the name is shown to whoever probes.
    pub fn new<F, R, E>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let run = move || -> CheckFuture {
            let answer = run();
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        };
        Self {
            name,
            run: Arc::new(run),
        }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Check").field(&self.name).finish()
    }
}

/// What a probe answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All is well.
    Well,
    /// These do not hold; names without variable parts.
    Failing(Vec<&'static str>),
}

impl From<Vec<&'static str>> for Verdict {
    fn from(failing: Vec<&'static str>) -> Self {
        if failing.is_empty() {
            Self::Well
        } else {
            Self::Failing(failing)
        }
    }
}

/// The process's health; clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stalled_after: Duration,
    stale_after: Duration,
    interval: Duration,
    patience: Duration,
    started: AtomicBool,
    draining: AtomicBool,
    pulse: Mutex<Instant>,
    workflow_pulse: Mutex<Instant>,
    results: Mutex<BTreeMap<&'static str, Outcome>>,
    polls: Mutex<Vec<Kind>>,
    watched: Arc<Polls>,
    gauges: Gauges,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    well: bool,
    at: Instant,
}

#[derive(Debug)]
struct Gauges {
    ready: IntGauge,
    draining: IntGauge,
    workflow_lag: Gauge,
}

impl Gauges {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let ready = IntGauge::new(fields::METRIC_READY, "1 while the process is ready.")?;
        let draining = IntGauge::new(fields::METRIC_DRAINING, "1 from the moment a drain begins.")?;
        let workflow_lag = Gauge::new(
            fields::METRIC_WORKFLOW_THREAD_LAG,
            "Seconds since the thread of all workflows last made progress.",
        )?;
        registry.register(Box::new(ready.clone()))?;
        registry.register(Box::new(draining.clone()))?;
        registry.register(Box::new(workflow_lag.clone()))?;
        Ok(Self {
            ready,
            draining,
            workflow_lag,
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Health {
    /// Starts as neither started nor ready.
    ///
    /// # Errors
    ///
    /// Returns an error when the registry has metrics of these names already.
    pub fn new(
        options: &Options,
        registry: &Registry,
        watched: Arc<Polls>,
    ) -> Result<Self, prometheus::Error> {
        let interval = Duration::from_secs(options.check_interval_seconds.into());
        let patience = Duration::from_secs(options.check_timeout_seconds.into());
        Ok(Self(Arc::new(Inner {
            stalled_after: Duration::from_secs(options.stalled_after_seconds.into()),
            stale_after: (interval + patience) * 3,
            interval,
            patience,
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            pulse: Mutex::new(Instant::now()),
            workflow_pulse: Mutex::new(Instant::now()),
            results: Mutex::default(),
            polls: Mutex::default(),
            watched,
            gauges: Gauges::register(registry)?,
        })))
    }

    /// Says that the start is over and which kinds of poll have to be out from now on.
    pub fn set_started(&self, polls: Vec<Kind>) {
        *locked(&self.0.polls) = polls;
        self.0.started.store(true, Ordering::Release);
    }

    /// Says that a drain has begun; the process is not ready from now on.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.gauges.draining.set(1);
        self.0.gauges.ready.set(0);
    }

    /// Tells whether the runtime turns.
    #[must_use]
    pub fn live(&self) -> Verdict {
        let stalled = locked(&self.0.pulse).elapsed() >= self.0.stalled_after;
        if stalled {
            vec!["runtime stalled"].into()
        } else {
            Verdict::Well
        }
    }

    /// Tells whether the start is over.
    #[must_use]
    pub fn started(&self) -> Verdict {
        if self.0.started.load(Ordering::Acquire) {
            Verdict::Well
        } else {
            vec!["starting"].into()
        }
    }

    /// Tells whether the process takes and does work.
    #[must_use]
    pub fn ready(&self) -> Verdict {
        if self.0.draining.load(Ordering::Acquire) {
            return vec!["draining"].into();
        }
        if let Verdict::Failing(starting) = self.started() {
            return starting.into();
        }
        let mut failing: Vec<&'static str> = locked(&self.0.results)
            .iter()
            .filter(|(_, outcome)| !outcome.well || outcome.at.elapsed() >= self.0.stale_after)
            .map(|(name, _)| *name)
            .collect();
        for kind in locked(&self.0.polls).iter() {
            if self.0.watched.verdict(*kind).is_err() {
                failing.push(match kind {
                    Kind::Workflow => "workflow task polls",
                    Kind::Activity => "activity task polls",
                });
            }
        }
        if locked(&self.0.workflow_pulse).elapsed() >= self.0.stalled_after {
            failing.push("workflow thread stalled");
        }
        failing.into()
    }

    /// Takes the runtime's pulse for ever; has to be a task of the runtime in question.
    pub async fn beat(self) {
        let mut ticks = interval(PULSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            *locked(&self.0.pulse) = Instant::now();
            let lag = locked(&self.0.workflow_pulse).elapsed();
            self.0.gauges.workflow_lag.set(lag.as_secs_f64());
            self.0.gauges.ready.set(i64::from(self.ready() == Verdict::Well));
        }
    }

    /// Takes the pulse of the thread that runs all workflows; has to be polled on that thread.
    pub async fn beat_workflows(self) {
        let mut ticks = interval(PULSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            *locked(&self.0.workflow_pulse) = Instant::now();
        }
    }

    /// Runs a check for ever and keeps its last result.
    ///
    /// A change from well to failing or back is logged with its reason; what goes on is not.
    pub async fn keep_checking(self, check: Check) {
        let mut ticks = interval(self.0.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_well = None;
        loop {
            ticks.tick().await;
            let result = timeout(self.0.patience, (check.run)())
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.0.patience)));
            let outcome = Outcome {
                well: result.is_ok(),
                at: Instant::now(),
            };
            locked(&self.0.results).insert(check.name, outcome);
            match &result {
                Err(reason) if was_well != Some(false) => {
                    tracing::warn!(
                        { fields::CHECK } = check.name,
                        { fields::ERROR } = reason,
                        "not ready"
                    );
                }
                Ok(()) if was_well == Some(false) => {
                    tracing::info!({ fields::CHECK } = check.name, "ready again");
                }
                Ok(()) | Err(_) => {}
            }
            was_well = Some(result.is_ok());
        }
    }

    /// Makes a check count before its first run: not ready until it has passed.
    pub fn expect(&self, check: &Check) {
        locked(&self.0.results).insert(
            check.name,
            Outcome {
                well: false,
                at: Instant::now(),
            },
        );
    }
}

#[cfg(test)]
mod tests;
