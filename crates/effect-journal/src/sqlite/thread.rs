//! The one thread that owns the connection.
//!
//! SQLite has one writer at a time whatever is built around it, and every write ends in an fsync. The alternative,
//! a mutex around the connection and `spawn_blocking`, would park one thread of the runtime's blocking pool for
//! every waiting activity; local inference runs on that pool. A thread with a queue costs one thread, serves in
//! order, and finishes a step whose caller has gone away.

use std::sync::mpsc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::Error;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// What can go wrong within a transaction, before the operation's name is added.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said no.
    Store(rusqlite::Error),
    /// The rules said no.
    Ruled(Error),
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
    ) -> Result<Self, Error> {
        const STARTING: &str = "start its thread";
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, outcome) = oneshot::channel();
        std::thread::Builder::new()
            .name("effect-journal".into())
            .spawn(move || match open() {
                Ok(connection) => {
                    if opened.send(Ok(())).is_ok() {
                        serve(connection, &queue);
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

    /// Runs work in a transaction of the given kind, and commits it if the work returns `Ok`.
    pub(super) async fn transact<T: Send + 'static>(
        &self,
        operation: &'static str,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = in_transaction(connection, behavior, work).map_err(|fault| fault.named(operation));
            // A caller that was cancelled does not wait for the reply; the step is done all the same.
            drop(reply.send(result));
        });
        self.jobs.send(job).map_err(|_| Error::Closed { operation })?;
        outcome.await.map_err(|_| Error::Closed { operation })?
    }
}

impl Fault {
    fn named(self, operation: &'static str) -> Error {
        match self {
            Self::Store(error) => Error::Storage {
                operation,
                source: error.into(),
            },
            Self::Ruled(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ruled(error)
    }
}

fn serve(mut connection: Connection, queue: &mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        job(&mut connection);
    }
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
