//! A process that is killed while it holds a lease.
//!
//! Each test starts its own binary again, told by a variable to claim and then wait; kills that process with
//! SIGKILL; and looks at the file that is left. A panic or a drop in this process would prove less: both still run
//! code.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use effect_journal::{
    Account, AccountClaim, AttemptFilter, Claim, ClaimRequest, Clearance, Feedback, Journal, Lease, Sqlite,
    State,
};
use tempfile::TempDir;

use crate::behaviour::{LEASE, ManualClock, Store, answer, committed, key, request};
use crate::sqlite::options;

/// Holds the journal's path in a process that is to be killed.
const VICTIM: &str = "EFFECT_JOURNAL_TEST_VICTIM";
/// What the victim prints once it has reached its phase.
const READY: &str = "ready to be killed";
/// Begins each line that a victim prints of its work; what the test harness prints may stand before it.
const SAID: &str = "said: ";

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

/// Kills a process that works on many effects at once, wherever it is; what it said before must hold.
#[tokio::test]
async fn a_process_killed_at_any_point_leaves_what_it_said() {
    const TEST: &str = "a_process_killed_at_any_point_leaves_what_it_said";
    if let Some(path) = std::env::var_os(VICTIM) {
        toil(Path::new(&path)).await;
    }
    for round in 0..8 {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("journal.db");
        // No two runs kill at the same point; a failure shows what had been said.
        let lines = usize::from(unforeseen()) + 1;
        let said = kill_after(TEST, &path, lines);
        let store = opened_now(&path, folder).await;
        for line in &said {
            let (word, number) = line.split_once(' ').unwrap();
            let state = store.states(&key(number)).await;
            match word {
                "claimed" => assert_eq!(state.len(), 1, "round {round}, {said:?}"),
                "sent" => assert!(
                    matches!(state[..], [State::Sent | State::Settled]),
                    "{state:?}, {said:?}"
                ),
                _ => assert_eq!(
                    store.claim(&key(number)).await,
                    Claim::Replay(committed(1, number, 7)),
                    "{said:?}"
                ),
            }
        }
        let filter = AttemptFilter {
            limit: AttemptFilter::MAX_LIMIT,
            ..AttemptFilter::default()
        };
        let attempts = store.journal.attempts(filter).await.unwrap();
        let sum: i64 = attempts
            .iter()
            .map(|attempt| attempt.spend.map_or(1000, |spend| spend.cost_micros))
            .sum();
        let used = store.journal.used(&account()).await.unwrap();
        assert_eq!(used.cost_micros, sum, "round {round}, {said:?}");
    }
}

fn account() -> Account {
    Account::run("default", "workflow", "run").unwrap()
}

/// Returns a byte that nobody can foresee.
fn unforeseen() -> u8 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0).to_be_bytes()[0] / 2
}

/// Claims, sends and settles, four effects at a time, and says so line by line.
async fn toil(path: &Path) {
    let journal: Arc<dyn Journal> = Arc::new(Sqlite::open(&options(path)).await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            for number in (task..).step_by(4) {
                let account = AccountClaim {
                    account: account(),
                    max: None,
                };
                let request = ClaimRequest {
                    accounts: vec![account],
                    ..request(&key(&number.to_string()))
                };
                let Claim::Granted(lease) = journal.claim(request).await.unwrap() else {
                    panic!("nobody else claims")
                };
                println!("{SAID}claimed {number}");
                assert_eq!(journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
                println!("{SAID}sent {number}");
                let settlement = answer(&number.to_string(), 7);
                let _ = journal
                    .settle(&lease, settlement, Feedback::default())
                    .await
                    .unwrap();
                println!("{SAID}settled {number}");
            }
        });
    }
    tasks.join_all().await;
}

/// Runs the named test as a victim, kills it after so many lines, and returns all that it said.
fn kill_after(test: &str, path: &Path, lines: usize) -> Vec<String> {
    let mut victim = start(test, path);
    let output = BufReader::new(victim.stdout.take().unwrap());
    let mut said = Vec::new();
    for line in output.lines() {
        // A line that was cut off was not said.
        let Ok(line) = line else { break };
        let Some((_, word)) = line.split_once(SAID) else {
            continue;
        };
        said.push(word.to_owned());
        if said.len() == lines {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    assert!(said.len() >= lines, "the victim ended by itself: {said:?}");
    said
}

/// Runs the named test as a victim, kills it in its phase, and opens what it left a little later.
async fn survive(test: &str, phase: Phase) -> Store {
    if let Some(path) = std::env::var_os(VICTIM) {
        die(Path::new(&path), phase).await;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    let mut victim = start(test, &path);
    let output = BufReader::new(victim.stdout.take().unwrap());
    let ready = output.lines().any(|line| line.unwrap().contains(READY));
    victim.kill().unwrap();
    let status = victim.wait().unwrap();
    assert!(ready, "the victim ended by itself: {status}");

    opened_now(&path, folder).await
}

fn start(test: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("crash::{test}"), "--nocapture"])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Opens what a victim left.
async fn opened_now(path: &Path, folder: TempDir) -> Store {
    // A manual clock at the victim's time, so that the test can pass the lease without waiting for it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let clock = ManualClock::at(i64::try_from(now).unwrap());
    crate::sqlite::reopen_at(path, clock, Box::new(folder)).await
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
            let _ = journal
                .settle(&lease, answer("answer", 7), Feedback::default())
                .await
                .unwrap();
        }
    }
    println!("{READY}");
    // Held until the kill: a dropped journal would close its file in order.
    std::future::pending::<()>().await;
}

async fn send(journal: &Sqlite, lease: &Lease) {
    assert_eq!(journal.mark_sent(lease).await.unwrap(), Clearance::Call);
}
