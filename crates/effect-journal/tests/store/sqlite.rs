//! SQLite held to the suite, and what only a file can show.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use effect_journal::{
    Claim, Committed, Error, Feedback, Journal, Options, Problem, Scope, Settled, Spend, Sqlite, State,
};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::behaviour::{LEASE, ManualClock, Store, answer, committed, cost, every_behaviour, key, request};

every_behaviour!(crate::sqlite::open);

/// 2026-01-01, so that a manual clock is not mistaken for an unset one.
const START: i64 = 1_767_225_600_000;

pub(crate) fn options(path: &Path) -> Options {
    Options {
        url: format!("sqlite://{}", path.display()),
        ..Options::default()
    }
}

async fn open() -> Store {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    reopen(&path, Box::new(folder)).await
}

async fn reopen(path: &Path, kept: Box<TempDir>) -> Store {
    reopen_at(path, ManualClock::at(START), kept).await
}

pub(crate) async fn reopen_at(path: &Path, clock: Arc<ManualClock>, kept: Box<TempDir>) -> Store {
    let (path, clocked) = (path.to_owned(), clock.clone());
    Store::opened(clock, kept, move || {
        let (options, clock) = (options(&path), clocked.clone());
        Box::pin(async move {
            let journal = Sqlite::open_with_clock(&options, clock).await.unwrap();
            Arc::new(journal) as Arc<dyn Journal>
        })
    })
    .await
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("journal.db")
}

async fn refusal(path: &Path) -> Error {
    Sqlite::open(&options(path))
        .await
        .err()
        .expect("the file must be refused")
}

#[tokio::test]
async fn leases_run_on_the_real_clock_unless_one_is_given() {
    let folder = TempDir::new().unwrap();
    let journal = effect_journal::open(&options(&file(&folder))).await.unwrap();
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let first = journal.claim(request(&key("call/0"))).await.unwrap();
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    assert!(matches!(first, Claim::Granted(_)));
    let listed = journal
        .attempts(effect_journal::AttemptFilter::default())
        .await
        .unwrap();
    let claimed = u128::try_from(listed[0].claimed_unix_ms).unwrap();
    // SQLite counts milliseconds in floating point, which may round to a neighbour.
    assert!(
        (before - 1..=after + 1).contains(&claimed),
        "{before} <= {claimed} <= {after}"
    );
    let second = journal.claim(request(&key("call/0"))).await.unwrap();
    assert!(
        matches!(second, Claim::Busy { remaining } if remaining <= LEASE),
        "{second:?}"
    );
}

#[tokio::test]
async fn everything_survives_reopening() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    {
        let store = reopen(&path, Box::new(TempDir::new().unwrap())).await;
        let lease = store.sent(&key("call/0")).await;
        let _ = store.settle(&lease, answer("answer", 7)).await.unwrap();
    }
    let store = reopen(&path, Box::new(folder)).await;
    assert_eq!(
        store.claim(&key("call/0")).await,
        Claim::Replay(committed(1, "answer", 7))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_openers_of_a_new_file_share_it() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let options = options(&path);
        tasks.spawn(async move {
            let journal = Sqlite::open(&options).await.unwrap();
            journal.claim(request(&key("call/0"))).await.unwrap()
        });
    }
    let claims = tasks.join_all().await;
    let granted = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Granted(_)))
        .count();
    let busy = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Busy { .. }))
        .count();
    assert_eq!((granted, busy), (1, 7));
}

#[tokio::test]
async fn a_writer_waits_for_another_process_and_passes_its_readers() {
    let store = open_with_path().await;
    let mut other = Connection::open(&store.1).unwrap();
    let reading = other.transaction().unwrap();
    let count = |connection: &Connection| -> i64 {
        connection
            .query_row("SELECT count(*) FROM attempt", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&reading), 0);
    let lease = store.0.sent(&key("call/0")).await;
    assert_eq!(count(&reading), 0, "a reader keeps its view");
    reading.commit().unwrap();
    assert_eq!(count(&other), 1);

    let writing = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    let journal = store.0.journal.clone();
    let settling = tokio::spawn(async move {
        journal
            .settle(&lease, answer("answer", 7), Feedback::default())
            .await
    });
    tokio::task::yield_now().await;
    assert!(!settling.is_finished());
    writing.commit().unwrap();
    assert_eq!(settling.await.unwrap().unwrap(), Settled::Committed);
}

#[tokio::test]
async fn a_step_whose_caller_went_away_is_still_done() {
    let store = open().await;
    let mut claim = store.journal.claim(request(&key("call/0")));
    std::future::poll_fn(|context| {
        drop(claim.as_mut().poll(context));
        std::task::Poll::Ready(())
    })
    .await;
    drop(claim);
    assert_eq!(
        store.claim(&key("call/0")).await,
        Claim::Busy { remaining: LEASE }
    );
}

#[tokio::test]
async fn wrong_options_are_all_told_before_anything_is_opened() {
    let options = Options {
        url: "mysql://db/journal".into(),
        lease_seconds: 1,
        ..Options::default()
    };
    let error = Sqlite::open(&options).await.err().unwrap();
    let Error::Options { problems } = &error else {
        panic!("{error:?}")
    };
    let paths: Vec<_> = problems.iter().map(|Problem { path, .. }| *path).collect();
    assert_eq!(paths, ["url", "lease_seconds"]);
    assert!(error.to_string().contains("supported are sqlite:///"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(reopen(&file(&folder), Box::new(TempDir::new().unwrap())).await);
    Connection::open(file(&folder))
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = refusal(&file(&folder)).await;
    assert!(
        matches!(
            error,
            Error::NewerSchema {
                found: 99,
                known: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("schema version 99"), "{error}");
    let version: i64 = Connection::open(file(&folder))
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[tokio::test]
async fn a_journal_of_the_first_release_keeps_its_attempts() {
    let folder = TempDir::new().unwrap();
    Connection::open(file(&folder))
        .unwrap()
        .execute_batch(include_str!("../data/journal-version-1.sql"))
        .unwrap();
    let store = reopen(&file(&folder), Box::new(folder)).await;
    store.clock.advance(LEASE);
    let spent = Spend {
        cache_write_input_tokens: 0,
        ..cost(7)
    };
    let result = Committed {
        fence: 2,
        response: b"answer".to_vec(),
        spend: spent,
    };
    assert_eq!(store.claim(&key("settled")).await, Claim::Replay(result));
    for (step, states) in [
        ("settled", &[State::Released, State::Settled][..]),
        ("unknown", &[State::Unknown]),
        ("sent", &[State::Unknown]),
        ("reserved", &[State::Released]),
    ] {
        assert_eq!(store.states(&key(step)).await, states, "{step}");
    }
    let record = store.records(&key("settled")).await.remove(0);
    assert_eq!(
        (record.tenant, record.price_table.as_str(), record.by_hand),
        (None, "", false)
    );
    let totals = store.journal.totals(&Scope::all()).await.unwrap();
    assert_eq!((totals.settled.spend, totals.unknown.attempts), (spent, 2));
    assert_eq!(store.granted(&key("unknown")).await.fence, 2);
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        file(&folder),
        "this is a text of more than a hundred bytes ".repeat(100),
    )
    .unwrap();
    let error = refusal(&file(&folder)).await;
    let Error::Open { path, source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(path, &file(&folder));
    assert_eq!(code(source.as_ref()), rusqlite::ErrorCode::NotADatabase);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = refusal(&folder.path().join("file/journal.db")).await;
    assert!(matches!(error, Error::Open { .. }), "{error:?}");
    let nested = folder.path().join("a/b/journal.db");
    assert!(Sqlite::open(&options(&nested)).await.is_ok());
}

#[tokio::test]
async fn a_damaged_answer_is_never_replayed() {
    let store = open_with_path().await;
    let lease = store.0.sent(&key("call/0")).await;
    let _ = store.0.settle(&lease, answer("answer", 7)).await.unwrap();
    for damage in [
        "UPDATE attempt SET response = CAST('Answer' AS BLOB)",
        "UPDATE attempt SET response = CAST('answer' AS BLOB), spent_cost_micros = 8",
    ] {
        Connection::open(&store.1).unwrap().execute(damage, []).unwrap();
        let claim = store.0.journal.claim(request(&key("call/0"))).await;
        assert!(matches!(claim, Err(Error::Corrupt { fence: 1, .. })), "{claim:?}");
    }
}

#[tokio::test]
async fn damaged_pages_are_a_storage_error() {
    let (store, path) = open_with_path().await;
    store.granted(&key("call/0")).await;
    // A copy, because a file that is open has its newest pages in the log.
    let copy = path.with_extension("copy");
    Connection::open(&path)
        .unwrap()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    let root: u32 = Connection::open(&copy)
        .unwrap()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'effect'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    let end = usize::try_from(root).unwrap() * 4096;
    bytes[end - 4096..end].fill(0xA5);
    std::fs::write(&copy, bytes).unwrap();
    let journal = Sqlite::open(&options(&copy)).await.unwrap();
    let claim = journal.claim(request(&key("call/0"))).await;
    let Err(Error::Storage { source, .. }) = claim else {
        panic!("{claim:?}")
    };
    assert_eq!(code(source.as_ref()), rusqlite::ErrorCode::DatabaseCorrupt);
}

#[tokio::test]
async fn the_schema_refuses_a_second_commit() {
    let store = open_with_path().await;
    let lease = store.0.sent(&key("call/0")).await;
    let _ = store.0.settle(&lease, answer("answer", 7)).await.unwrap();
    let other = Connection::open(&store.1).unwrap();
    for change in [
        "UPDATE effect SET committed_fence = NULL",
        "UPDATE attempt SET state = 'released'",
    ] {
        assert!(other.execute(change, []).is_err(), "{change}");
    }
    assert_eq!(store.0.states(&key("call/0")).await, [State::Settled]);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let store = open_with_path().await;
    store.0.granted(&key("call/0")).await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", store.1.display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_the_options_say() {
    let folder = TempDir::new().unwrap();
    let options = Options {
        lease_seconds: 90,
        ..options(&file(&folder))
    };
    let journal = Sqlite::open_with_clock(&options, ManualClock::at(START))
        .await
        .unwrap();
    let claim = journal.claim(request(&key("call/0"))).await.unwrap();
    assert!(matches!(claim, Claim::Granted(lease) if lease.length == Duration::from_secs(90)));
    let busy = journal.claim(request(&key("call/0"))).await.unwrap();
    assert_eq!(
        busy,
        Claim::Busy {
            remaining: Duration::from_secs(90)
        }
    );
}

async fn open_with_path() -> (Store, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    (reopen(&path, Box::new(folder)).await, path)
}

fn code(error: &(dyn std::error::Error + Send + Sync + 'static)) -> rusqlite::ErrorCode {
    error
        .downcast_ref::<rusqlite::Error>()
        .unwrap()
        .sqlite_error_code()
        .unwrap()
}
