//! A process that is killed while it holds a lease.
//!
//! Each test starts its own binary again, told by a variable to claim and then wait; kills that process with
//! SIGKILL; and looks at the file that is left. A panic or a drop in this process would prove less: both still run
//! code.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use effect_journal::{Claim, Clearance, Journal, Lease, Sqlite, State};
use tempfile::TempDir;

use crate::behaviour::{LEASE, ManualClock, Store, answer, committed, key, request};
use crate::sqlite::options;

/// Holds the journal's path in a process that is to be killed.
const VICTIM: &str = "EFFECT_JOURNAL_TEST_VICTIM";
/// What the victim prints once it has reached its phase.
const READY: &str = "ready to be killed";

/// How far the victim goes before it waits to be killed.
#[derive(Clone, Copy)]
enum Phase {
    Claimed,
    Sent,
    Settled,
}

#[tokio::test]
async fn a_process_killed_before_sending_leaves_nothing_to_pay() {
    let store = survive(
        "a_process_killed_before_sending_leaves_nothing_to_pay",
        Phase::Claimed,
    )
    .await;
    assert!(matches!(store.claim(&key("call/0")).await, Claim::Busy { .. }));
    store.clock.advance(LEASE);
    assert_eq!(store.states(&key("call/0")).await, [State::Released]);
    assert_eq!(store.granted(&key("call/0")).await.fence, 2);
}

#[tokio::test]
async fn a_process_killed_after_sending_leaves_an_unknown_outcome() {
    let store = survive(
        "a_process_killed_after_sending_leaves_an_unknown_outcome",
        Phase::Sent,
    )
    .await;
    assert!(matches!(store.claim(&key("call/0")).await, Claim::Busy { .. }));
    store.clock.advance(LEASE);
    assert_eq!(store.states(&key("call/0")).await, [State::Unknown]);
    assert_eq!(store.granted(&key("call/0")).await.fence, 2);
    assert_eq!(
        store.states(&key("call/0")).await,
        [State::Unknown, State::Reserved]
    );
}

#[tokio::test]
async fn a_process_killed_after_settling_leaves_its_answer() {
    let store = survive(
        "a_process_killed_after_settling_leaves_its_answer",
        Phase::Settled,
    )
    .await;
    assert_eq!(
        store.claim(&key("call/0")).await,
        Claim::Replay(committed(1, "answer", 7))
    );
}

/// Runs the named test as a victim, kills it in its phase, and opens what it left a little later.
async fn survive(test: &str, phase: Phase) -> Store {
    if let Some(path) = std::env::var_os(VICTIM) {
        die(Path::new(&path), phase).await;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("crash::{test}"), "--nocapture"])
        .env(VICTIM, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(victim.stdout.take().unwrap());
    let ready = output.lines().any(|line| line.unwrap().contains(READY));
    victim.kill().unwrap();
    let status = victim.wait().unwrap();
    assert!(ready, "the victim ended by itself: {status}");

    // A manual clock at the victim's time, so that the test can pass the lease without waiting for it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let clock = ManualClock::at(i64::try_from(now).unwrap());
    let journal = Sqlite::open_with_clock(&options(&path), clock.clone())
        .await
        .unwrap();
    Store {
        journal: std::sync::Arc::new(journal),
        clock,
        _kept: Box::new(folder),
    }
}

/// Goes to the phase and says so.
async fn die(path: &Path, phase: Phase) {
    let journal = Sqlite::open(&options(path)).await.unwrap();
    let claim = journal.claim(request(&key("call/0"))).await.unwrap();
    let lease = Lease {
        key: key("call/0"),
        fence: 1,
        length: Duration::from_secs(45),
    };
    assert_eq!(claim, Claim::Granted(lease.clone()));
    match phase {
        Phase::Claimed => {}
        Phase::Sent => send(&journal, &lease).await,
        Phase::Settled => {
            send(&journal, &lease).await;
            let _ = journal.settle(&lease, answer("answer", 7)).await.unwrap();
        }
    }
    println!("{READY}");
    // Held until the kill: a dropped journal would close its file in order.
    std::future::pending::<()>().await;
}

async fn send(journal: &Sqlite, lease: &Lease) {
    assert_eq!(journal.mark_sent(lease).await.unwrap(), Clearance::Call);
}
