//! Servers that die, fall silent and are cut off.

mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use effect_journal::{
    Claim, Clearance, EffectKey, Error, Feedback, Journal, Lease, Options, PostgresOptions, Scope, Settled,
    State,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use self::proxy::Proxy;
use super::{administrator, chain, open, open_in, open_with, options, serve};
use crate::behaviour::{LEASE, answer, committed, key, request};

/// Ends every connection to the server but the administrator's own.
pub(super) async fn cut_all(administrator: &Client) {
    let cut = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    administrator.query_one(cut, &[]).await.unwrap();
}

#[tokio::test]
async fn connections_that_were_cut_are_replaced_and_nobody_notices() {
    let server = serve();
    let store = open_in(&server, "journal").await;
    let lease = store.sent(&key("call/0")).await;
    let client = administrator(&server, "journal").await;
    for round in 0..3 {
        cut_all(&client).await;
        store.granted(&key(&format!("call/{round}/again"))).await;
        cut_all(&client).await;
        assert_eq!(store.states(&key("call/0")).await, [State::Sent]);
    }
    cut_all(&client).await;
    assert_eq!(
        store.settle(&lease, answer("answer", 7)).await.unwrap(),
        Settled::Committed
    );
}

#[tokio::test]
async fn without_a_server_every_step_fails_and_with_it_all_goes_on() {
    let mut server = serve();
    let store = open(&server).await;
    let lease = store.sent(&key("call/0")).await;
    server.kill().unwrap();
    let claim = store.journal.claim(request(&key("call/1"))).await;
    assert!(matches!(claim, Err(Error::Storage { .. })), "{claim:?}");
    let settled = store.settle(&lease, answer("answer", 7)).await;
    assert!(matches!(settled, Err(Error::Storage { .. })), "{settled:?}");
    assert!(store.journal.check().await.is_err());
    assert!(store.journal.totals(&Scope::all()).await.is_err());

    server.restart().unwrap();
    store.journal.check().await.unwrap();
    assert_eq!(
        store.settle(&lease, answer("answer", 7)).await.unwrap(),
        Settled::Committed
    );
    assert_eq!(store.granted(&key("call/1")).await.fence, 1);
    assert_eq!(store.states(&key("call/0")).await, [State::Settled]);
}

#[tokio::test]
async fn a_server_that_falls_silent_fails_the_step_in_time() {
    let server = serve();
    let silent = Options {
        postgres: PostgresOptions {
            timeout_seconds: 1,
            schema: "journal".to_owned(),
            ..PostgresOptions::default()
        },
        ..options(&server, "journal")
    };
    let store = open_with(silent).await;
    store.granted(&key("call/0")).await;
    server.freeze().unwrap();
    let claim = store.journal.claim(request(&key("call/1"))).await;
    let Err(error @ Error::Storage { .. }) = &claim else {
        panic!("{claim:?}")
    };
    assert!(chain(error).contains("silent"), "{}", chain(error));
    server.thaw().unwrap();
    store.journal.check().await.unwrap();
    // Whether the claim reached the server or not: once its lease is over, the key is free, and nothing was sent.
    store.clock.advance(LEASE);
    store.granted(&key("call/1")).await;
    let states = store.states(&key("call/1")).await;
    assert!(
        states
            .iter()
            .all(|state| matches!(state, State::Released | State::Reserved)),
        "{states:?}"
    );
}

#[tokio::test]
async fn a_grant_whose_confirmation_was_lost_runs_out_with_its_lease() {
    let server = serve();
    let proxy = Proxy::before(server.port()).await;
    let url = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
    let store = open_with(Options {
        url,
        ..options(&server, "journal")
    })
    .await;
    store.granted(&key("call/0")).await;
    proxy.lose_the_next_commit();
    let claim = store.journal.claim(request(&key("call/1"))).await;
    assert!(matches!(claim, Err(Error::Storage { .. })), "{claim:?}");
    assert!(proxy.has_lost_it());
    // The grant stands, and nobody holds it.
    assert_eq!(
        store.claim(&key("call/1")).await,
        Claim::Busy { remaining: LEASE }
    );
    store.clock.advance(LEASE);
    assert_eq!(store.granted(&key("call/1")).await.fence, 2);
    assert_eq!(
        store.states(&key("call/1")).await,
        [State::Released, State::Reserved]
    );
}

#[tokio::test]
async fn an_answer_whose_confirmation_was_lost_is_settled_by_saying_it_again() {
    let server = serve();
    let proxy = Proxy::before(server.port()).await;
    let url = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
    let store = open_with(Options {
        url,
        ..options(&server, "journal")
    })
    .await;
    let lease = store.sent(&key("call/0")).await;
    proxy.lose_the_next_commit();
    let settled = store.settle(&lease, answer("answer", 7)).await;
    assert!(matches!(settled, Err(Error::Storage { .. })), "{settled:?}");
    assert_eq!(
        store.settle(&lease, answer("answer", 7)).await.unwrap(),
        Settled::Committed
    );
    assert_eq!(
        store.claim(&key("call/0")).await,
        Claim::Replay(committed(1, "answer", 7))
    );
}

#[tokio::test]
async fn a_worker_that_stands_still_in_a_transaction_does_not_hold_up_the_others() {
    let server = serve();
    let quick = Options {
        postgres: PostgresOptions {
            timeout_seconds: 2,
            schema: "journal".to_owned(),
            ..PostgresOptions::default()
        },
        ..options(&server, "journal")
    };
    let store = open_with(quick).await;
    let lease = store.sent(&key("call/0")).await;
    // As a process does that is stopped between two statements.
    let stopped = administrator(&server, "journal").await;
    stopped
        .batch_execute(
            "SET idle_in_transaction_session_timeout = '1s'; BEGIN; SELECT * FROM effect ORDER BY key FOR UPDATE",
        )
        .await
        .unwrap();
    assert_eq!(
        store.settle(&lease, answer("answer", 7)).await.unwrap(),
        Settled::Committed
    );
}

/// What a caller was told, which must hold whatever happens afterwards.
struct Told {
    key: EffectKey,
    response: String,
    fence: u32,
}

/// Brings one effect to its end over whatever the server does, as a worker with retries; sums the grants it was told of.
async fn persist(
    journal: Arc<dyn Journal>,
    step: String,
    settled: Arc<AtomicUsize>,
    some: Arc<Notify>,
) -> Told {
    let key = key(&step);
    loop {
        let Ok(claim) = journal.claim(request(&key)).await else {
            continue;
        };
        let lease = match claim {
            Claim::Granted(lease) => lease,
            Claim::Replay(result) => {
                let response = String::from_utf8(result.response).unwrap();
                let fence = result.fence;
                return Told { key, response, fence };
            }
            // Its own grant, whose confirmation was lost: released by whoever knows that nothing was sent.
            Claim::Busy { .. } => {
                let lost = Lease {
                    key: key.clone(),
                    fence: latest(&journal, &key).await,
                    length: LEASE,
                };
                drop(journal.mark_unknown(&lost, "lost", Feedback::default()).await);
                drop(
                    journal
                        .release(&lost, "the confirmation was lost", Feedback::default())
                        .await,
                );
                continue;
            }
            other @ (Claim::Unknown { .. }
            | Claim::DigestMismatch { .. }
            | Claim::OverBudget(_)
            | Claim::Limited(_)) => panic!("{other:?}"),
        };
        if !matches!(journal.mark_sent(&lease).await, Ok(Clearance::Call)) {
            continue;
        }
        let response = format!("{step} by {}", lease.fence);
        loop {
            match journal
                .settle(&lease, answer(&response, 1), Feedback::default())
                .await
            {
                Ok(Settled::Committed) => break,
                Ok(Settled::SpendOnly) => panic!("nobody else works on {step}"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        settled.fetch_add(1, Ordering::SeqCst);
        some.notify_one();
        let fence = lease.fence;
        return Told { key, response, fence };
    }
}

async fn latest(journal: &Arc<dyn Journal>, key: &EffectKey) -> u32 {
    loop {
        let filter = effect_journal::AttemptFilter {
            scope: Scope::key(key),
            ..effect_journal::AttemptFilter::default()
        };
        if let Ok(records) = journal.attempts(filter).await {
            return records.last().map_or(1, |record| record.fence);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_survives_a_server_that_is_killed_under_load() {
    const EFFECTS: usize = 400;
    let mut server = serve();
    let store = open(&server).await;
    let (settled, some) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut tasks = JoinSet::new();
    for number in 0..EFFECTS {
        let step = format!("item/{number}/call/0");
        tasks.spawn(persist(
            store.journal.clone(),
            step,
            settled.clone(),
            some.clone(),
        ));
    }
    for quarter in 1..=3 {
        while settled.load(Ordering::SeqCst) < quarter * EFFECTS / 4 {
            some.notified().await;
        }
        server.kill().unwrap();
        server.restart().unwrap();
    }
    let told = tasks.join_all().await;
    for told in &told {
        let found = store.claim(&told.key).await;
        let Claim::Replay(found) = found else {
            panic!("{}: {found:?}", told.key)
        };
        assert_eq!(
            (String::from_utf8(found.response).unwrap(), found.fence),
            (told.response.clone(), told.fence)
        );
    }
    let totals = store.journal.totals(&Scope::all()).await.unwrap();
    assert_eq!(totals.settled.attempts, u64::try_from(EFFECTS).unwrap());
    assert!(server.log().contains("not properly shut down"));
}
