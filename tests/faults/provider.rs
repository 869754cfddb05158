//! A provider that refuses, breaks off, or talks nonsense.

use chaos_provider::{Behaviour, Cut, Point, Reply, RetryAfter, Rule, Script, When};
use effect_journal::State::{self, Released, Settled, Unknown};
use temporal_client::{Run, outcome};
use testkit::Rig;
use workflow_types::{
    failure::FailureCode::{self, Auth, QuotaExhausted, ResponseTooLarge},
    workflows::LlmPipeline,
};

fn once(id: &str, behaviour: Behaviour) -> Rule {
    Rule::once(Reply::new(behaviour)).when(named(id))
}

fn named(id: &str) -> When {
    When::prompt_contains(format!("<{id}>"))
}

fn cut(how: Cut) -> Behaviour {
    Behaviour::Cut {
        after: Point::Tokens(2),
        how,
        token_delay_ms: 0,
    }
}

async fn ask_all(rig: &Rig, ids: &[&str]) -> Vec<Run<LlmPipeline>> {
    let mut runs = Vec::new();
    for id in ids {
        runs.push(rig.ask(id).await.unwrap());
    }
    runs
}

#[tokio::test]
async fn a_passing_fault_is_waited_out_and_every_call_is_in_the_ledger() {
    let faults: [(&str, Behaviour, State); 9] = [
        ("status-500", Behaviour::refused(500), Released),
        ("status-529", Behaviour::refused(529), Released),
        ("reset", cut(Cut::Reset), Unknown),
        ("short", cut(Cut::Close), Unknown),
        ("silent", cut(Cut::Stall), Unknown),
        ("event", Behaviour::StreamError { after_tokens: 1 }, Unknown),
        ("garbage", Behaviour::Garbage, Unknown),
        ("page", Behaviour::Html { status: 502 }, Unknown),
        (
            "slow-down",
            Behaviour::RateLimited {
                retry_after: RetryAfter::None,
            },
            Released,
        ),
    ];
    let rules = faults
        .iter()
        .map(|(id, behaviour, _)| once(id, behaviour.clone()));
    let rig = Rig::start(Script::new(rules)).await.unwrap();
    let _worker = rig.ai_worker().await.unwrap();
    let ids = faults.each_ref().map(|(id, _, _)| *id);
    let runs = ask_all(&rig, &ids).await;

    for run in &runs {
        run.result()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", run.id()));
    }
    let ledger = rig.ledger().await.unwrap();
    let found = ids.map(|id| (id, ledger.states(id)));
    let expected = faults
        .each_ref()
        .map(|(id, _, state)| (*id, vec![*state, Settled]));
    assert_eq!(found, expected);
    rig.audit().await.unwrap();
}

#[tokio::test]
async fn a_retry_comes_no_sooner_than_the_provider_asked_for() {
    let limits = [
        ("seconds", RetryAfter::Seconds(3), 3_000),
        ("millis", RetryAfter::Millis(2_500), 2_500),
        // A date has whole seconds, so up to one of them has passed when it is read.
        ("date", RetryAfter::Date(4), 3_000),
    ];
    let rules = limits.map(|(id, retry_after, _)| once(id, Behaviour::RateLimited { retry_after }));
    let rig = Rig::start(Script::new(rules)).await.unwrap();
    let _worker = rig.ai_worker().await.unwrap();
    for (number, (id, _, least_ms)) in limits.into_iter().enumerate() {
        rig.ask(id).await.unwrap().result().await.unwrap();
        let calls = rig.calls().unwrap().split_off(2 * number);
        assert_eq!(calls.len(), 2, "{id}: {calls:#?}");
        let pause = calls[1].received_unix_ms - calls[0].received_unix_ms;
        assert!(pause >= least_ms, "{id}: {pause} ms");
        assert_eq!(rig.ledger().await.unwrap().states(id), [Released, Settled]);
    }
}

#[tokio::test]
async fn a_lasting_fault_fails_the_run_after_one_call() {
    let faults: [(&str, Behaviour, FailureCode); 3] = [
        ("unauthorized", Behaviour::refused(401), Auth),
        ("quota", Behaviour::quota_exhausted(), QuotaExhausted),
        ("huge", Behaviour::Huge { bytes: 1 << 20 }, ResponseTooLarge),
    ];
    let rules = faults
        .iter()
        .map(|(id, behaviour, _)| Rule::always(Reply::new(behaviour.clone())).when(named(id)));
    let rig = Rig::start(Script::new(rules)).await.unwrap();
    let _worker = rig.ai_worker().await.unwrap();
    let ids = faults.each_ref().map(|(id, _, _)| *id);
    let runs = ask_all(&rig, &ids).await;

    for (run, (id, _, code)) in runs.iter().zip(&faults) {
        let outcome::Error::Failed(failed) = run.result().await.unwrap_err() else {
            panic!("{id} should have failed");
        };
        assert_eq!(failed.code, Some(*code), "{id}: {failed}");
    }
    let calls = rig.calls().unwrap();
    assert_eq!(calls.len(), faults.len(), "{calls:#?}");
    let ledger = rig.ledger().await.unwrap();
    assert_eq!(ledger.states("unauthorized"), [Released]);
    assert_eq!(ledger.states("quota"), [Released]);
    assert_eq!(ledger.states("huge"), [Unknown]);
}
