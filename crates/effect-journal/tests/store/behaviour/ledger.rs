//! What the ledger shows and forgets.

use std::time::Duration;

use effect_journal::{
    AttemptFilter, AttemptRecord, Claim, ClaimRequest, Clearance, Clock as _, EffectClass, EffectKey, Error,
    RequestDigest, Scope, Spend, State, Tally, Totals,
};

use super::{Store, answer, cost, key, request};

pub(crate) async fn an_attempt_is_listed_with_all_its_facts(store: Store) {
    let key = key("call/0");
    let claimed = store.clock.unix_ms();
    let lease = store.granted(&key).await;
    store.clock.advance(Duration::from_secs(1));
    assert_eq!(store.journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
    store.clock.advance(Duration::from_secs(2));
    store.mark_unknown(&lease, "connection reset").await.unwrap();
    store.clock.advance(Duration::from_secs(3));
    let _ = store.settle(&lease, answer("answer", 7)).await.unwrap();
    let expected = AttemptRecord {
        key: key.clone(),
        fence: 1,
        state: State::Settled,
        committed: true,
        owner: "worker-1".into(),
        model: "model".into(),
        provider: "provider".into(),
        tenant: None,
        price_table: "2026-11".into(),
        class: EffectClass::Paid,
        digest: RequestDigest::of(b"request"),
        upper_bound: cost(1000),
        spend: Some(cost(7)),
        claimed_unix_ms: claimed,
        lease_until_unix_ms: claimed + 1000 + 45_000,
        sent_unix_ms: Some(claimed + 1000),
        ended_unix_ms: Some(claimed + 6000),
        reason: Some("connection reset".into()),
        by_hand: false,
    };
    assert_eq!(store.records(&key).await, [expected]);
}

pub(crate) async fn attempts_are_paged_in_order(store: Store) {
    for step in ["b", "a", "c"] {
        for _ in 0..3 {
            let lease = store.granted(&key(step)).await;
            store.release(&lease, "429").await.unwrap();
        }
    }
    let all: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .flat_map(|step| (1..=3).map(move |fence| (key(step), fence)))
        .collect();
    for limit in 1..=10 {
        let mut seen = Vec::new();
        let mut filter = AttemptFilter {
            limit,
            ..AttemptFilter::default()
        };
        loop {
            let page = store.journal.attempts(filter.clone()).await.unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            let Some(last) = page.last() else { break };
            filter.after = Some((last.key.clone(), last.fence));
            seen.extend(page.into_iter().map(|record| (record.key, record.fence)));
            assert!(seen.len() <= all.len(), "pages of {limit} repeat themselves");
        }
        assert_eq!(seen, all, "pages of {limit}");
    }
}

pub(crate) async fn attempts_are_filtered_by_scope_and_state(store: Store) {
    let keys = [("ns", "wf-1"), ("ns", "wf-10"), ("other", "wf-1")]
        .map(|(namespace, workflow)| EffectKey::new(namespace, workflow, "run", "call/0").unwrap());
    for key in &keys {
        let lease = store.sent(key).await;
        store.release(&lease, "429").await.unwrap();
        store.granted(key).await;
    }
    for (scope, expected) in [
        (Scope::all(), &keys[..]),
        (Scope::namespace("ns"), &keys[..2]),
        (Scope::workflow("ns", "wf-1"), &keys[..1]),
        (Scope::run("other", "wf-1", "run"), &keys[2..]),
        (Scope::workflow("ns", "wf"), &[]),
    ] {
        for state in [State::Released, State::Reserved] {
            let filter = AttemptFilter {
                scope: scope.clone(),
                state: Some(state),
                ..AttemptFilter::default()
            };
            let found: Vec<_> = store
                .journal
                .attempts(filter)
                .await
                .unwrap()
                .into_iter()
                .map(|record| record.key)
                .collect();
            assert_eq!(found, expected, "{scope:?} {state}");
        }
    }
}

pub(crate) async fn totals_add_up_by_standing(store: Store) {
    let settled = store.sent(&key("settled")).await;
    let _ = store.settle(&settled, answer("answer", 7)).await.unwrap();
    let unknown = store.sent(&key("unknown")).await;
    store.mark_unknown(&unknown, "connection reset").await.unwrap();
    let released = store.sent(&key("released")).await;
    store.release(&released, "429").await.unwrap();
    store.granted(&key("reserved")).await;
    store.sent(&key("sent")).await;
    let elsewhere = EffectKey::new("default", "another", "run", "call/0").unwrap();
    store.sent(&elsewhere).await;
    let totals = store
        .journal
        .totals(&Scope::workflow("default", "workflow"))
        .await
        .unwrap();
    let twice = cost(1000).plus(cost(1000));
    let expected = Totals {
        settled: Tally {
            attempts: 1,
            spend: cost(7),
        },
        unknown: Tally {
            attempts: 1,
            spend: cost(1000),
        },
        open: Tally {
            attempts: 2,
            spend: twice,
        },
        released: 1,
    };
    assert_eq!(totals, expected);
    assert_eq!(totals.at_most().cost_micros, 3007);
    let _ = store.settle(&unknown, answer("late", 9)).await.unwrap();
    let totals = store
        .journal
        .totals(&Scope::workflow("default", "workflow"))
        .await
        .unwrap();
    assert_eq!(
        totals.settled,
        Tally {
            attempts: 2,
            spend: cost(7).plus(cost(9))
        }
    );
    assert_eq!(totals.unknown, Tally::default());
    let nothing = store.journal.totals(&Scope::namespace("nobody")).await.unwrap();
    assert_eq!(nothing, Totals::default());
}

pub(crate) async fn an_expired_lease_reads_as_its_outcome(store: Store) {
    store.granted(&key("reserved")).await;
    store.sent(&key("sent")).await;
    store.clock.advance(Duration::from_millis(44_999));
    assert_eq!(store.states(&key("reserved")).await, [State::Reserved]);
    assert_eq!(store.states(&key("sent")).await, [State::Sent]);
    store.clock.advance(Duration::from_millis(1));
    assert_eq!(store.states(&key("reserved")).await, [State::Released]);
    assert_eq!(store.states(&key("sent")).await, [State::Unknown]);
    let totals = store.journal.totals(&Scope::all()).await.unwrap();
    assert_eq!(
        (totals.unknown.attempts, totals.released, totals.open.attempts),
        (1, 1, 0)
    );
}

pub(crate) async fn a_free_effect_costs_nothing(store: Store) {
    let key = key("call/0");
    let free = ClaimRequest {
        class: EffectClass::Free,
        ..request(&key)
    };
    let Claim::Granted(lease) = store.journal.claim(free).await.unwrap() else {
        panic!("{key} was claimed by nobody else");
    };
    assert_eq!(store.journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
    assert_eq!(
        store.journal.totals(&Scope::all()).await.unwrap().open.spend,
        cost(0)
    );
    let _ = store.settle(&lease, answer("local", 7)).await.unwrap();
    assert_eq!(
        store.journal.totals(&Scope::all()).await.unwrap().settled.spend,
        cost(0)
    );
    assert_eq!(
        store.claim(&key).await,
        Claim::Replay(super::committed(1, "local", 0))
    );
    let absurd = super::key("call/1");
    let lease = store.sent(&absurd).await;
    let spend = Spend {
        input_tokens: u64::MAX,
        cost_micros: i64::MAX,
        ..Spend::default()
    };
    let settlement = effect_journal::Settlement {
        response: b"answer".to_vec(),
        spend,
    };
    let _ = store.settle(&lease, settlement).await.unwrap();
    let recorded = store.records(&absurd).await[0].spend.unwrap();
    assert_eq!(
        (recorded.input_tokens, recorded.cost_micros),
        (Spend::MAX_TOKENS, Spend::MAX_COST_MICROS)
    );
}

pub(crate) async fn pruning_deletes_old_responses_and_no_spend(store: Store) {
    let (old, young) = (key("old"), key("young"));
    let lease = store.sent(&old).await;
    let _ = store.settle(&lease, answer("old", 7)).await.unwrap();
    store.clock.advance(Duration::from_hours(24));
    let lease = store.sent(&young).await;
    let _ = store.settle(&lease, answer("young", 9)).await.unwrap();
    let open = store.sent(&key("open")).await;
    store.clock.advance(Duration::from_hours(1));
    let before = store.journal.totals(&Scope::all()).await.unwrap();

    assert_eq!(store.journal.prune(Duration::from_hours(26)).await.unwrap(), 0);
    assert_eq!(store.journal.prune(Duration::from_hours(24)).await.unwrap(), 1);
    assert_eq!(store.journal.prune(Duration::from_hours(24)).await.unwrap(), 0);

    assert_eq!(store.journal.totals(&Scope::all()).await.unwrap(), before);
    let claim = store.journal.claim(request(&old)).await;
    assert!(matches!(claim, Err(Error::Pruned { fence: 1, .. })), "{claim:?}");
    assert_eq!(
        store.claim(&young).await,
        Claim::Replay(super::committed(1, "young", 9))
    );
    assert_eq!(store.states(&old).await, [State::Settled]);
    let _ = store.settle(&open, answer("open", 1)).await.unwrap();
}

pub(crate) async fn a_writable_store_passes_the_check(store: Store) {
    for _ in 0..3 {
        store.journal.check().await.unwrap();
    }
    assert_eq!(
        store.journal.attempts(AttemptFilter::default()).await.unwrap(),
        []
    );
}
