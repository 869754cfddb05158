//! PostgreSQL held to the suite, on real servers, and what only a server can show.
//!
//! Each store has a schema of its own, so that many fit on one server.

mod outage;
mod race;
mod start;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use effect_journal::{
    AttemptFilter, Claim, EffectKey, Error, Journal, Options, Postgres, PostgresOptions, Scope, State,
};
use scratch_postgres::Server;
use tokio_postgres::{Client, NoTls};

use crate::behaviour::{LEASE, ManualClock, Store, answer, committed, every_behaviour, key, request};

every_behaviour!(grouped open);

/// 2026-01-01, so that a manual clock is not mistaken for an unset one.
const START: i64 = 1_767_225_600_000;

pub(crate) fn serve() -> Server {
    Server::start().unwrap()
}

/// Names a schema that no other store of this process uses.
fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("journal_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

fn options(server: &Server, schema: &str) -> Options {
    Options {
        url: server.url(),
        postgres: PostgresOptions {
            schema: schema.to_owned(),
            ..PostgresOptions::default()
        },
        ..Options::default()
    }
}

pub(crate) async fn open(server: &Server) -> Store {
    open_in(server, &schema()).await
}

async fn open_in(server: &Server, schema: &str) -> Store {
    open_with(options(server, schema)).await
}

async fn open_with(options: Options) -> Store {
    let clock = ManualClock::at(START);
    let clocked = clock.clone();
    Store::opened(clock, Box::new(()), move || {
        let (options, clock) = (options.clone(), clocked.clone());
        Box::pin(async move {
            let journal = Postgres::open_with_clock(&options, clock).await.unwrap();
            Arc::new(journal) as Arc<dyn Journal>
        })
    })
    .await
}

/// Connects to the server as an administrator does, with a schema's tables in sight.
async fn administrator(server: &Server, schema: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute(&format!("SET search_path = {schema}"))
        .await
        .unwrap();
    client
}

/// Returns an error with all its causes on one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn everything_survives_reopening() {
    let server = serve();
    let store = open(&server).await;
    let lease = store.sent(&key("call/0")).await;
    let _ = store.settle(&lease, answer("answer", 7)).await.unwrap();
    let again = store.again().await;
    let replay = again.claim(request(&key("call/0"))).await.unwrap();
    assert_eq!(replay, Claim::Replay(committed(1, "answer", 7)));
}

#[tokio::test]
async fn leases_run_on_the_server_s_clock_unless_one_is_given() {
    let server = serve();
    let journal = effect_journal::open(&options(&server, "journal")).await.unwrap();
    let client = administrator(&server, "journal").await;
    let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let before: i64 = client.query_one(clock, &[]).await.unwrap().get(0);
    let first = journal.claim(request(&key("call/0"))).await.unwrap();
    let after: i64 = client.query_one(clock, &[]).await.unwrap().get(0);
    assert!(matches!(first, Claim::Granted(_)));
    let listed = journal.attempts(AttemptFilter::default()).await.unwrap();
    let claimed = listed[0].claimed_unix_ms;
    assert!(
        (before..=after).contains(&claimed),
        "{before} <= {claimed} <= {after}"
    );
    let second = journal.claim(request(&key("call/0"))).await.unwrap();
    assert!(
        matches!(second, Claim::Busy { remaining } if remaining <= LEASE),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_step_whose_caller_went_away_is_still_done() {
    let server = serve();
    let store = open(&server).await;
    let mut claim = store.journal.claim(request(&key("call/0")));
    std::future::poll_fn(|context| {
        drop(claim.as_mut().poll(context));
        std::task::Poll::Ready(())
    })
    .await;
    drop(claim);
    // What comes after it waits for its row, if not for its turn.
    let mut after = store.claim(&key("call/0")).await;
    if let Claim::Granted(lease) = &after {
        assert_eq!(lease.fence, 1, "this claim was faster");
        after = store.claim(&key("call/0")).await;
    }
    assert_eq!(after, Claim::Busy { remaining: LEASE });
    assert_eq!(store.states(&key("call/0")).await, [State::Reserved]);
}

#[tokio::test]
async fn a_damaged_answer_is_never_replayed() {
    let server = serve();
    let store = open_in(&server, "journal").await;
    let lease = store.sent(&key("call/0")).await;
    let _ = store.settle(&lease, answer("answer", 7)).await.unwrap();
    let client = administrator(&server, "journal").await;
    for damage in [
        "UPDATE attempt SET response = 'Answer'",
        "UPDATE attempt SET response = 'answer', spent_cost_micros = 8",
    ] {
        client.batch_execute(damage).await.unwrap();
        let claim = store.journal.claim(request(&key("call/0"))).await;
        assert!(matches!(claim, Err(Error::Corrupt { fence: 1, .. })), "{claim:?}");
    }
}

#[tokio::test]
async fn the_schema_refuses_a_second_commit_and_a_changed_note() {
    let server = serve();
    let store = open_in(&server, "journal").await;
    let lease = store.sent(&key("call/0")).await;
    let _ = store.settle(&lease, answer("answer", 7)).await.unwrap();
    let client = administrator(&server, "journal").await;
    let note = "INSERT INTO note (unix_ms, actor, action, subject, before_json, after_json, reason)
                VALUES (0, 'me', 'settle_by_hand', 'x', '{}', '{}', '')";
    client.batch_execute(note).await.unwrap();
    for (change, said) in [
        (
            "UPDATE effect SET committed_fence = NULL",
            "a committed result never changes",
        ),
        ("UPDATE attempt SET state = 'released'", "check constraint"),
        ("UPDATE note SET actor = 'you'", "a note never changes"),
        ("DELETE FROM note", "a note never changes"),
    ] {
        let error = client.batch_execute(change).await.unwrap_err();
        let error = error.as_db_error().unwrap().message();
        assert!(error.contains(said), "{change}: {error}");
    }
    assert_eq!(store.states(&key("call/0")).await, [State::Settled]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_cannot_be_stored_fails_alone() {
    let server = serve();
    let store = open(&server).await;
    // No text of a database holds a zero byte; many steps at once, so that they share transactions.
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..64 {
        let journal = store.journal.clone();
        tasks.spawn(async move {
            let mut request = request(&key(&format!("call/{number}")));
            if number % 8 == 0 {
                request.owner = "worker\0".into();
            }
            (number, journal.claim(request).await)
        });
    }
    for (number, claim) in tasks.join_all().await {
        if number % 8 == 0 {
            assert!(matches!(claim, Err(Error::Storage { .. })), "{claim:?}");
        } else {
            assert!(matches!(claim, Ok(Claim::Granted(_))), "{claim:?}");
        }
    }
    let filter = AttemptFilter::default();
    assert_eq!(store.journal.attempts(filter).await.unwrap().len(), 56);
}

#[tokio::test]
async fn a_key_that_no_index_can_hold_is_refused_as_such() {
    let server = serve();
    let store = open(&server).await;
    let long = EffectKey::new("n", &"w".repeat(2600), "r", "call/0").unwrap();
    let claim = store.journal.claim(request(&long)).await;
    assert!(
        matches!(&claim, Err(Error::Invalid { what }) if what.contains("2600")),
        "{claim:?}"
    );
    // The longest that is taken has no two parts alike, which the server could store as less than they are.
    let mixed: String = (0..2400_u32)
        .map(|n| char::from(b'0' + u8::try_from(n * n % 71).unwrap()))
        .collect();
    let mixed = mixed.replace(['/', '%'], "x");
    let longest = EffectKey::new("n", &mixed, "r", "call/0").unwrap();
    assert!(matches!(store.claim(&longest).await, Claim::Granted(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_refused_leaves_no_effect_in_the_ledger() {
    let server = serve();
    let store = open(&server).await;
    let account = effect_journal::Account::run("n", "w", "r").unwrap();
    let mut refused = request(&key("call/0"));
    refused.accounts = vec![effect_journal::AccountClaim {
        account: account.clone(),
        max: Some(effect_journal::Allowance {
            cost_micros: Some(999),
            tokens: None,
        }),
    }];
    for _ in 0..2 {
        let claim = store.journal.claim(refused.clone()).await.unwrap();
        assert!(matches!(claim, Claim::OverBudget(_)), "{claim:?}");
    }
    assert_eq!(store.records(&key("call/0")).await, []);
    let totals = store.journal.totals(&Scope::all()).await.unwrap();
    assert_eq!(totals, effect_journal::Totals::default());
    // Another request under the same key is the first one that is granted.
    let mut other = request(&key("call/0"));
    other.digest = effect_journal::RequestDigest::of(b"another");
    let claim = store.journal.claim(other).await.unwrap();
    let Claim::Granted(lease) = claim else {
        panic!("{claim:?}")
    };
    assert_eq!(lease.fence, 1);
}
