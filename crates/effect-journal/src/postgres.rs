//! The journal in a PostgreSQL database, for workers on any number of machines.
//!
//! The decisions are the engine's, as in every store; here is only how its rows are locked, read and written by many
//! at once. An effect is locked by its row for the length of a transaction, budgets and limits by theirs, all in one
//! order. The isolation is the server's plain one: what is decided upon is locked, and what is locked is read after
//! the lock was granted.
//!
//! A connection can break while a commit is under way, and then nobody knows whether it was done. The caller is told
//! that it was not: a claim that was granted all the same runs out with its lease, and everything else may be repeated.

mod batch;
mod connection;
mod fault;
mod ledger;
mod load;
mod options;
mod queue;
mod report;
mod rows;
mod schema;
mod statements;
mod tls;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_postgres::Client;

pub(crate) use self::options::Address;
pub use self::options::PostgresOptions;

use self::batch::{Done, Setup};
use self::connection::{Connection, Server};
use self::fault::Fault;
use self::queue::Queue;
use crate::engine::{self, Config, Ending, Op, Outcome};
use crate::{
    Account, Amount, AttemptFilter, AttemptRecord, Claim, ClaimRequest, Clearance, Clock, EffectKey, Error,
    Feedback, HandSettlement, Journal, Lease, Note, NoteFilter, Options, Scope, Settled, Settlement,
    SpendQuery, SpendRow, TenantBudget, TenantStanding, Totals,
};

/// The longest key whose row the server's index can hold, in bytes.
const MAX_KEY_BYTES: usize = 2600;

/// A journal in a PostgreSQL database.
pub struct Postgres {
    queue: Queue,
    server: Arc<Server>,
    setup: Setup,
    reader: Mutex<Option<Connection>>,
}

impl Postgres {
    /// Connects to the server that the options name and creates or migrates the schema, with leases on its clock.
    ///
    /// The journal works on the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] with every problem at once, [`Error::Connect`] if the server cannot be used, and
    /// [`Error::NewerSchema`] if a newer release has written to it.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        Self::start(options, None).await
    }

    /// Connects like [`Postgres::open`], with leases on the given clock; for tests.
    ///
    /// # Errors
    ///
    /// As [`Postgres::open`].
    pub async fn open_with_clock(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::start(options, Some(clock)).await
    }

    async fn start(options: &Options, clock: Option<Arc<dyn Clock>>) -> Result<Self, Error> {
        let address = options
            .address()
            .map_err(|problems| Error::Options { problems })?;
        let server = Arc::new(Server::prepare(&options.postgres, address)?);
        server.migrate().await?;
        let config = Config {
            lease: options.lease(),
        };
        let setup = Setup { clock, config };
        Ok(Self {
            queue: Queue::start(&server, &setup, options.postgres.connections - 1),
            server,
            setup,
            reader: Mutex::new(None),
        })
    }

    async fn step(&self, op: Op) -> Result<Done, Error> {
        if let Some(key) = op.key().filter(|key| key.as_str().len() > MAX_KEY_BYTES) {
            let bytes = key.as_str().len();
            let what =
                format!("the key has {bytes} bytes, and PostgreSQL indexes no more than {MAX_KEY_BYTES}");
            return Err(Error::Invalid { what });
        }
        self.queue.step(op).await
    }

    /// Reads on the connection that is kept for it, on another one if that is broken.
    async fn read<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        operation: &'static str,
        work: impl Fn(Arc<Client>, i64) -> F,
    ) -> Result<T, Error> {
        let mut kept = self.reader.lock().await;
        let failed = |fault: Fault| fault.shared()(operation);
        loop {
            // Taken out, so that a connection in an unknown state is closed and not used again.
            let open = kept.take().filter(|connection| !connection.client.is_closed());
            let again = open.is_some();
            let connection = match open {
                Some(connection) => connection,
                None => self
                    .server
                    .reader()
                    .await
                    .map_err(Fault::Failed)
                    .map_err(failed)?,
            };
            let reading = async {
                let now = match &self.setup.clock {
                    Some(clock) => clock.unix_ms(),
                    None => ledger::now(&connection.client).await?,
                };
                work(connection.client.clone(), now).await
            };
            match tokio::time::timeout(self.server.timeout, reading).await {
                Ok(Ok(value)) => {
                    *kept = Some(connection);
                    return Ok(value);
                }
                Ok(Err(Fault::Lost(_))) if again => {}
                Ok(Err(fault)) => return Err(failed(fault)),
                Err(_) => return Err(failed(Fault::damaged("the server is silent"))),
            }
        }
    }
}

#[async_trait]
impl Journal for Postgres {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, Error> {
        let Done { outcome, result } = self.step(Op::Claim(Box::new(request))).await?;
        engine::claimed(outcome, result).ok_or_else(unanswered)
    }

    async fn renew(&self, lease: &Lease) -> Result<(), Error> {
        self.step(Op::Renew(lease.clone())).await.map(drop)
    }

    async fn mark_sent(&self, lease: &Lease) -> Result<Clearance, Error> {
        let Done { outcome, result } = self.step(Op::MarkSent(lease.clone())).await?;
        engine::cleared(&outcome, result).ok_or_else(unanswered)
    }

    async fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
        feedback: Feedback,
    ) -> Result<Settled, Error> {
        match self
            .step(Op::Settle(lease.clone(), settlement, feedback))
            .await?
            .outcome
        {
            Outcome::Settled(settled) => Ok(settled),
            Outcome::Claim(_) | Outcome::Cleared | Outcome::Done | Outcome::Answer(..) => Err(unanswered()),
        }
    }

    async fn release(&self, lease: &Lease, reason: &str, feedback: Feedback) -> Result<(), Error> {
        let op = Op::End(lease.clone(), Ending::Released, reason.to_owned(), feedback);
        self.step(op).await.map(drop)
    }

    async fn mark_unknown(&self, lease: &Lease, reason: &str, feedback: Feedback) -> Result<(), Error> {
        let op = Op::End(lease.clone(), Ending::Unknown, reason.to_owned(), feedback);
        self.step(op).await.map(drop)
    }

    async fn settle_by_hand(
        &self,
        key: &EffectKey,
        fence: u32,
        settlement: HandSettlement,
    ) -> Result<(), Error> {
        self.step(Op::SettleByHand(key.clone(), fence, settlement))
            .await
            .map(drop)
    }

    async fn notes(&self, filter: NoteFilter) -> Result<Vec<Note>, Error> {
        let filter = &filter;
        let listed = |client: Arc<Client>, _| async move { ledger::notes(&client, filter).await };
        self.read("list notes", listed).await
    }

    async fn set_tenant_budget(&self, actor: &str, reason: &str, budget: TenantBudget) -> Result<(), Error> {
        let (actor, reason) = (actor.to_owned(), reason.to_owned());
        let op = Op::SetTenantBudget {
            budget,
            actor,
            reason,
        };
        self.step(op).await.map(drop)
    }

    async fn tenant_budgets(&self) -> Result<Vec<TenantStanding>, Error> {
        let listed = |client: Arc<Client>, now| async move { ledger::tenant_budgets(&client, now).await };
        self.read("list budgets", listed).await
    }

    async fn used(&self, account: &Account) -> Result<Amount, Error> {
        let read = |client: Arc<Client>, now| async move { ledger::used(&client, now, account).await };
        self.read("read an account", read).await
    }

    async fn report(&self, query: SpendQuery) -> Result<Vec<SpendRow>, Error> {
        let query = &query;
        let summed = |client: Arc<Client>, now| async move { report::report(&client, now, query).await };
        self.read("sum the ledger", summed).await
    }

    async fn attempts(&self, filter: AttemptFilter) -> Result<Vec<AttemptRecord>, Error> {
        let filter = &filter;
        let listed = |client: Arc<Client>, now| async move { ledger::attempts(&client, now, filter).await };
        self.read("list attempts", listed).await
    }

    async fn totals(&self, scope: &Scope) -> Result<Totals, Error> {
        let summed = |client: Arc<Client>, now| async move { ledger::totals(&client, now, scope).await };
        self.read("sum attempts", summed).await
    }

    async fn prune(&self, older_than: Duration) -> Result<u64, Error> {
        let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let mut total = 0;
        loop {
            let pruned =
                |client: Arc<Client>, now| async move { ledger::prune_batch(&client, now, age).await };
            let batch = self.read("prune responses", pruned).await?;
            total += batch;
            if batch < ledger::PRUNE_BATCH {
                return Ok(total);
            }
        }
    }

    async fn check(&self) -> Result<(), Error> {
        self.queue.check().await
    }
}

/// Says that the engine broke its word on what an operation comes to.
fn unanswered() -> Error {
    Error::Storage {
        operation: "say what became of a step",
        source: "the outcome is another operation's".into(),
    }
}
