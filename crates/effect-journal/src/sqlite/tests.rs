//! What needs the journal's own connection: a disk that is full, and a thread that is gone.

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tempfile::TempDir;

use super::Sqlite;
use crate::{
    Claim, ClaimRequest, Clearance, EffectClass, EffectKey, Error, Feedback, Journal as _, Lease, OnUnknown,
    Options, RequestDigest, Settled, Settlement, Spend,
};

async fn open(folder: &TempDir) -> Sqlite {
    let url = format!("sqlite://{}/journal.db", folder.path().display());
    Sqlite::open(&Options {
        url,
        ..Options::default()
    })
    .await
    .unwrap()
}

fn request(number: u32) -> ClaimRequest {
    ClaimRequest {
        key: EffectKey::new("n", "w", "r", &format!("call/{number}")).unwrap(),
        digest: RequestDigest::of(b"request"),
        owner: "worker".into(),
        class: EffectClass::Paid,
        on_unknown: OnUnknown::Repeat,
        model: "model".into(),
        provider: "provider".into(),
        upper_bound: Spend::default(),
        tenant: None,
        price_table: String::new(),
        accounts: Vec::new(),
        limits: None,
    }
}

/// Limits the file to so many pages beyond those it has; `None` lifts the limit.
async fn leave_room(journal: &Sqlite, pages: Option<i64>) {
    journal
        .thread
        .transact("limit the file", TransactionBehavior::Deferred, move |t| {
            let used: i64 = t.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let limit = pages.map_or(1 << 30, |pages| used + pages);
            t.pragma_update_and_check(None, "max_page_count", limit, |row| row.get::<_, i64>(0))?;
            Ok(())
        })
        .await
        .unwrap();
}

fn assert_full<T: std::fmt::Debug>(result: &Result<T, Error>) {
    let Err(Error::Storage { source, .. }) = result else {
        panic!("{result:?}")
    };
    let code = source
        .downcast_ref::<rusqlite::Error>()
        .unwrap()
        .sqlite_error_code();
    assert_eq!(code, Some(ErrorCode::DiskFull));
}

#[tokio::test]
async fn every_commit_waits_for_the_disk() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    let settings = journal
        .thread
        .transact("read settings", TransactionBehavior::Deferred, |t| {
            let mode: String = t.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            let synchronous: i64 = t.pragma_query_value(None, "synchronous", |row| row.get(0))?;
            let timeout_ms: i64 = t.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
            Ok((mode, synchronous, timeout_ms))
        })
        .await
        .unwrap();
    let full = 2;
    assert_eq!(settings, ("wal".into(), full, 5000));
}

#[tokio::test]
async fn a_claim_on_a_full_disk_fails_and_later_recovers() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    leave_room(&journal, Some(0)).await;
    assert_full(&journal.check().await);
    let mut granted = 0;
    let refused = loop {
        match journal.claim(request(granted)).await {
            Ok(Claim::Granted(_)) => granted += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_full::<Claim>(&Err(refused));
    leave_room(&journal, None).await;
    journal.check().await.unwrap();
    // The refused claim left nothing behind: the key's first attempt is still to come.
    let claim = journal.claim(request(granted)).await.unwrap();
    assert!(
        matches!(&claim, Claim::Granted(lease) if lease.fence == 1),
        "{claim:?}"
    );
}

#[tokio::test]
async fn an_answer_that_finds_no_room_can_be_settled_once_there_is_some() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    let Claim::Granted(lease) = journal.claim(request(0)).await.unwrap() else {
        panic!("nobody else claims")
    };
    assert_eq!(journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
    leave_room(&journal, Some(1)).await;
    assert_full(&journal.settle(&lease, large(), Feedback::default()).await);
    leave_room(&journal, None).await;
    assert_eq!(
        journal
            .settle(&lease, large(), Feedback::default())
            .await
            .unwrap(),
        Settled::Committed
    );
    let replay = journal.claim(request(0)).await.unwrap();
    assert!(matches!(replay, Claim::Replay(result) if result.response == large().response));
}

#[tokio::test]
async fn a_step_that_cannot_be_stored_fails_alone() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    let mut leases = Vec::new();
    for number in 0..3 {
        let Claim::Granted(lease) = journal.claim(request(number)).await.unwrap() else {
            panic!("nobody else claims")
        };
        assert_eq!(journal.mark_sent(&lease).await.unwrap(), Clearance::Call);
        leases.push(lease);
    }
    leave_room(&journal, Some(1)).await;
    // While another process writes, the journal's steps gather for one transaction.
    let other = Connection::open(folder.path().join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (first, full, last, ()) = tokio::join!(
        biased;
        journal.renew(&leases[0]),
        journal.settle(&leases[1], large(), Feedback::default()),
        journal.renew(&leases[2]),
        async { other.execute_batch("COMMIT").unwrap() },
    );
    first.unwrap();
    assert_full(&full);
    last.unwrap();
}

#[tokio::test]
async fn a_journal_whose_thread_is_gone_refuses_everything() {
    let folder = TempDir::new().unwrap();
    let journal = open(&folder).await;
    let died: Result<(), Error> = journal
        .thread
        .transact("panic", TransactionBehavior::Deferred, |_| {
            panic!("a defect in a job")
        })
        .await;
    assert!(
        matches!(died, Err(Error::Closed { operation: "panic" })),
        "{died:?}"
    );
    let check = journal.check().await;
    assert!(matches!(check, Err(Error::Closed { .. })), "{check:?}");
    let lease = Lease {
        key: request(0).key,
        fence: 1,
        length: std::time::Duration::from_secs(45),
    };
    let sent = journal.mark_sent(&lease).await;
    assert!(matches!(sent, Err(Error::Closed { .. })), "{sent:?}");
}

fn large() -> Settlement {
    Settlement {
        response: vec![7; 100_000],
        spend: Spend::default(),
    }
}
