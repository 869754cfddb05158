//! The journal in one SQLite file, for one machine.
//!
//! Several processes of the machine may open it at once: a worker writes while an operator's tool reads. That is
//! what the write-ahead log is for, and why the file must be on a local disk: the log is shared through memory.
//! `synchronous=FULL` makes every commit wait for the disk, because "durable before the first byte leaves" is what
//! the whole crate rests on; the faster `NORMAL` loses the last commits to a power cut.

mod batch;
mod ledger;
mod load;
mod report;
mod rows;
mod schema;
mod thread;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::engine::{self, Config, Ending, Op, Outcome};
use crate::{
    Account, Amount, AttemptFilter, AttemptRecord, Claim, ClaimRequest, Clearance, Clock, EffectKey, Error,
    Feedback, HandSettlement, Journal, Lease, Note, NoteFilter, Options, Scope, Settled, Settlement,
    SpendQuery, SpendRow, TenantBudget, TenantStanding, Totals,
};
use batch::Done;
use thread::{Fault, Setup, Thread};

/// How long a writer waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many statements are kept prepared: all that a batch can need, and some of the reading ones.
const STATEMENTS: usize = 48;

/// How long an opener waits before it tries a file again that another process is setting up.
const OPEN_RETRY: Duration = Duration::from_millis(20);

/// A journal in a SQLite file.
pub struct Sqlite {
    thread: Thread,
    clock: Option<Arc<dyn Clock>>,
}

impl Sqlite {
    /// Opens the file that the options name, creating or migrating it, with leases on SQLite's clock.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] with every problem at once, [`Error::Open`] if the file cannot be used, and
    /// [`Error::NewerSchema`] if a newer release wrote it.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        Self::start(options, None).await
    }

    /// Opens the file like [`Sqlite::open`], with leases on the given clock; for tests.
    ///
    /// # Errors
    ///
    /// As [`Sqlite::open`].
    pub async fn open_with_clock(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::start(options, Some(clock)).await
    }

    async fn start(options: &Options, clock: Option<Arc<dyn Clock>>) -> Result<Self, Error> {
        let path = options
            .sqlite_path()
            .map_err(|problems| Error::Options { problems })?;
        let config = Config {
            lease: options.lease(),
        };
        Ok(Self {
            thread: open_waiting(path, config, clock.as_ref()).await?,
            clock,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>, i64) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        self.at(operation, TransactionBehavior::Immediate, work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>, i64) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        self.at(operation, TransactionBehavior::Deferred, work).await
    }

    async fn at<T: Send + 'static>(
        &self,
        operation: &'static str,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>, i64) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let clock = self.clock.clone();
        self.thread
            .transact(operation, behavior, move |transaction| {
                // Within the transaction: a time read before waiting for the lock could be seconds old.
                let now = match clock {
                    Some(clock) => clock.unix_ms(),
                    None => now(transaction)?,
                };
                work(transaction, now)
            })
            .await
    }
}

#[async_trait]
impl Journal for Sqlite {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, Error> {
        let Done { outcome, result } = self.thread.step(Op::Claim(Box::new(request))).await?;
        engine::claimed(outcome, result).ok_or_else(unanswered)
    }

    async fn renew(&self, lease: &Lease) -> Result<(), Error> {
        self.thread.step(Op::Renew(lease.clone())).await.map(drop)
    }

    async fn mark_sent(&self, lease: &Lease) -> Result<Clearance, Error> {
        let Done { outcome, result } = self.thread.step(Op::MarkSent(lease.clone())).await?;
        engine::cleared(&outcome, result).ok_or_else(unanswered)
    }

    async fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
        feedback: Feedback,
    ) -> Result<Settled, Error> {
        let op = Op::Settle(lease.clone(), settlement, feedback);
        match self.thread.step(op).await?.outcome {
            Outcome::Settled(settled) => Ok(settled),
            Outcome::Answer(..) | Outcome::Claim(_) | Outcome::Cleared | Outcome::Done => Err(unanswered()),
        }
    }

    async fn release(&self, lease: &Lease, reason: &str, feedback: Feedback) -> Result<(), Error> {
        let op = Op::End(lease.clone(), Ending::Released, reason.to_owned(), feedback);
        self.thread.step(op).await.map(drop)
    }

    async fn mark_unknown(&self, lease: &Lease, reason: &str, feedback: Feedback) -> Result<(), Error> {
        let op = Op::End(lease.clone(), Ending::Unknown, reason.to_owned(), feedback);
        self.thread.step(op).await.map(drop)
    }

    async fn settle_by_hand(
        &self,
        key: &EffectKey,
        fence: u32,
        settlement: HandSettlement,
    ) -> Result<(), Error> {
        let op = Op::SettleByHand(key.clone(), fence, settlement);
        self.thread.step(op).await.map(drop)
    }

    async fn notes(&self, filter: NoteFilter) -> Result<Vec<Note>, Error> {
        self.read("list notes", move |t, _| ledger::notes(t, &filter))
            .await
    }

    async fn set_tenant_budget(&self, actor: &str, reason: &str, budget: TenantBudget) -> Result<(), Error> {
        let (actor, reason) = (actor.to_owned(), reason.to_owned());
        let op = Op::SetTenantBudget {
            budget,
            actor,
            reason,
        };
        self.thread.step(op).await.map(drop)
    }

    async fn tenant_budgets(&self) -> Result<Vec<TenantStanding>, Error> {
        self.read("list budgets", ledger::tenant_budgets).await
    }

    async fn used(&self, account: &Account) -> Result<Amount, Error> {
        let account = account.clone();
        self.read("read an account", move |t, now| ledger::account(t, now, &account))
            .await
    }

    async fn report(&self, query: SpendQuery) -> Result<Vec<SpendRow>, Error> {
        self.read("sum the ledger", move |t, now| report::report(t, now, &query))
            .await
    }

    async fn attempts(&self, filter: AttemptFilter) -> Result<Vec<AttemptRecord>, Error> {
        self.read("list attempts", move |t, now| ledger::attempts(t, now, &filter))
            .await
    }

    async fn totals(&self, scope: &Scope) -> Result<Totals, Error> {
        let scope = scope.clone();
        self.read("sum attempts", move |t, now| ledger::totals(t, now, &scope))
            .await
    }

    async fn prune(&self, older_than: Duration) -> Result<u64, Error> {
        let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let mut total = 0;
        loop {
            let batch = self
                .write("prune responses", move |t, now| ledger::prune_batch(t, now, age))
                .await?;
            total += u64::try_from(batch).unwrap_or(u64::MAX);
            if batch < ledger::PRUNE_BATCH {
                return Ok(total);
            }
        }
    }

    async fn check(&self) -> Result<(), Error> {
        self.write("write", |t, _| ledger::check(t)).await
    }
}

/// Opens the file, and tries again while another process is making the same new file a journal.
///
/// SQLite does not wait there by itself: of two connections that switch a file to the log, it fails one at once.
async fn open_waiting(
    path: PathBuf,
    config: Config,
    clock: Option<&Arc<dyn Clock>>,
) -> Result<Thread, Error> {
    let started = Instant::now();
    loop {
        let file = path.clone();
        let setup = Setup {
            clock: clock.cloned(),
            config,
        };
        match Thread::start(move || open_file(&file), setup).await {
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(OPEN_RETRY).await;
            }
            outcome => return outcome,
        }
    }
}

/// Says that the engine broke its word on what an operation comes to.
fn unanswered() -> Error {
    Error::Storage {
        operation: "say what became of a step",
        source: "the outcome is another operation's".into(),
    }
}

fn is_busy(error: &Error) -> bool {
    let Error::Open { source, .. } = error else {
        return false;
    };
    let code = source
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code);
    code == Some(rusqlite::ErrorCode::DatabaseBusy)
}

fn now(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction.query_row(
        "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
        [],
        |row| row.get(0),
    )
}

fn open_file(path: &Path) -> Result<Connection, Error> {
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Open {
        path: path.into(),
        source,
    };
    create_private(path).map_err(|error| unusable(error.into()))?;
    let (connection, found) = connect(path).map_err(unusable)?;
    if found > schema::VERSION {
        return Err(Error::NewerSchema {
            store: path.display().to_string(),
            found,
            known: schema::VERSION,
        });
    }
    Ok(connection)
}

/// Creates the file for its owner alone, since responses are private; SQLite gives its log the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // Left open until the process ends, once per file that it creates: closing any descriptor of a file drops
        // the locks that the process holds on it through all others, and SQLite's may be among them.
        Ok(file) => std::mem::forget(file),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn connect(path: &Path) -> Result<(Connection, i64), Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("the file system allows no write-ahead log, only {mode:?}").into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let found = schema::migrate(&mut connection)?;
    Ok((connection, found))
}
