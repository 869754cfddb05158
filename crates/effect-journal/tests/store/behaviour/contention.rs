//! Many callers at once.

use std::sync::Arc;

use effect_journal::{Claim, Clearance, Feedback, Journal, Settled};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{LEASE, Store, answer, committed, key, request};

const CALLERS: usize = 32;

pub(crate) async fn one_of_many_claims_is_granted(store: Store) {
    let fence = claim_together(&store).await;
    assert_eq!(fence, 1);
}

pub(crate) async fn one_of_many_takeovers_is_granted(store: Store) {
    store.sent(&key("call/0")).await;
    store.clock.advance(LEASE);
    let fence = claim_together(&store).await;
    assert_eq!(fence, 2);
}

pub(crate) async fn many_keys_are_worked_on_at_once(store: Store) {
    let mut tasks = JoinSet::new();
    for number in 0..CALLERS {
        let journal: Arc<dyn Journal> = store.journal.clone();
        tasks.spawn(async move {
            let key = key(&format!("item/{number}/call/0"));
            let Claim::Granted(lease) = journal.claim(request(&key)).await.unwrap() else {
                panic!("{key} was claimed by nobody else");
            };
            journal.renew(&lease).await.unwrap();
            assert_eq!(journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
            let settled = journal
                .settle(
                    &lease,
                    answer(&format!("answer {number}"), 1),
                    Feedback::default(),
                )
                .await
                .unwrap();
            assert_eq!(settled, Settled::Committed);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for number in 0..CALLERS {
        let claim = store.claim(&key(&format!("item/{number}/call/0"))).await;
        assert_eq!(claim, Claim::Replay(committed(1, &format!("answer {number}"), 1)));
    }
}

/// Steps that reach the store together are decided as if one had come after the other.
pub(crate) async fn a_batch_decides_in_order(store: Store) {
    for round in 0..8 {
        let key = key(&format!("round/{round}"));
        let lease = store.sent(&key).await;
        let (one, two, three, four) = tokio::join!(
            store.settle(&lease, answer("answer", 1)),
            store.settle(&lease, answer("answer", 1)),
            store.journal.claim(request(&key)),
            store.journal.claim(request(&key)),
        );
        assert_eq!(
            (one.unwrap(), two.unwrap()),
            (Settled::Committed, Settled::Committed)
        );
        for claim in [three.unwrap(), four.unwrap()] {
            let replay = Claim::Replay(committed(1, "answer", 1));
            assert!(
                claim == replay || claim == Claim::Busy { remaining: LEASE },
                "{claim:?}"
            );
        }
        assert_eq!(store.records(&key).await.len(), 1);
    }
}

/// Claims one key from many tasks, expects all but one to be told to wait, and returns the granted fence.
async fn claim_together(store: &Store) -> u32 {
    let start = Arc::new(Barrier::new(CALLERS));
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let (journal, start) = (store.journal.clone(), start.clone());
        tasks.spawn(async move {
            start.wait().await;
            journal.claim(request(&key("call/0"))).await.unwrap()
        });
    }
    let mut granted = Vec::new();
    let mut busy = 0;
    while let Some(claim) = tasks.join_next().await {
        let claim = claim.unwrap();
        if let Claim::Granted(lease) = claim {
            granted.push(lease.fence);
        } else {
            assert_eq!(claim, Claim::Busy { remaining: LEASE });
            busy += 1;
        }
    }
    assert_eq!((granted.len(), busy), (1, CALLERS - 1));
    granted[0]
}
