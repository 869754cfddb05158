//! SIGTERM, and a cancellation that comes from the workflow.

use std::time::{Duration, Instant};

use chaos_provider::{Outcome, Reply, Rule, Script};
use effect_journal::State;
use nix::sys::signal::Signal;
use temporal_client::outcome;
use testkit::{Rig, Settings, Worker, within};

fn held() -> Script {
    Script::new([Rule::once(Reply::default().behind("held"))])
}

async fn until_draining(worker: &Worker) {
    within(Duration::from_secs(5), "the worker drains", async || {
        Ok(worker.readiness().await.is_none_or(|(status, _)| status != 200))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_call_that_ends_within_the_grace_period_is_not_repeated() {
    let rig = Rig::start(held()).await.unwrap();
    let mut worker = rig.ai_worker().await.unwrap();
    let run = rig.ask("graceful").await.unwrap();
    rig.provider.wait_for(1).await;

    worker.signal(Signal::SIGTERM).unwrap();
    until_draining(&worker).await;
    rig.provider.open_gate("held");
    let status = worker.exit(Duration::from_secs(20)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", worker.log().unwrap());

    let _next = rig.ai_worker().await.unwrap();
    run.result().await.unwrap();
    assert_eq!(rig.attempts("graceful").await.unwrap().of("generateText"), [1]);
    assert_eq!(rig.calls().unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_longer_than_the_grace_period_is_given_to_the_next_worker() {
    let rig = Rig::start(held()).await.unwrap();
    let settings = Settings {
        grace_seconds: 2,
        hard_deadline_seconds: 8,
        ..Settings::default()
    };
    let mut worker = rig.ai_worker_with(&settings).await.unwrap();
    let run = rig.ask("too-long").await.unwrap();
    rig.provider.wait_for(1).await;

    let asked = Instant::now();
    worker.signal(Signal::SIGTERM).unwrap();
    let calls = rig.provider.wait_ended(1).await;
    assert_eq!(calls[0].ending.as_ref().unwrap().outcome, Outcome::ClientLeft);
    let status = worker.exit(Duration::from_secs(10)).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
    assert_eq!(status.code(), Some(0), "{}", worker.log().unwrap());

    let _next = rig.ai_worker().await.unwrap();
    run.result().await.unwrap();
    let ledger = rig.ledger().await.unwrap();
    assert_eq!(ledger.states("too-long"), [State::Unknown, State::Settled]);
    rig.audit().await.unwrap();
}

#[tokio::test]
async fn a_second_sigterm_ends_the_process_at_once() {
    let rig = Rig::start(held()).await.unwrap();
    let mut worker = rig.ai_worker().await.unwrap();
    let _run = rig.ask("impatient").await.unwrap();
    rig.provider.wait_for(1).await;

    worker.terminate_twice().await.unwrap();
    let status = worker.exit(Duration::from_secs(2)).await.unwrap();
    assert_eq!(status.code(), Some(143), "{}", worker.log().unwrap());
}

#[tokio::test]
async fn a_cancellation_reaches_the_provider_within_12_seconds() {
    let rig = Rig::start(held()).await.unwrap();
    let _worker = rig.ai_worker().await.unwrap();
    let _data = rig.data_worker().await.unwrap();
    let run = rig.ask("cancelled").await.unwrap();
    rig.provider.wait_for(1).await;

    let asked = Instant::now();
    run.cancel(Some("not needed")).await.unwrap();
    let calls = rig.provider.wait_ended(1).await;
    let took = asked.elapsed();
    assert_eq!(calls[0].ending.as_ref().unwrap().outcome, Outcome::ClientLeft);
    assert!(took <= Duration::from_secs(12), "{took:?}");
    let outcome::Error::Cancelled { reason, .. } = run.result().await.unwrap_err() else {
        panic!("the run should have been cancelled");
    };
    assert_eq!(reason.as_deref(), Some("not needed"));
    assert_eq!(rig.ledger().await.unwrap().states("cancelled"), [State::Unknown]);
}
