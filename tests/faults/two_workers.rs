//! Two workers, one journal.

use std::time::Duration;

use chaos_provider::{Reply, Rule, Script};
use effect_journal::State;
use nix::sys::signal::Signal;
use testkit::{Rig, Settings, within};

#[tokio::test]
async fn a_worker_that_stood_still_beyond_its_lease_adds_no_second_result() {
    let script = Script::new([Rule::once(Reply::default().behind("held"))]);
    let rig = Rig::start(script).await.unwrap();
    // With its only slot taken it asks for nothing; else the next attempt would be handed to its open poll.
    let settings = Settings {
        activity_slots: 1,
        ..Settings::default()
    };
    let stalled = rig.ai_worker_with(&settings).await.unwrap();
    let run = rig.ask("stalled").await.unwrap();
    rig.provider.wait_for(1).await;

    stalled.signal(Signal::SIGSTOP).unwrap();
    let _other = rig.ai_worker().await.unwrap();
    run.result().await.unwrap();
    assert_eq!(
        rig.ledger().await.unwrap().states("stalled"),
        [State::Unknown, State::Settled]
    );

    // The first worker wakes up to an answer that nobody waits for; what it cost is recorded, and the result stays.
    rig.provider.open_gate("held");
    stalled.signal(Signal::SIGCONT).unwrap();
    within(
        Duration::from_secs(30),
        "the late answer is accounted for",
        async || {
            let ledger = rig.ledger().await?;
            let late = &ledger.attempts[0];
            Ok(late.state == State::Settled || late.reason.is_some())
        },
    )
    .await
    .unwrap();
    let calls = rig.calls().unwrap();
    assert_eq!(calls.len(), 2);
    rig.audit().await.unwrap();
    assert_eq!(rig.attempts("stalled").await.unwrap().of("generateText"), [2]);
}

#[tokio::test]
async fn two_workers_never_make_the_same_call() {
    const CALLS: usize = 12;
    let rounds = if std::env::var_os("LONG").is_some() { 20 } else { 2 };
    let rig = Rig::start(Script::default()).await.unwrap();
    let (_one, _other) = tokio::try_join!(rig.ai_worker(), rig.ai_worker()).unwrap();
    for round in 0..rounds {
        let mut runs = Vec::new();
        for number in 0..CALLS {
            runs.push(rig.ask(&format!("pair-{round}-{number}")).await.unwrap());
        }
        for run in runs {
            run.result().await.unwrap();
        }
    }
    let calls = rig.calls().unwrap();
    assert_eq!(calls.len(), rounds * CALLS);
    let ledger = rig.ledger().await.unwrap();
    rig.audit().await.unwrap();
    assert_eq!(ledger.count(State::Settled), rounds * CALLS);
}
