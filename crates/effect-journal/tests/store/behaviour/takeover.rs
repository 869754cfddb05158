//! What happens when a holder dies or comes late.

use effect_journal::{Claim, ClaimRequest, Clearance, Error, OnUnknown, Settled, State};

use super::{LEASE, Store, answer, committed, key, request};

pub(crate) async fn an_unsent_attempt_that_died_is_released(store: Store) {
    let key = key("call/0");
    let dead = store.granted(&key).await;
    store.clock.advance(LEASE);
    let park = ClaimRequest {
        on_unknown: OnUnknown::Park,
        ..request(&key)
    };
    let claim = store.journal.claim(park).await.unwrap();
    assert!(matches!(claim, Claim::Granted(lease) if lease.fence == 2));
    assert_eq!(store.states(&key).await, [State::Released, State::Reserved]);
    let reason = store.reason(&dead).await;
    assert_eq!(
        reason.as_deref(),
        Some("the lease ran out before anything was sent")
    );
}

pub(crate) async fn a_sent_attempt_that_died_is_unknown_and_repeated(store: Store) {
    let key = key("call/0");
    let dead = store.sent(&key).await;
    store.clock.advance(LEASE);
    assert_eq!(store.granted(&key).await.fence, 2);
    assert_eq!(store.states(&key).await, [State::Unknown, State::Reserved]);
    let reason = store.reason(&dead).await;
    assert_eq!(
        reason.as_deref(),
        Some("the lease ran out after the request was sent")
    );
}

pub(crate) async fn park_and_fail_grant_nothing_after_an_unknown_outcome(store: Store) {
    for (step, on_unknown) in [("call/0", OnUnknown::Park), ("call/1", OnUnknown::Fail)] {
        let key = key(step);
        let dead = store.sent(&key).await;
        store.clock.advance(LEASE);
        let careful = ClaimRequest {
            on_unknown,
            ..request(&key)
        };
        for _ in 0..2 {
            let claim = store.journal.claim(careful.clone()).await.unwrap();
            let expected = Claim::Unknown {
                attempts: store.records(&key).await,
            };
            assert_eq!(claim, expected);
            assert_eq!(store.states(&key).await, [State::Unknown]);
        }
        let renewed = store.journal.renew(&dead).await;
        assert!(
            matches!(
                renewed,
                Err(Error::State {
                    state: State::Unknown,
                    ..
                })
            ),
            "{renewed:?}"
        );
        // A person's decision to repeat holds, and the next unknown outcome is another decision.
        let second = store.sent(&key).await;
        assert_eq!(second.fence, 2);
        store.release(&second, "429").await.unwrap();
        let claim = store.journal.claim(careful).await.unwrap();
        assert!(matches!(claim, Claim::Unknown { attempts } if attempts.len() == 1));
    }
}

pub(crate) async fn a_broken_connection_is_unknown_before_the_lease_ends(store: Store) {
    let key = key("call/0");
    let lease = store.sent(&key).await;
    for reason in ["connection reset", "told again"] {
        store.mark_unknown(&lease, reason).await.unwrap();
        assert_eq!(store.reason(&lease).await.as_deref(), Some("connection reset"));
    }
    assert_eq!(store.granted(&key).await.fence, 2);
}

pub(crate) async fn a_fenced_holder_cannot_renew_or_send(store: Store) {
    let key = key("call/0");
    let stalled = store.granted(&key).await;
    store.clock.advance(LEASE);
    store.granted(&key).await;
    let renewed = store.journal.renew(&stalled).await;
    assert!(
        matches!(
            renewed,
            Err(Error::Fenced {
                fence: 1,
                current: 2,
                ..
            })
        ),
        "{renewed:?}"
    );
    let sent = store.journal.mark_sent(&stalled).await;
    assert!(
        matches!(
            sent,
            Err(Error::Fenced {
                fence: 1,
                current: 2,
                ..
            })
        ),
        "{sent:?}"
    );
    assert_eq!(store.states(&key).await, [State::Released, State::Reserved]);
}

pub(crate) async fn a_late_answer_is_the_result_if_nothing_newer_was_sent(store: Store) {
    let key = key("call/0");
    let late = store.sent(&key).await;
    store.clock.advance(LEASE);
    let newer = store.granted(&key).await;
    let settled = store.settle(&late, answer("late", 7)).await.unwrap();
    assert_eq!(settled, Settled::Committed);
    store.journal.renew(&newer).await.unwrap();
    for _ in 0..2 {
        let clearance = store.journal.mark_sent(&newer).await.unwrap();
        assert_eq!(clearance, Clearance::Superseded(committed(1, "late", 7)));
    }
    assert_eq!(store.states(&key).await, [State::Settled, State::Released]);
    assert_eq!(
        store.reason(&newer).await.as_deref(),
        Some("the answer of an earlier attempt arrived first")
    );
    assert_eq!(store.claim(&key).await, Claim::Replay(committed(1, "late", 7)));
}

pub(crate) async fn a_late_answer_counts_as_spend_if_a_newer_request_is_under_way(store: Store) {
    let key = key("call/0");
    let late = store.sent(&key).await;
    store.clock.advance(LEASE);
    let newer = store.sent(&key).await;
    for _ in 0..2 {
        let settled = store.settle(&late, answer("late", 7)).await.unwrap();
        assert_eq!(settled, Settled::SpendOnly);
    }
    assert!(matches!(store.claim(&key).await, Claim::Busy { .. }));
    let settled = store.settle(&newer, answer("newer", 9)).await.unwrap();
    assert_eq!(settled, Settled::Committed);
    assert_eq!(store.claim(&key).await, Claim::Replay(committed(2, "newer", 9)));
    let records = store.records(&key).await;
    let spent: Vec<_> = records
        .iter()
        .map(|record| record.spend.unwrap().cost_micros)
        .collect();
    assert_eq!(spent, [7, 9]);
    let committed: Vec<_> = records.iter().map(|record| record.committed).collect();
    assert_eq!(committed, [false, true]);
}

pub(crate) async fn a_late_answer_is_kept_for_when_the_newer_request_fails(store: Store) {
    for (step, broken) in [("call/0", false), ("call/1", true)] {
        let key = key(step);
        let late = store.sent(&key).await;
        store.clock.advance(LEASE);
        let newer = store.sent(&key).await;
        let settled = store.settle(&late, answer("late", 7)).await.unwrap();
        assert_eq!(settled, Settled::SpendOnly);
        if broken {
            store.mark_unknown(&newer, "connection reset").await.unwrap();
        } else {
            store.release(&newer, "429").await.unwrap();
        }
        // Paying a third time for what is known already would be a repetition without a reason.
        assert_eq!(store.claim(&key).await, Claim::Replay(committed(1, "late", 7)));
        assert_eq!(store.records(&key).await.len(), 2);
        let again = store.settle(&late, answer("late", 7)).await.unwrap();
        assert_eq!(again, Settled::Committed);
    }
}

pub(crate) async fn a_late_refusal_clears_the_unknown_outcome(store: Store) {
    let key = key("call/0");
    let late = store.sent(&key).await;
    store.clock.advance(LEASE);
    let park = ClaimRequest {
        on_unknown: OnUnknown::Park,
        ..request(&key)
    };
    let claim = store.journal.claim(park.clone()).await.unwrap();
    assert!(matches!(claim, Claim::Unknown { .. }), "{claim:?}");
    store.release(&late, "429").await.unwrap();
    let claim = store.journal.claim(park).await.unwrap();
    assert!(
        matches!(&claim, Claim::Granted(lease) if lease.fence == 2),
        "{claim:?}"
    );
    let settled = store.settle(&late, answer("after a refusal", 7)).await;
    assert!(
        matches!(
            settled,
            Err(Error::State {
                state: State::Released,
                ..
            })
        ),
        "{settled:?}"
    );
}

pub(crate) async fn an_expired_lease_that_nobody_took_is_still_held(store: Store) {
    let key = key("call/0");
    let lease = store.granted(&key).await;
    store.clock.advance(LEASE * 2);
    store.journal.renew(&lease).await.unwrap();
    assert_eq!(store.claim(&key).await, Claim::Busy { remaining: LEASE });
    store.clock.advance(LEASE * 2);
    assert_eq!(store.journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
    assert_eq!(store.states(&key).await, [State::Sent]);
}

pub(crate) async fn a_holder_back_from_a_stall_can_commit(store: Store) {
    let key = key("call/0");
    let first = store.sent(&key).await;
    store.clock.advance(LEASE);
    let second = store.sent(&key).await;
    store.clock.advance(LEASE);
    // Both leases are gone and neither attempt is under way, so the first answer is the result.
    let settled = store.settle(&first, answer("first", 7)).await.unwrap();
    assert_eq!(settled, Settled::Committed);
    let settled = store.settle(&second, answer("second", 9)).await.unwrap();
    assert_eq!(settled, Settled::SpendOnly);
    assert_eq!(store.claim(&key).await, Claim::Replay(committed(1, "first", 7)));
    assert_eq!(store.states(&key).await, [State::Settled, State::Settled]);
}
