//! Writes the account: what came in while the last lines were made durable goes into the next write together.
//!
//! One thread owns the file, because an `fsync` for every line would allow a few hundred calls a second, and a
//! provider that is slower than its clients measures itself. It is a thread of its own and no task, so that a runtime
//! that ends does not wait for it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{oneshot, watch};

use super::{Ending, Line, Record, read_log, set_ending};
use crate::provider::Error;

/// The most lines of one write.
const BATCH: usize = 4_096;

/// The account of a provider, in memory and, if it has one, in a file.
#[derive(Debug)]
pub(crate) struct Account {
    records: Arc<watch::Sender<Vec<Record>>>,
    /// None without a file. Behind a lock only because it is dropped when the account is closed.
    orders: Option<Mutex<Sender<Order>>>,
}

/// What is to be written, what it changes, and who waits for it.
struct Order {
    line: Vec<u8>,
    change: Change,
    done: oneshot::Sender<io::Result<()>>,
}

enum Change {
    Received(Box<Record>),
    Ended(u64, Ending),
    /// Nothing is written after this.
    Closed,
}

/// Something that is being made durable.
#[derive(Debug)]
pub(crate) struct Pending(Option<oneshot::Receiver<io::Result<()>>>);

impl Pending {
    /// Waits until it is durable.
    pub(crate) async fn durable(self) -> io::Result<()> {
        match self.0 {
            None => Ok(()),
            Some(done) => done.await.unwrap_or_else(|_| Err(closed())),
        }
    }
}

impl Account {
    /// Opens the log and takes up what it already holds, so that a restarted provider goes on counting.
    pub(crate) fn open(path: Option<&PathBuf>, unix_ms: u64, seed: u64) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self {
                records: Arc::default(),
                orders: None,
            });
        };
        let failed = |source| Error::Log {
            path: path.clone(),
            source,
        };
        let records = if path.exists() {
            read_log(path)?
        } else {
            Vec::new()
        };
        let records = Arc::new(watch::Sender::new(records));
        let mut file = open_at_line_end(path).map_err(failed)?;
        let mut disk = move |bytes: &[u8]| {
            file.write_all(bytes)?;
            file.sync_data()
        };
        let started = to_line(&Line::Started { unix_ms, seed }).map_err(failed)?;
        disk(&started).map_err(failed)?;
        let (orders, inbox) = mpsc::channel();
        let held = Arc::clone(&records);
        thread::Builder::new()
            .name("chaos-account".to_owned())
            .spawn(move || keep(disk, &inbox, &held))
            .map_err(failed)?;
        Ok(Self {
            records,
            orders: Some(Mutex::new(orders)),
        })
    }

    pub(crate) fn records(&self) -> &watch::Sender<Vec<Record>> {
        &self.records
    }

    /// Notes that a call was received. Calls are noted in the order in which this is called.
    pub(crate) fn received(&self, record: Record) -> io::Result<Pending> {
        let record = Box::new(record);
        let line = to_line(&Line::Received(record.clone()))?;
        Ok(self.note(line, Change::Received(record)))
    }

    /// Notes how a call ended.
    pub(crate) fn ended(&self, seq: u64, ending: Ending) -> io::Result<Pending> {
        let noted = ending.clone();
        let line = to_line(&Line::Ended { seq, ending })?;
        Ok(self.note(line, Change::Ended(seq, noted)))
    }

    /// Returns when everything that was noted is durable and nothing will be written any more.
    pub(crate) async fn close(&self) {
        // A log that has failed is closed already.
        drop(self.note(Vec::new(), Change::Closed).durable().await);
    }

    fn note(&self, line: Vec<u8>, change: Change) -> Pending {
        let Some(orders) = &self.orders else {
            self.records.send_modify(|records| apply(records, change));
            return Pending(None);
        };
        let (done, waiting) = oneshot::channel();
        let orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
        // When the keeper is gone, the order is dropped and whoever waits for it hears of it.
        drop(orders.send(Order { line, change, done }));
        Pending(Some(waiting))
    }
}

/// Opens a log for appending. What a kill left of a line would otherwise become the beginning of the next one.
fn open_at_line_end(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).append(true).open(path)?;
    let whole_lines = fs::read(path)?.iter().rposition(|byte| *byte == b'\n');
    let end = whole_lines.map_or(0, |last| last + 1);
    file.set_len(u64::try_from(end).unwrap_or(u64::MAX))?;
    Ok(file)
}

fn to_line(line: &Line) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the account takes no more calls")
}

fn apply(records: &mut Vec<Record>, change: Change) {
    match change {
        Change::Received(record) => records.push(*record),
        Change::Ended(seq, ending) => set_ending(records, seq, ending),
        Change::Closed => {}
    }
}

/// Writes what is ordered until it is told to stop, nobody can order any more, or a write fails.
///
/// After a failed write it is not known what the file holds, so nothing more is written and no call is answered.
fn keep(
    mut disk: impl FnMut(&[u8]) -> io::Result<()>,
    inbox: &Receiver<Order>,
    records: &watch::Sender<Vec<Record>>,
) {
    while let Ok(first) = inbox.recv() {
        let batch: Vec<Order> = std::iter::once(first)
            .chain(inbox.try_iter().take(BATCH - 1))
            .collect();
        let bytes: Vec<u8> = batch
            .iter()
            .flat_map(|order| order.line.iter().copied())
            .collect();
        let written = disk(&bytes);
        let is_last = written.is_err() || batch.iter().any(|order| matches!(order.change, Change::Closed));
        let mut waiting = Vec::with_capacity(batch.len());
        let changes = batch.into_iter().map(|order| {
            waiting.push(order.done);
            order.change
        });
        let changes: Vec<Change> = changes.collect();
        if written.is_ok() {
            records.send_modify(|records| changes.into_iter().for_each(|change| apply(records, change)));
        }
        for done in waiting {
            let told = match &written {
                Ok(()) => Ok(()),
                Err(error) => Err(error.kind().into()),
            };
            // Who gave up waiting does not need the answer.
            drop(done.send(told));
        }
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seq: u64) -> (Order, oneshot::Receiver<io::Result<()>>) {
        let (done, waiting) = oneshot::channel();
        let record = Record {
            seq,
            ..Record::default()
        };
        let order = Order {
            line: format!("{seq}\n").into_bytes(),
            change: Change::Received(Box::new(record)),
            done,
        };
        (order, waiting)
    }

    #[test]
    fn what_waits_while_the_disk_is_busy_is_written_together_in_its_order() {
        let (orders, inbox) = mpsc::channel();
        let waiting: Vec<_> = (1..=100)
            .map(|seq| {
                let (order, waiting) = order(seq);
                orders.send(order).unwrap();
                waiting
            })
            .collect();
        drop(orders);
        let (mut writes, mut written) = (0, Vec::new());
        let disk = |bytes: &[u8]| {
            writes += 1;
            written.extend_from_slice(bytes);
            Ok(())
        };
        let records = watch::Sender::default();
        keep(disk, &inbox, &records);
        assert_eq!(writes, 1);
        let lines = String::from_utf8(written).unwrap();
        let seqs: Vec<u64> = lines.lines().map(|line| line.parse().unwrap()).collect();
        assert!(seqs.into_iter().eq(1..=100));
        assert_eq!(records.borrow().len(), 100);
        assert!(
            waiting
                .into_iter()
                .all(|done| done.blocking_recv().unwrap().is_ok())
        );
    }

    #[test]
    fn after_a_failed_write_nothing_is_noted_and_everybody_is_told() {
        let (orders, inbox) = mpsc::channel();
        let (first, waiting) = order(1);
        orders.send(first).unwrap();
        let records = watch::Sender::default();
        keep(|_| Err(io::ErrorKind::StorageFull.into()), &inbox, &records);
        assert_eq!(
            waiting.blocking_recv().unwrap().unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        assert!(records.borrow().is_empty());
        drop(inbox);
        let (second, waiting) = order(2);
        assert!(orders.send(second).is_err());
        assert!(waiting.blocking_recv().is_err());
    }
}
