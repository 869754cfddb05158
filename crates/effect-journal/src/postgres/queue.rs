//! The writers: who takes which operations into which transaction.
//!
//! A commit waits for the server's disk for about as long whether it holds one operation or hundreds. So a writer takes
//! all that is waiting, and the batches grow by themselves under load. While little is under way, whatever comes goes
//! out at once on a connection that is free. Once much is, a second batch beside the first would halve both and cost
//! the server twice; so what comes then waits until the first is done, or fills a batch of its own.
//!
//! An operation whose caller has gone away is performed all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::batch::{self, Done, Setup};
use super::connection::{Server, Writer};
use super::fault::Fault;
use crate::Error;
use crate::engine::Op;

/// How many operations one transaction holds at most, so that the first of them does not wait for long.
const BATCH: usize = 256;

/// How many operations under way are so few that others go out beside them.
const FEW: usize = 16;

/// How often a batch is begun again, before its callers are told.
const TRIES: u32 = 5;

/// What a check is called in an error.
const CHECKING: &str = "write";

/// What waits for a writer.
enum Job {
    /// An operation for the engine.
    Step(Box<Op>, oneshot::Sender<Result<Done, Error>>),
    /// A look whether a claim could be written.
    Check(oneshot::Sender<Result<(), Error>>),
}

/// What the writers share.
struct Waiting {
    jobs: Mutex<mpsc::UnboundedReceiver<Job>>,
    under_way: AtomicUsize,
    done: Notify,
}

/// Hands operations to the writers, which end when this is dropped and nothing waits any more.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
}

/// One task with one connection.
struct Task {
    server: Arc<Server>,
    setup: Setup,
    writer: Option<Writer>,
}

impl Queue {
    /// Starts so many writers; each connects when it has something to write.
    pub(super) fn start(server: &Arc<Server>, setup: &Setup, writers: u32) -> Self {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting {
            jobs: Mutex::new(receiver),
            under_way: AtomicUsize::new(0),
            done: Notify::new(),
        });
        for _ in 0..writers {
            let mut task = Task {
                server: server.clone(),
                setup: setup.clone(),
                writer: None,
            };
            let waiting = waiting.clone();
            tokio::spawn(async move { while task.turn(&waiting).await {} });
        }
        Self { jobs }
    }

    /// Has the engine perform an operation, in one transaction with whatever else is waiting.
    pub(super) async fn step(&self, op: Op) -> Result<Done, Error> {
        let operation = op.operation();
        self.hand_over(operation, |reply| Job::Step(Box::new(op), reply))
            .await
    }

    /// Writes as much as a claim can need, the way a claim is written.
    pub(super) async fn check(&self) -> Result<(), Error> {
        self.hand_over(CHECKING, Job::Check).await
    }

    async fn hand_over<T>(
        &self,
        operation: &'static str,
        job: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Job,
    ) -> Result<T, Error> {
        let (reply, outcome) = oneshot::channel();
        // The writers end with the runtime they run on.
        self.jobs
            .send(job(reply))
            .map_err(|_| Error::Closed { operation })?;
        outcome.await.map_err(|_| Error::Closed { operation })?
    }
}

impl Waiting {
    /// Waits for a batch; an empty one is the end.
    async fn batch(&self) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(BATCH);
        let mut receiver = self.jobs.lock().await;
        let mut more = receiver.recv_many(&mut jobs, BATCH).await > 0;
        while more && jobs.len() < BATCH && self.under_way.load(Ordering::SeqCst) > FEW {
            let room = BATCH - jobs.len();
            tokio::select! {
                () = self.done.notified() => {}
                found = receiver.recv_many(&mut jobs, room) => more = found > 0,
            }
        }
        self.under_way.fetch_add(jobs.len(), Ordering::SeqCst);
        jobs
    }

    fn leave(&self, jobs: usize) {
        self.under_way.fetch_sub(jobs, Ordering::SeqCst);
        self.done.notify_one();
    }
}

impl Task {
    /// Waits for work and performs it; returns whether there will be more.
    async fn turn(&mut self, waiting: &Waiting) -> bool {
        let jobs = waiting.batch().await;
        let taken = jobs.len();
        if taken == 0 {
            return false;
        }
        let (mut ops, mut replies, mut checks) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            match job {
                Job::Step(op, reply) => {
                    ops.push(*op);
                    replies.push(reply);
                }
                Job::Check(reply) => checks.push(reply),
            }
        }
        let (results, checked) = self.serve(&ops, checks.len()).await;
        waiting.leave(taken);
        // Whoever was cancelled does not wait for a reply.
        for (reply, result) in replies.into_iter().zip(results) {
            drop(reply.send(result));
        }
        for (reply, result) in checks.into_iter().zip(checked) {
            drop(reply.send(result));
        }
        true
    }

    /// Performs everything together; if the server refuses a part of it, each by itself, so that it fails alone.
    async fn serve(
        &mut self,
        ops: &[Op],
        checks: usize,
    ) -> (Vec<Result<Done, Error>>, Vec<Result<(), Error>>) {
        let checked = |result: &dyn Fn() -> Result<(), Error>| (0..checks).map(|_| result()).collect();
        match self.perform(ops, checks > 0).await {
            Ok(results) => (results, checked(&|| Ok(()))),
            Err(Fault::Refused(_)) if ops.len() + checks.min(1) > 1 => {
                let mut results = Vec::with_capacity(ops.len());
                for op in ops {
                    results.push(self.alone(op).await);
                }
                let probe = match checks {
                    0 => Ok(Vec::new()),
                    _ => self.perform(&[], true).await,
                };
                match probe {
                    Ok(_) => (results, checked(&|| Ok(()))),
                    Err(fault) => {
                        let error = fault.shared();
                        (results, checked(&|| Err(error(CHECKING))))
                    }
                }
            }
            Err(fault) => {
                let error = fault.shared();
                let results = ops.iter().map(|op| Err(error(op.operation()))).collect();
                (results, checked(&|| Err(error(CHECKING))))
            }
        }
    }

    async fn alone(&mut self, op: &Op) -> Result<Done, Error> {
        let operation = op.operation();
        let results = self.perform(std::slice::from_ref(op), false).await;
        let results = results.map_err(|fault| fault.shared()(operation))?;
        results
            .into_iter()
            .next()
            .unwrap_or(Err(Error::Closed { operation }))
    }

    /// Performs a batch, again if it can be.
    async fn perform(&mut self, ops: &[Op], probe: bool) -> Result<Vec<Result<Done, Error>>, Fault> {
        let mut tries = 1;
        loop {
            match self.once(ops, probe).await {
                Err(fault) if fault.is_repeatable() && tries < TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    async fn once(&mut self, ops: &[Op], probe: bool) -> Result<Vec<Result<Done, Error>>, Fault> {
        // Taken out, so that a connection in an unknown state is closed and not used again.
        let writer = match self
            .writer
            .take()
            .filter(|writer| !writer.connection.client.is_closed())
        {
            Some(writer) => writer,
            None => self.server.writer().await.map_err(Fault::Failed)?,
        };
        // On the heap: all of what is sent in one go is in one future.
        let performed = Box::pin(batch::perform(&writer, &self.setup, (ops, probe)));
        let Ok(outcome) = tokio::time::timeout(self.server.timeout, performed).await else {
            return Err(silent(self.server.timeout));
        };
        match &outcome {
            Ok(_) => self.writer = Some(writer),
            Err(fault) if fault.spares_connection() => {
                let ended = writer.connection.client.batch_execute("ROLLBACK");
                if matches!(tokio::time::timeout(self.server.timeout, ended).await, Ok(Ok(()))) {
                    self.writer = Some(writer);
                }
            }
            Err(_) => {}
        }
        outcome
    }
}

fn silent(timeout: Duration) -> Fault {
    let seconds = timeout.as_secs();
    Fault::Failed(format!("the server is silent for {seconds} s; what it was asked may still be done").into())
}
