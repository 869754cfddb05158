//! Who may perform an effect.

use std::time::Duration;

use effect_journal::{Claim, ClaimRequest, Error, RequestDigest, State};

use super::{LEASE, Store, key, request};

pub(crate) async fn a_first_claim_is_granted(store: Store) {
    let key = key("call/0");
    let lease = store.granted(&key).await;
    assert_eq!(
        (lease.key.clone(), lease.fence, lease.length),
        (key.clone(), 1, LEASE)
    );
    assert_eq!(store.states(&key).await, [State::Reserved]);
}

pub(crate) async fn a_live_lease_makes_others_wait(store: Store) {
    let key = key("call/0");
    store.granted(&key).await;
    assert_eq!(store.claim(&key).await, Claim::Busy { remaining: LEASE });
    store.clock.advance(Duration::from_millis(44_999));
    assert_eq!(
        store.claim(&key).await,
        Claim::Busy {
            remaining: Duration::from_millis(1)
        }
    );
    store.clock.advance(Duration::from_millis(1));
    assert_eq!(store.granted(&key).await.fence, 2);
}

pub(crate) async fn renewal_extends_the_lease_from_now(store: Store) {
    let key = key("call/0");
    let lease = store.granted(&key).await;
    store.clock.advance(Duration::from_secs(10));
    store.journal.renew(&lease).await.unwrap();
    assert_eq!(store.claim(&key).await, Claim::Busy { remaining: LEASE });
    store.clock.advance(Duration::from_secs(10));
    let sent = store.journal.mark_sent(&lease).await.unwrap();
    assert_eq!(sent, effect_journal::Clearance::Call);
    assert_eq!(store.claim(&key).await, Claim::Busy { remaining: LEASE });
    store.clock.advance(Duration::from_secs(10));
    store.journal.renew(&lease).await.unwrap();
    assert_eq!(store.claim(&key).await, Claim::Busy { remaining: LEASE });
}

pub(crate) async fn another_request_under_the_same_key_is_refused(store: Store) {
    let key = key("call/0");
    let lease = store.sent(&key).await;
    let other = ClaimRequest {
        digest: RequestDigest::of(b"another request"),
        ..request(&key)
    };
    let mismatch = Claim::DigestMismatch {
        recorded: RequestDigest::of(b"request"),
    };
    assert_eq!(store.journal.claim(other.clone()).await.unwrap(), mismatch);
    let settled = store.settle(&lease, super::answer("answer", 1)).await.unwrap();
    assert_eq!(settled, effect_journal::Settled::Committed);
    assert_eq!(store.journal.claim(other).await.unwrap(), mismatch);
    assert_eq!(store.records(&key).await.len(), 1);
}

pub(crate) async fn a_clock_set_back_does_not_prolong_a_dead_lease(store: Store) {
    let key = key("call/0");
    store.sent(&key).await;
    store.clock.set_back(Duration::from_hours(2));
    assert_eq!(store.claim(&key).await, Claim::Busy { remaining: LEASE });
    store.clock.advance(LEASE);
    assert_eq!(store.granted(&key).await.fence, 2);
    assert_eq!(store.states(&key).await, [State::Unknown, State::Reserved]);
}

pub(crate) async fn a_lease_of_another_journal_is_refused(store: Store) {
    let key = key("call/0");
    let mut lease = store.granted(&key).await;
    lease.fence = 9;
    let sent = store.journal.mark_sent(&lease).await;
    assert!(matches!(sent, Err(Error::NoAttempt { fence: 9, .. })), "{sent:?}");
    lease.key = super::key("call/1");
    let renewed = store.journal.renew(&lease).await;
    assert!(
        matches!(renewed, Err(Error::NoAttempt { fence: 9, .. })),
        "{renewed:?}"
    );
}
