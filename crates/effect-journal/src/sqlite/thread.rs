//! The one thread that owns the connection.
//!
//! SQLite has one writer at a time whatever is built around it, and every write ends in an fsync. The alternative,
//! a mutex around the connection and `spawn_blocking`, would park one thread of the runtime's blocking pool for
//! every waiting activity; local inference runs on that pool. A thread with a queue costs one thread, serves in
//! order, and finishes a step whose caller has gone away.
//!
//! It also makes one commit serve many: the steps that queue up while a transaction waits for the disk go into the
//! next one together. Nobody waits for a batch to fill; under load batches grow by themselves.

use std::sync::{Arc, mpsc};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::batch::{self, Done};
use crate::engine::{Config, Op};
use crate::{Clock, Error};

/// How many steps one transaction holds at most, so that the first of them does not wait for long.
const BATCH: usize = 256;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

enum Job {
    /// A step for the engine, which shares a transaction with others.
    Step(Op, Reply),
    /// Work with transactions of its own.
    Work(Work),
}

type Reply = oneshot::Sender<Result<Done, Error>>;

/// What can go wrong within a transaction, before the operation's name is added.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said no.
    Store(rusqlite::Error),
    /// What is stored cannot be read, or what is to be stored cannot be written.
    Form(serde_json::Error),
}

/// What the thread needs to know beside the connection.
pub(super) struct Setup {
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) config: Config,
}

/// Sends work to the thread; the thread ends when this is dropped and the queue is empty.
#[derive(Debug)]
pub(super) struct Thread {
    jobs: mpsc::Sender<Job>,
}

impl Thread {
    /// Opens a connection on a new thread and waits until it is open.
    pub(super) async fn start(
        open: impl FnOnce() -> Result<Connection, Error> + Send + 'static,
        setup: Setup,
    ) -> Result<Self, Error> {
        const STARTING: &str = "start its thread";
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, outcome) = oneshot::channel();
        std::thread::Builder::new()
            .name("effect-journal".into())
            .spawn(move || match open() {
                Ok(connection) => {
                    if opened.send(Ok(())).is_ok() {
                        serve(connection, &queue, &setup);
                    }
                }
                Err(error) => {
                    // The opener may have gone away; there is nobody else to tell.
                    drop(opened.send(Err(error)));
                }
            })
            .map_err(|error| Error::Storage {
                operation: STARTING,
                source: error.into(),
            })?;
        outcome
            .await
            .map_err(|_| Error::Closed { operation: STARTING })??;
        Ok(Self { jobs })
    }

    /// Has the engine perform a step, in one transaction with whatever else is waiting.
    pub(super) async fn step(&self, op: Op) -> Result<Done, Error> {
        let operation = op.operation();
        let (reply, outcome) = oneshot::channel();
        self.jobs
            .send(Job::Step(op, reply))
            .map_err(|_| Error::Closed { operation })?;
        outcome.await.map_err(|_| Error::Closed { operation })?
    }

    /// Runs work in a transaction of the given kind, and commits it if the work returns `Ok`.
    pub(super) async fn transact<T: Send + 'static>(
        &self,
        operation: &'static str,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, outcome) = oneshot::channel();
        let job: Work = Box::new(move |connection| {
            let result = in_transaction(connection, behavior, work).map_err(|fault| fault.named(operation));
            // A caller that was cancelled does not wait for the reply; the step is done all the same.
            drop(reply.send(result));
        });
        self.jobs
            .send(Job::Work(job))
            .map_err(|_| Error::Closed { operation })?;
        outcome.await.map_err(|_| Error::Closed { operation })?
    }
}

impl Fault {
    fn named(self, operation: &'static str) -> Error {
        Error::Storage {
            operation,
            source: match self {
                Self::Store(error) => error.into(),
                Self::Form(error) => error.into(),
            },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Form(error)
    }
}

fn serve(mut connection: Connection, queue: &mpsc::Receiver<Job>, setup: &Setup) {
    let mut waiting = None;
    while let Some(job) = waiting.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Work(work) => work(&mut connection),
            Job::Step(op, reply) => {
                let (mut ops, mut replies) = (vec![op], vec![reply]);
                while ops.len() < BATCH && waiting.is_none() {
                    match queue.try_recv() {
                        Ok(Job::Step(op, reply)) => {
                            ops.push(op);
                            replies.push(reply);
                        }
                        Ok(work @ Job::Work(_)) => waiting = Some(work),
                        Err(_) => break,
                    }
                }
                perform(&mut connection, setup, &ops, replies);
            }
        }
    }
}

/// Performs steps together; if that fails, each by itself, so that one that cannot be stored fails alone.
fn perform(connection: &mut Connection, setup: &Setup, ops: &[Op], replies: Vec<Reply>) {
    let mut attempt = |ops: &[Op]| {
        in_transaction(connection, TransactionBehavior::Immediate, |transaction| {
            batch::perform(transaction, setup, ops)
        })
    };
    let results = match attempt(ops) {
        Ok(results) => results,
        Err(fault) => match ops {
            [op] => vec![Err(fault.named(op.operation()))],
            several => several.iter().map(|op| alone(op, &mut attempt)).collect(),
        },
    };
    for (reply, result) in replies.into_iter().zip(results) {
        // A caller that was cancelled does not wait for the reply; the step is done all the same.
        drop(reply.send(result));
    }
}

fn alone(
    op: &Op,
    attempt: &mut impl FnMut(&[Op]) -> Result<Vec<Result<Done, Error>>, Fault>,
) -> Result<Done, Error> {
    let operation = op.operation();
    let results = attempt(std::slice::from_ref(op)).map_err(|fault| fault.named(operation))?;
    results
        .into_iter()
        .next()
        .unwrap_or(Err(Error::Closed { operation }))
}

fn in_transaction<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}
