//! The server is away while a call runs.
//!
//! A worker's SDK gives up reporting a finished activity after some ten seconds. Without a journal every such call is
//! made, and paid, twice.

use std::time::Duration;

use chaos_provider::{Reply, Rule, Script};
use effect_journal::State;
use testkit::{Rig, Worker, within};

/// Counts the finished activities whose report the SDK gave up.
fn lost(worker: &Worker) -> anyhow::Result<usize> {
    Ok(worker
        .log()?
        .matches("Network error while completing activity")
        .count())
}

async fn away_for(length: Duration) {
    const CALLS: usize = 5;
    let script = Script::new([Rule::always(Reply::default().behind("held"))]);
    let mut rig = Rig::start(script).await.unwrap();
    let worker = rig.ai_worker().await.unwrap();
    let mut runs = Vec::new();
    for number in 0..CALLS {
        runs.push(rig.ask(&format!("away-{number}")).await.unwrap());
    }
    rig.provider.wait_for(CALLS).await;

    rig.server.kill().unwrap();
    rig.provider.open_gate("held");
    within(Duration::from_secs(10), "every answer is committed", async || {
        Ok(rig.ledger().await?.count(State::Settled) == CALLS)
    })
    .await
    .unwrap();
    testkit::outage(length).await;
    // The SDK's pauses are random, so when it gives up is too; without a report that was lost the fault was not met.
    within(Duration::from_secs(30), "a report is given up", async || {
        Ok(lost(&worker)? > 0)
    })
    .await
    .unwrap();
    rig.server.restart().await.unwrap();

    let mut replayed = 0;
    for run in &runs {
        run.result().await.unwrap();
        replayed += run.status().await.unwrap().replayed_calls;
    }
    let calls = rig.calls().unwrap();
    assert_eq!(calls.len(), CALLS, "{calls:#?}");
    assert_eq!(
        usize::try_from(replayed).unwrap(),
        lost(&worker).unwrap(),
        "a lost report is a replay"
    );
    let verdict = rig.audit().await.unwrap();
    assert_eq!(
        (verdict.repeats.len(), verdict.figures.replayed),
        (0, lost(&worker).unwrap())
    );
}

#[tokio::test]
async fn calls_that_end_while_the_server_is_away_are_made_once() {
    away_for(Duration::from_secs(12)).await;
    if std::env::var_os("LONG").is_some() {
        away_for(Duration::from_secs(25)).await;
    }
}

#[tokio::test]
async fn a_call_outlasts_a_server_that_is_away_for_4_seconds() {
    let script = Script::new([Rule::once(Reply::default().behind("held"))]);
    let mut rig = Rig::start(script).await.unwrap();
    let _worker = rig.ai_worker().await.unwrap();
    let run = rig.ask("brief").await.unwrap();
    rig.provider.wait_for(1).await;

    rig.server.outage(Duration::from_secs(4)).await.unwrap();
    rig.provider.open_gate("held");

    run.result().await.unwrap();
    assert_eq!(rig.calls().unwrap().len(), 1);
    assert_eq!(rig.ledger().await.unwrap().states("brief"), [State::Settled]);
}
