//! What people change by hand, and what remembers it.

use effect_journal::{
    Account, AccountClaim, Allowance, Claim, ClaimRequest, EffectKey, Error, HandOutcome, HandSettlement,
    Lease, NoteAction, NoteFilter, OnUnknown, Period, Scope, Settled, State, TenantBudget,
};

use super::{LEASE, Store, answer, committed, cost, key, request};

fn account() -> Account {
    Account::run("default", "workflow", "run").unwrap()
}

fn counted(key: &EffectKey) -> ClaimRequest {
    ClaimRequest {
        accounts: vec![AccountClaim {
            account: account(),
            max: None,
        }],
        on_unknown: OnUnknown::Park,
        ..request(key)
    }
}

async fn unknown(store: &Store, key: &EffectKey) -> Lease {
    let lease = store.sent_for(counted(key)).await;
    store.mark_unknown(&lease, "connection reset").await.unwrap();
    lease
}

async fn by_hand(store: &Store, lease: &Lease, outcome: HandOutcome) -> Result<(), Error> {
    let settlement = HandSettlement {
        outcome,
        actor: "ops@example.org".into(),
        reason: "the provider's bill of November".into(),
    };
    store
        .journal
        .settle_by_hand(&lease.key, lease.fence, settlement)
        .await
}

pub(crate) async fn an_unknown_attempt_is_settled_by_hand(store: Store) {
    let lease = unknown(&store, &key("call/0")).await;
    by_hand(&store, &lease, HandOutcome::Billed(cost(70)))
        .await
        .unwrap();
    let record = store.records(&key("call/0")).await.remove(0);
    assert_eq!(
        (record.state, record.spend, record.by_hand),
        (State::Settled, Some(cost(70)), true)
    );
    assert_eq!(record.reason.as_deref(), Some("connection reset"));
    let totals = store.journal.totals(&Scope::all()).await.unwrap();
    assert_eq!((totals.settled.spend, totals.unknown.attempts), (cost(70), 0));
    assert_eq!(store.journal.used(&account()).await.unwrap().cost_micros, 70);
    let notes = store.journal.notes(NoteFilter::default()).await.unwrap();
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].subject, "default/workflow/run/call/0#1");
    assert_eq!(
        notes[0].before,
        r#"{"costMicros":1000,"state":"unknown","tokens":120}"#
    );
    assert_eq!(
        notes[0].after,
        r#"{"costMicros":70,"state":"settled","tokens":120}"#
    );
    assert_eq!(notes[0].reason, "the provider's bill of November");
    // There is a bill and no answer, so the effect is still to be done.
    assert_eq!(store.granted_for(counted(&key("call/0"))).await.fence, 2);
}

pub(crate) async fn an_unknown_attempt_is_released_by_hand(store: Store) {
    let died = store.sent_for(counted(&key("call/0"))).await;
    store.clock.advance(LEASE);
    by_hand(&store, &died, HandOutcome::NotBilled).await.unwrap();
    assert_eq!(store.states(&key("call/0")).await, [State::Released]);
    assert_eq!(
        store.reason(&died).await.as_deref(),
        Some("the lease ran out after the request was sent")
    );
    assert_eq!(store.journal.used(&account()).await.unwrap().cost_micros, 0);
    assert_eq!(store.granted_for(counted(&key("call/0"))).await.fence, 2);
}

pub(crate) async fn only_an_unknown_attempt_is_settled_by_hand(store: Store) {
    let sent = store.sent_for(counted(&key("sent"))).await;
    let reserved = store.granted_for(counted(&key("reserved"))).await;
    let settled = store.sent_for(counted(&key("settled"))).await;
    let _ = store.settle(&settled, answer("answer", 7)).await.unwrap();
    let before = store.records(&key("settled")).await;
    for lease in [&sent, &reserved, &settled] {
        let refused = by_hand(&store, lease, HandOutcome::NotBilled).await;
        assert!(matches!(refused, Err(Error::State { .. })), "{refused:?}");
    }
    let nobody = Lease {
        fence: 9,
        ..sent.clone()
    };
    let refused = by_hand(&store, &nobody, HandOutcome::NotBilled).await;
    assert!(
        matches!(refused, Err(Error::NoAttempt { fence: 9, .. })),
        "{refused:?}"
    );
    assert_eq!(store.records(&key("settled")).await, before);
    assert_eq!(store.journal.notes(NoteFilter::default()).await.unwrap(), []);
    let twice = unknown(&store, &key("twice")).await;
    by_hand(&store, &twice, HandOutcome::NotBilled).await.unwrap();
    let refused = by_hand(&store, &twice, HandOutcome::NotBilled).await;
    assert!(matches!(refused, Err(Error::State { .. })), "{refused:?}");
}

pub(crate) async fn an_answer_replaces_a_settlement_by_hand(store: Store) {
    for (step, outcome) in [
        ("call/0", HandOutcome::Billed(cost(70))),
        ("call/1", HandOutcome::NotBilled),
    ] {
        let key = key(step);
        let lease = unknown(&store, &key).await;
        by_hand(&store, &lease, outcome).await.unwrap();
        for _ in 0..2 {
            let settled = store.settle(&lease, answer("late", 9)).await.unwrap();
            assert_eq!(settled, Settled::Committed);
        }
        assert_eq!(store.claim(&key).await, Claim::Replay(committed(1, "late", 9)));
        let record = store.records(&key).await.remove(0);
        assert_eq!((record.spend, record.by_hand), (Some(cost(9)), false));
        let filter = NoteFilter {
            key: Some(key),
            ..NoteFilter::default()
        };
        let notes = store.journal.notes(filter).await.unwrap();
        let actions: Vec<_> = notes.iter().map(|note| note.action).collect();
        assert_eq!(actions, [NoteAction::LateAnswer, NoteAction::SettleByHand]);
    }
    assert_eq!(store.journal.used(&account()).await.unwrap().cost_micros, 18);
}

pub(crate) async fn a_settlement_by_hand_needs_an_actor(store: Store) {
    let lease = unknown(&store, &key("call/0")).await;
    let long = "x".repeat(HandSettlement::MAX_REASON_BYTES + 1);
    for (actor, reason) in [("", "reason"), ("a\nb", "reason"), ("ops", long.as_str())] {
        let settlement = HandSettlement {
            outcome: HandOutcome::NotBilled,
            actor: actor.into(),
            reason: reason.into(),
        };
        let refused = store
            .journal
            .settle_by_hand(&lease.key, lease.fence, settlement)
            .await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(store.states(&key("call/0")).await, [State::Unknown]);
}

pub(crate) async fn notes_are_filtered_and_paged(store: Store) {
    for step in ["call/0", "call/1"] {
        let lease = unknown(&store, &key(step)).await;
        by_hand(&store, &lease, HandOutcome::NotBilled).await.unwrap();
    }
    let budget = TenantBudget {
        tenant: "acme".into(),
        period: Period::Total,
        max: Allowance {
            cost_micros: Some(1),
            tokens: None,
        },
    };
    store.journal.set_tenant_budget("boss", "", budget).await.unwrap();
    let count = async |filter| store.journal.notes(filter).await.unwrap().len();
    let all = NoteFilter::default();
    for (filter, expected) in [
        (all.clone(), 3),
        (
            NoteFilter {
                action: Some(NoteAction::SettleByHand),
                ..all.clone()
            },
            2,
        ),
        (
            NoteFilter {
                key: Some(key("call/1")),
                ..all.clone()
            },
            1,
        ),
        (
            NoteFilter {
                actor: Some("boss".into()),
                ..all.clone()
            },
            1,
        ),
        (
            NoteFilter {
                actor: Some("nobody".into()),
                ..all.clone()
            },
            0,
        ),
    ] {
        assert_eq!(count(filter.clone()).await, expected, "{filter:?}");
    }
    let mut page = NoteFilter { limit: 2, ..all };
    let first = store.journal.notes(page.clone()).await.unwrap();
    assert!(first[0].id > first[1].id);
    page.before_id = Some(first[1].id);
    let second = store.journal.notes(page).await.unwrap();
    assert_eq!(second.len(), 1);
    assert!(first[1].id > second[0].id);
}
