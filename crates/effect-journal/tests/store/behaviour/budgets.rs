//! What may be spent, and what is counted as spent.

use std::sync::Arc;
use std::time::Duration;

use effect_journal::{
    Account, AccountClaim, Allowance, Amount, Claim, ClaimRequest, Clock as _, EffectClass, EffectKey, Error,
    NoteAction, NoteFilter, OverBudget, Period, Settled, State, TenantBudget,
};
use tokio::task::JoinSet;

use super::{LEASE, Store, answer, committed, key, request};

/// What one call of [`request`] reserves.
const CALL: Amount = Amount {
    cost_micros: 1000,
    tokens: 120,
};

fn run() -> Account {
    Account::run("default", "workflow", "run").unwrap()
}

fn tenant() -> Account {
    Account::tenant("acme").unwrap()
}

fn micros(cost_micros: i64) -> Allowance {
    Allowance {
        cost_micros: Some(cost_micros),
        tokens: None,
    }
}

/// A claim on the run's budget.
fn within(key: &EffectKey, max: Allowance) -> ClaimRequest {
    ClaimRequest {
        accounts: vec![AccountClaim {
            account: run(),
            max: Some(max),
        }],
        ..request(key)
    }
}

/// A claim on the tenant's budgets.
fn by_tenant(key: &EffectKey) -> ClaimRequest {
    ClaimRequest {
        tenant: Some("acme".into()),
        accounts: vec![AccountClaim {
            account: tenant(),
            max: None,
        }],
        ..request(key)
    }
}

async fn limit_tenant(store: &Store, period: Period, max: Allowance) {
    let budget = TenantBudget {
        tenant: "acme".into(),
        period,
        max,
    };
    store
        .journal
        .set_tenant_budget("ops@example.org", "as agreed", budget)
        .await
        .unwrap();
}

async fn over(store: &Store, request: ClaimRequest) -> OverBudget {
    let claim = store.journal.claim(request).await.unwrap();
    let Claim::OverBudget(over) = claim else {
        panic!("expected no room, got {claim:?}")
    };
    over
}

pub(crate) async fn a_call_that_does_not_fit_is_not_granted(store: Store) {
    store.granted_for(within(&key("call/0"), micros(1500))).await;
    let expected = OverBudget {
        account: run(),
        period: Period::Total,
        max: micros(1500),
        used: CALL,
        needed: CALL,
        resets_in: None,
    };
    assert_eq!(over(&store, within(&key("call/1"), micros(1500))).await, expected);
    assert_eq!(store.states(&key("call/1")).await, []);
    assert_eq!(store.journal.used(&run()).await.unwrap(), CALL);
    // Exactly full is not over.
    store.granted_for(within(&key("call/1"), micros(2000))).await;
}

pub(crate) async fn calls_at_once_do_not_overspend(store: Store) {
    const CALLS: usize = 200;
    let mut tasks = JoinSet::new();
    for number in 0..CALLS {
        let journal = Arc::clone(&store.journal);
        tasks.spawn(async move {
            let request = within(&key(&format!("item/{number}")), micros(7999));
            journal.claim(request).await.unwrap()
        });
    }
    let claims = tasks.join_all().await;
    let granted = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Granted(_)))
        .count();
    let refused = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::OverBudget(_)))
        .count();
    assert_eq!((granted, refused), (7, CALLS - 7));
    assert_eq!(store.journal.used(&run()).await.unwrap().cost_micros, 7000);
}

pub(crate) async fn a_settlement_makes_room(store: Store) {
    let first = store.sent_for(within(&key("call/0"), micros(1000))).await;
    over(&store, within(&key("call/1"), micros(1000))).await;
    assert_eq!(
        store.settle(&first, answer("cheap", 7)).await.unwrap(),
        Settled::Committed
    );
    assert_eq!(
        over(&store, within(&key("call/1"), micros(1006)))
            .await
            .used
            .cost_micros,
        7
    );
    let second = store.sent_for(within(&key("call/1"), micros(1007))).await;
    store.release(&second, "429").await.unwrap();
    assert_eq!(store.journal.used(&run()).await.unwrap().cost_micros, 7);
}

pub(crate) async fn an_unknown_outcome_keeps_its_reservation(store: Store) {
    let lost = store.sent_for(within(&key("call/0"), micros(1000))).await;
    store.mark_unknown(&lost, "connection reset").await.unwrap();
    over(&store, within(&key("call/0"), micros(1999))).await;
    let died = store.sent_for(within(&key("call/0"), micros(2000))).await;
    store.clock.advance(LEASE);
    over(&store, within(&key("call/1"), micros(2999))).await;
    let _ = store.settle(&died, answer("late", 5)).await.unwrap();
    let _ = store.settle(&lost, answer("later", 6)).await.unwrap();
    assert_eq!(store.journal.used(&run()).await.unwrap().cost_micros, 11);
}

pub(crate) async fn a_reservation_that_died_makes_room(store: Store) {
    let elsewhere = EffectKey::new("default", "another", "run", "call/0").unwrap();
    for key in [&elsewhere, &key("call/0")] {
        store.granted_for(within(key, micros(2000))).await;
    }
    over(&store, within(&key("call/1"), micros(2000))).await;
    store.clock.advance(LEASE);
    let granted = store.granted_for(within(&key("call/1"), micros(2000))).await;
    assert_eq!(granted.fence, 1);
    assert_eq!(store.journal.used(&run()).await.unwrap(), CALL);
    assert_eq!(store.states(&elsewhere).await, [State::Released]);
}

pub(crate) async fn a_swept_reservation_cannot_be_sent(store: Store) {
    let stalled = store.granted_for(within(&key("call/0"), micros(1000))).await;
    store.clock.advance(LEASE);
    store.granted_for(within(&key("call/1"), micros(1000))).await;
    let sent = store.journal.mark_sent(&stalled).await;
    assert!(
        matches!(
            sent,
            Err(Error::State {
                state: State::Released,
                ..
            })
        ),
        "{sent:?}"
    );
    let reason = store.reason(&stalled).await;
    assert_eq!(
        reason.as_deref(),
        Some("the lease ran out before anything was sent")
    );
}

pub(crate) async fn a_replay_needs_no_budget(store: Store) {
    let lease = store.sent_for(within(&key("call/0"), micros(1000))).await;
    let _ = store.settle(&lease, answer("answer", 900)).await.unwrap();
    let claim = store
        .journal
        .claim(within(&key("call/0"), micros(0)))
        .await
        .unwrap();
    assert_eq!(claim, Claim::Replay(committed(1, "answer", 900)));
}

pub(crate) async fn a_reservation_is_made_in_all_budgets_or_none(store: Store) {
    limit_tenant(&store, Period::Day, micros(1500)).await;
    let both = |step: &str| ClaimRequest {
        accounts: [
            within(&key(step), micros(9000)).accounts,
            by_tenant(&key(step)).accounts,
        ]
        .concat(),
        ..by_tenant(&key(step))
    };
    store.granted_for(both("call/0")).await;
    let refused = over(&store, both("call/1")).await;
    assert_eq!((refused.account, refused.period), (tenant(), Period::Day));
    assert!(
        refused
            .resets_in
            .is_some_and(|wait| wait <= Duration::from_hours(24))
    );
    for account in [run(), tenant()] {
        assert_eq!(store.journal.used(&account).await.unwrap(), CALL, "{account}");
    }
}

pub(crate) async fn a_raised_budget_lets_the_same_key_through(store: Store) {
    let max = Allowance {
        cost_micros: None,
        tokens: Some(119),
    };
    let refused = over(&store, within(&key("call/0"), max)).await;
    assert_eq!((refused.max, refused.needed), (max, CALL));
    let raised = Allowance {
        tokens: Some(120),
        ..max
    };
    assert_eq!(store.granted_for(within(&key("call/0"), raised)).await.fence, 1);
}

pub(crate) async fn a_budget_of_tokens_counts_free_calls(store: Store) {
    let free = |step: &str, max| ClaimRequest {
        class: EffectClass::Free,
        ..within(&key(step), max)
    };
    store.granted_for(within(&key("paid"), micros(1000))).await;
    // What costs nothing is not stopped by a budget of money, not even by one that is used up.
    store.granted_for(free("call/0", micros(10))).await;
    let tokens = Allowance {
        cost_micros: None,
        tokens: Some(300),
    };
    let refused = over(&store, free("call/1", tokens)).await;
    assert_eq!((refused.used.tokens, refused.needed.cost_micros), (240, 0));
}

pub(crate) async fn a_tenants_day_begins_anew(store: Store) {
    limit_tenant(&store, Period::Day, micros(1000)).await;
    let first = store.sent_for(by_tenant(&key("call/0"))).await;
    let _ = store.settle(&first, answer("answer", 1000)).await.unwrap();
    let refused = over(&store, by_tenant(&key("call/1"))).await;
    let wait = refused.resets_in.unwrap();
    store
        .clock
        .advance(wait.checked_sub(Duration::from_millis(1)).unwrap());
    over(&store, by_tenant(&key("call/1"))).await;
    store.clock.advance(Duration::from_millis(1));
    store.granted_for(by_tenant(&key("call/1"))).await;
    // A month goes on where a day ends.
    limit_tenant(&store, Period::Month, micros(2000)).await;
    limit_tenant(&store, Period::Day, micros(9000)).await;
    assert_eq!(
        over(&store, by_tenant(&key("call/2"))).await.period,
        Period::Month
    );
}

pub(crate) async fn a_late_settlement_changes_the_day_of_its_claim(store: Store) {
    limit_tenant(&store, Period::Day, micros(1000)).await;
    let lost = store.sent_for(by_tenant(&key("call/0"))).await;
    store.mark_unknown(&lost, "connection reset").await.unwrap();
    let wait = over(&store, by_tenant(&key("call/1"))).await.resets_in.unwrap();
    store.clock.advance(wait);
    let _ = store.settle(&lost, answer("late", 400)).await.unwrap();
    let budgets = store.journal.tenant_budgets().await.unwrap();
    assert_eq!(budgets[0].used, Amount::default());
    assert_eq!(store.journal.used(&tenant()).await.unwrap().cost_micros, 400);
}

pub(crate) async fn a_budget_counts_what_was_used_before_it_was_set(store: Store) {
    store.granted_for(by_tenant(&key("call/0"))).await;
    for period in Period::ALL {
        limit_tenant(&store, period, micros(1999)).await;
        let refused = over(&store, by_tenant(&key("call/1"))).await;
        assert_eq!((refused.period, refused.used), (period, CALL));
        limit_tenant(&store, period, Allowance::default()).await;
    }
    assert_eq!(store.journal.tenant_budgets().await.unwrap(), []);
    store.granted_for(by_tenant(&key("call/1"))).await;
}

pub(crate) async fn a_tenants_budgets_are_listed_and_noted(store: Store) {
    limit_tenant(&store, Period::Month, micros(5000)).await;
    limit_tenant(&store, Period::Day, micros(1000)).await;
    limit_tenant(&store, Period::Month, micros(6000)).await;
    store.granted_for(by_tenant(&key("call/0"))).await;
    let listed = store.journal.tenant_budgets().await.unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|standing| (standing.budget.period, standing.budget.max, standing.used))
        .collect();
    assert_eq!(
        shown,
        [
            (Period::Day, micros(1000), CALL),
            (Period::Month, micros(6000), CALL)
        ]
    );
    assert_eq!(listed[0].changed_by, "ops@example.org");
    assert_eq!(listed[0].changed_unix_ms, store.clock.unix_ms());
    assert!(listed[0].resets_unix_ms < listed[1].resets_unix_ms);
    let notes = store.journal.notes(NoteFilter::default()).await.unwrap();
    let latest = &notes[0];
    assert_eq!(notes.len(), 3);
    assert_eq!(latest.action, NoteAction::SetTenantBudget);
    assert_eq!(
        (latest.actor.as_str(), latest.reason.as_str()),
        ("ops@example.org", "as agreed")
    );
    assert_eq!(latest.subject, "tenant:acme@month");
    assert_eq!(latest.before, r#"{"maxCostMicros":5000,"maxTokens":null}"#);
    assert_eq!(latest.after, r#"{"maxCostMicros":6000,"maxTokens":null}"#);
}

pub(crate) async fn a_budget_that_makes_no_sense_is_refused(store: Store) {
    let set = async |actor: &str, tenant: &str, max| {
        let budget = TenantBudget {
            tenant: tenant.into(),
            period: Period::Day,
            max,
        };
        store.journal.set_tenant_budget(actor, "", budget).await
    };
    for (actor, tenant, max) in [
        ("", "acme", micros(1)),
        ("ops", "", micros(1)),
        ("ops", "acme", micros(-1)),
    ] {
        let refused = set(actor, tenant, max).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(store.journal.notes(NoteFilter::default()).await.unwrap(), []);
    let nameless = ClaimRequest {
        tenant: Some(String::new()),
        ..request(&key("call/0"))
    };
    let refused = store.journal.claim(nameless).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}
