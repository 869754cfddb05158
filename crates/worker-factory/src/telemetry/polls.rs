//! Whether Temporal receives our polls, told by the SDK's own metrics as they are recorded.
//!
//! The SDK has no call that says so. Its gauge `num_pollers` counts pollers that wait for their turn to
//! try again as well as polls the server holds, so it reads healthy through an outage. The counters under
//! it tell the truth: a long request is counted when it is sent, its latency when it ends, its failure
//! when it fails. So this meter stands in front of the SDK's Prometheus meter, passes everything on, and
//! keeps for each kind of poll how many the server holds and when one last failed.
//!
//! Reading the exporter's text instead would see the same numbers only at the moment of a scrape: a poll
//! that failed and was sent again in between would look like one that was never lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use temporalio_common::telemetry::metrics::{
    CoreMeter, Counter, CounterBase, Gauge, GaugeBase, GaugeF64, Histogram, HistogramDuration,
    HistogramDurationBase, HistogramF64, MetricAttributable, MetricAttributes, MetricParameters,
    NewAttributes, UpDownCounter,
};
use tokio::time::Instant;

/// How long a poll has to be held after a failure before the connection counts as mended.
const SETTLED: Duration = Duration::from_secs(3);
/// How long no poll may be out before that counts as a failure; above the SDK's longest pause between two.
const ABSENT: Duration = Duration::from_secs(20);

/// A kind of poll.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Polls for workflow tasks.
    Workflow,
    /// Polls for activity tasks.
    Activity,
}

impl Kind {
    fn of_operation(operation: &str) -> Option<Self> {
        match operation {
            "PollWorkflowTaskQueue" => Some(Self::Workflow),
            "PollActivityTaskQueue" => Some(Self::Activity),
            _ => None,
        }
    }

    fn of_worker_type(worker_type: &str) -> Option<Self> {
        match worker_type {
            "WorkflowWorker" => Some(Self::Workflow),
            "ActivityWorker" => Some(Self::Activity),
            _ => None,
        }
    }
}

/// What is known about one kind of poll.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Polls that the server holds.
    held: u64,
    /// Since when at least one is held without a break.
    held_since: Option<Instant>,
    /// When the last one ended and left none.
    none_since: Option<Instant>,
    /// The last failure that no success has followed.
    failed_at: Option<Instant>,
    /// Slots that are free for new tasks; unknown until the SDK says.
    free_slots: Option<u64>,
}

impl State {
    /// Whether polls have been held long enough since the last failure to trust the connection again.
    fn settled(&self, now: Instant) -> bool {
        let Some(failed_at) = self.failed_at else {
            return true;
        };
        self.held_since
            .is_some_and(|since| now.duration_since(since.max(failed_at)) >= SETTLED)
    }

    fn verdict(&self, now: Instant) -> Result<(), &'static str> {
        if !self.settled(now) {
            return Err("polls fail");
        }
        if self.held > 0 || self.free_slots == Some(0) {
            return Ok(());
        }
        match self.none_since {
            None => Err("no poll was sent yet"),
            Some(since) if now.duration_since(since) >= ABSENT => Err("no poll is out"),
            Some(_) => Ok(()),
        }
    }
}

/// The health of all polls of a process; shared by the meter that feeds it and the probe that asks.
#[derive(Debug, Default)]
pub struct Polls(Mutex<HashMap<Kind, State>>);

impl Polls {
    /// Tells whether polls of a kind reach the server.
    ///
    /// A worker whose slots are all taken sends no polls and is well. One that waits between two polls
    /// because of a rate limit is well for twenty seconds.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, as text without variable parts.
    pub fn verdict(&self, kind: Kind) -> Result<(), &'static str> {
        let state = self.lock().get(&kind).copied().unwrap_or_default();
        state.verdict(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sent(&self, kind: Kind) {
        let mut states = self.lock();
        let state = states.entry(kind).or_default();
        state.held += 1;
        state.held_since.get_or_insert_with(Instant::now);
        state.none_since = None;
    }

    /// The SDK records the latency of a poll first and its failure, if any, right after.
    fn ended(&self, kind: Kind) {
        let mut states = self.lock();
        let state = states.entry(kind).or_default();
        if state.settled(Instant::now()) {
            state.failed_at = None;
        }
        state.held = state.held.saturating_sub(1);
        if state.held == 0 {
            state.held_since = None;
            state.none_since = Some(Instant::now());
        }
    }

    fn failed(&self, kind: Kind) {
        self.lock().entry(kind).or_default().failed_at = Some(Instant::now());
    }

    fn slots(&self, kind: Kind, free: u64) {
        let mut states = self.lock();
        let state = states.entry(kind).or_default();
        // A slot is only ever taken by a task that a poll brought.
        if state.free_slots.is_some_and(|before| free < before) {
            state.failed_at = None;
        }
        state.free_slots = Some(free);
    }
}

/// The SDK's meter with [`Polls`] listening.
#[derive(Debug)]
pub struct Meter {
    inner: Arc<dyn CoreMeter>,
    polls: Arc<Polls>,
}

impl Meter {
    /// Puts a listener in front of a meter.
    #[must_use]
    pub fn new(inner: Arc<dyn CoreMeter>, polls: Arc<Polls>) -> Self {
        Self { inner, polls }
    }
}

/// The value of a label of Prometheus attributes.
fn label(attributes: &MetricAttributes, name: &str) -> Option<String> {
    if let MetricAttributes::Prometheus { labels } = attributes {
        labels.as_prom_labels().remove(name)
    } else {
        None
    }
}

/// An instrument whose recordings are passed on and told to [`Polls`].
struct Tee<I, E> {
    inner: I,
    polls: Arc<Polls>,
    label: &'static str,
    kind: fn(&str) -> Option<Kind>,
    event: E,
}

/// The same, bound to its labels.
struct Bound<I, E> {
    inner: I,
    polls: Arc<Polls>,
    kind: Option<Kind>,
    event: E,
}

impl<I: MetricAttributable<I>, E: Copy> Tee<I, E> {
    fn bind(&self, attributes: &MetricAttributes) -> Result<Bound<I, E>, Box<dyn std::error::Error>> {
        Ok(Bound {
            inner: self.inner.with_attributes(attributes)?,
            polls: Arc::clone(&self.polls),
            kind: label(attributes, self.label).as_deref().and_then(self.kind),
            event: self.event,
        })
    }
}

type OnCount = fn(&Polls, Kind);
type OnValue = fn(&Polls, Kind, u64);

impl MetricAttributable<Box<dyn CounterBase>> for Tee<Counter, OnCount> {
    fn with_attributes(
        &self,
        attributes: &MetricAttributes,
    ) -> Result<Box<dyn CounterBase>, Box<dyn std::error::Error>> {
        Ok(Box::new(self.bind(attributes)?))
    }
}

impl CounterBase for Bound<Counter, OnCount> {
    fn adds(&self, value: u64) {
        self.inner.adds(value);
        if let Some(kind) = self.kind {
            (self.event)(&self.polls, kind);
        }
    }
}

impl MetricAttributable<Box<dyn HistogramDurationBase>> for Tee<HistogramDuration, OnCount> {
    fn with_attributes(
        &self,
        attributes: &MetricAttributes,
    ) -> Result<Box<dyn HistogramDurationBase>, Box<dyn std::error::Error>> {
        Ok(Box::new(self.bind(attributes)?))
    }
}

impl HistogramDurationBase for Bound<HistogramDuration, OnCount> {
    fn records(&self, value: Duration) {
        self.inner.records(value);
        if let Some(kind) = self.kind {
            (self.event)(&self.polls, kind);
        }
    }
}

impl MetricAttributable<Box<dyn GaugeBase>> for Tee<Gauge, OnValue> {
    fn with_attributes(
        &self,
        attributes: &MetricAttributes,
    ) -> Result<Box<dyn GaugeBase>, Box<dyn std::error::Error>> {
        Ok(Box::new(self.bind(attributes)?))
    }
}

impl GaugeBase for Bound<Gauge, OnValue> {
    fn records(&self, value: u64) {
        self.inner.records(value);
        if let Some(kind) = self.kind {
            (self.event)(&self.polls, kind, value);
        }
    }
}

impl Meter {
    fn tee<I, E>(
        &self,
        inner: I,
        label: &'static str,
        kind: fn(&str) -> Option<Kind>,
        event: E,
    ) -> Arc<Tee<I, E>> {
        Arc::new(Tee {
            inner,
            polls: Arc::clone(&self.polls),
            label,
            kind,
            event,
        })
    }
}

impl CoreMeter for Meter {
    fn new_attributes(&self, attributes: NewAttributes) -> MetricAttributes {
        self.inner.new_attributes(attributes)
    }

    fn extend_attributes(&self, existing: MetricAttributes, attributes: NewAttributes) -> MetricAttributes {
        self.inner.extend_attributes(existing, attributes)
    }

    fn counter(&self, params: MetricParameters) -> Counter {
        let event: OnCount = match params.name.as_ref() {
            "temporal_long_request" => Polls::sent,
            "temporal_long_request_failure" => Polls::failed,
            _ => return self.inner.counter(params),
        };
        Counter::new(self.tee(self.inner.counter(params), "operation", Kind::of_operation, event))
    }

    fn histogram(&self, params: MetricParameters) -> Histogram {
        self.inner.histogram(params)
    }

    fn histogram_f64(&self, params: MetricParameters) -> HistogramF64 {
        self.inner.histogram_f64(params)
    }

    fn histogram_duration(&self, params: MetricParameters) -> HistogramDuration {
        if params.name != "temporal_long_request_latency" {
            return self.inner.histogram_duration(params);
        }
        let event: OnCount = Polls::ended;
        let inner = self.inner.histogram_duration(params);
        HistogramDuration::new(self.tee(inner, "operation", Kind::of_operation, event))
    }

    fn gauge(&self, params: MetricParameters) -> Gauge {
        if params.name != "temporal_worker_task_slots_available" {
            return self.inner.gauge(params);
        }
        let event: OnValue = Polls::slots;
        Gauge::new(self.tee(
            self.inner.gauge(params),
            "worker_type",
            Kind::of_worker_type,
            event,
        ))
    }

    fn gauge_f64(&self, params: MetricParameters) -> GaugeF64 {
        self.inner.gauge_f64(params)
    }

    fn up_down_counter(&self, params: MetricParameters) -> UpDownCounter {
        self.inner.up_down_counter(params)
    }
}

#[cfg(test)]
mod tests;
