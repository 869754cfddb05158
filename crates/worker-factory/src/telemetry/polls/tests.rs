//! The verdict over a poll's life, fed through a real Prometheus meter's instruments.

use std::{sync::Arc, time::Duration};

use temporalio_common::telemetry::metrics::{
    CoreMeter, CounterBase as _, GaugeBase as _, HistogramDurationBase as _, MetricAttributable as _,
    MetricAttributes, MetricKeyValue, NoOpCoreMeter, OrderedPromLabelSet,
};
use tokio::time::advance;

use super::{Kind, Meter, Polls};

/// A server seen through the instruments that the SDK would drive.
struct Server {
    meter: Meter,
    polls: Arc<Polls>,
}

impl Server {
    fn new() -> Self {
        let polls = Arc::new(Polls::default());
        Self {
            meter: Meter::new(Arc::new(NoOpCoreMeter), Arc::clone(&polls)),
            polls,
        }
    }

    fn labels(key: &str, value: &str) -> MetricAttributes {
        let mut labels = OrderedPromLabelSet::new();
        labels.add_kv(MetricKeyValue::new(key, value.to_owned()));
        MetricAttributes::Prometheus {
            labels: Arc::new(labels),
        }
    }

    fn count(&self, name: &'static str, operation: &str) {
        let counter = self.meter.counter(name.into());
        counter
            .with_attributes(&Self::labels("operation", operation))
            .unwrap()
            .adds(1);
    }

    fn poll_sent(&self) {
        self.count("temporal_long_request", "PollActivityTaskQueue");
    }

    fn poll_ended(&self) {
        let latency = self
            .meter
            .histogram_duration("temporal_long_request_latency".into());
        let labels = Self::labels("operation", "PollActivityTaskQueue");
        latency
            .with_attributes(&labels)
            .unwrap()
            .records(Duration::from_secs(1));
    }

    fn poll_failed(&self) {
        self.poll_ended();
        self.count("temporal_long_request_failure", "PollActivityTaskQueue");
    }

    fn free_slots(&self, free: u64) {
        let gauge = self.meter.gauge("temporal_worker_task_slots_available".into());
        gauge
            .with_attributes(&Self::labels("worker_type", "ActivityWorker"))
            .unwrap()
            .records(free);
    }

    fn verdict(&self) -> Result<(), &'static str> {
        self.polls.verdict(Kind::Activity)
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_poll_is_well_and_none_at_all_is_not() {
    let server = Server::new();
    assert_eq!(server.verdict(), Err("no poll was sent yet"));
    server.poll_sent();
    assert_eq!(server.verdict(), Ok(()));
    assert_eq!(server.polls.verdict(Kind::Workflow), Err("no poll was sent yet"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_held_against_the_connection_until_a_poll_lasts() {
    let server = Server::new();
    server.poll_sent();
    advance(Duration::from_secs(30)).await;
    server.poll_failed();
    assert_eq!(server.verdict(), Err("polls fail"));
    server.poll_sent();
    advance(Duration::from_secs(2)).await;
    assert_eq!(server.verdict(), Err("polls fail"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(server.verdict(), Ok(()));
    server.poll_ended();
    server.poll_sent();
    assert_eq!(server.verdict(), Ok(()), "a settled failure must not come back");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_between_two_failures_is_not_taken_for_health() {
    let server = Server::new();
    for _ in 0..3 {
        server.poll_sent();
        server.poll_failed();
        advance(Duration::from_secs(10)).await;
        assert_eq!(server.verdict(), Err("polls fail"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_without_free_slots_is_well_without_polls() {
    let server = Server::new();
    server.poll_sent();
    server.free_slots(1);
    server.poll_ended();
    server.free_slots(0);
    advance(Duration::from_mins(10)).await;
    assert_eq!(server.verdict(), Ok(()));
    server.free_slots(1);
    assert_eq!(server.verdict(), Err("no poll is out"));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_worker_may_wait_between_polls() {
    let server = Server::new();
    server.poll_sent();
    server.poll_ended();
    advance(Duration::from_secs(19)).await;
    assert_eq!(server.verdict(), Ok(()));
    advance(Duration::from_secs(1)).await;
    assert_eq!(server.verdict(), Err("no poll is out"));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_arrives_clears_a_failure() {
    let server = Server::new();
    server.free_slots(5);
    server.poll_sent();
    server.poll_failed();
    server.poll_sent();
    server.free_slots(4);
    assert_eq!(server.verdict(), Ok(()));
}

#[test]
fn other_long_requests_are_not_polls() {
    let server = Server::new();
    server.count("temporal_long_request", "GetWorkflowExecutionHistory");
    server.count("temporal_request", "PollActivityTaskQueue");
    assert_eq!(server.verdict(), Err("no poll was sent yet"));
}
