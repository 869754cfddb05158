//! How an attempt ends while its holder holds it.

use effect_journal::{Claim, Error, Settled, State};

use super::{LEASE, Store, answer, committed, key};

pub(crate) async fn a_committed_answer_is_replayed(store: Store) {
    let key = key("call/0");
    let lease = store.sent(&key).await;
    let settled = store.settle(&lease, answer("the answer", 7)).await.unwrap();
    assert_eq!(settled, Settled::Committed);
    for _ in 0..2 {
        assert_eq!(
            store.claim(&key).await,
            Claim::Replay(committed(1, "the answer", 7))
        );
        store.clock.advance(LEASE * 1000);
    }
    assert_eq!(store.states(&key).await, [State::Settled]);
}

pub(crate) async fn settling_again_changes_nothing(store: Store) {
    let key = key("call/0");
    let lease = store.sent(&key).await;
    for response in ["first", "second"] {
        let settled = store.settle(&lease, answer(response, 7)).await.unwrap();
        assert_eq!(settled, Settled::Committed);
        assert_eq!(store.claim(&key).await, Claim::Replay(committed(1, "first", 7)));
    }
}

pub(crate) async fn a_refusal_that_is_not_billed_frees_the_key(store: Store) {
    let key = key("call/0");
    let lease = store.sent(&key).await;
    for reason in ["429", "told again"] {
        store.release(&lease, reason).await.unwrap();
        assert_eq!(store.reason(&lease).await.as_deref(), Some("429"));
    }
    assert_eq!(store.granted(&key).await.fence, 2);
    assert_eq!(store.states(&key).await, [State::Released, State::Reserved]);
}

pub(crate) async fn what_was_never_sent_has_no_outcome(store: Store) {
    let key = key("call/0");
    let lease = store.granted(&key).await;
    let settled = store.settle(&lease, answer("from nowhere", 7)).await;
    assert!(
        matches!(
            settled,
            Err(Error::State {
                state: State::Reserved,
                ..
            })
        ),
        "{settled:?}"
    );
    let lost = store.mark_unknown(&lease, "nothing was sent").await;
    assert!(
        matches!(
            lost,
            Err(Error::State {
                state: State::Reserved,
                ..
            })
        ),
        "{lost:?}"
    );
    store.release(&lease, "cancelled before sending").await.unwrap();
    assert_eq!(store.states(&key).await, [State::Released]);
}

pub(crate) async fn what_was_sent_is_not_sent_again(store: Store) {
    let lease = store.sent(&key("call/0")).await;
    let again = store.journal.mark_sent(&lease).await;
    assert!(
        matches!(
            again,
            Err(Error::State {
                state: State::Sent,
                ..
            })
        ),
        "{again:?}"
    );
}

pub(crate) async fn an_ended_attempt_cannot_be_renewed_or_sent(store: Store) {
    let released = store.granted(&key("call/0")).await;
    store.release(&released, "cancelled").await.unwrap();
    let unknown = store.sent(&key("call/1")).await;
    store.mark_unknown(&unknown, "connection reset").await.unwrap();
    let settled = store.sent(&key("call/2")).await;
    let _ = store.settle(&settled, answer("answer", 7)).await.unwrap();
    for (lease, expected) in [
        (released, State::Released),
        (unknown, State::Unknown),
        (settled, State::Settled),
    ] {
        let renewed = store.journal.renew(&lease).await;
        assert!(
            matches!(&renewed, Err(Error::State { state, .. }) if *state == expected),
            "{renewed:?}"
        );
        let sent = store.journal.mark_sent(&lease).await;
        assert!(
            matches!(&sent, Err(Error::State { state, .. }) if *state == expected),
            "{sent:?}"
        );
    }
}

pub(crate) async fn a_settled_attempt_stays_settled(store: Store) {
    let key = key("call/0");
    let lease = store.sent(&key).await;
    let _ = store.settle(&lease, answer("answer", 7)).await.unwrap();
    let released = store.release(&lease, "too late").await;
    assert!(
        matches!(
            released,
            Err(Error::State {
                state: State::Settled,
                ..
            })
        ),
        "{released:?}"
    );
    let lost = store.mark_unknown(&lease, "too late").await;
    assert!(
        matches!(
            lost,
            Err(Error::State {
                state: State::Settled,
                ..
            })
        ),
        "{lost:?}"
    );
    assert_eq!(store.claim(&key).await, Claim::Replay(committed(1, "answer", 7)));
}

pub(crate) async fn an_empty_answer_is_an_answer(store: Store) {
    let key = key("call/0");
    let lease = store.sent(&key).await;
    let settled = store.settle(&lease, answer("", 7)).await.unwrap();
    assert_eq!(settled, Settled::Committed);
    assert_eq!(store.claim(&key).await, Claim::Replay(committed(1, "", 7)));
}
