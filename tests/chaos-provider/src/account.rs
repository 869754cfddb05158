//! The provider's own account of every call: kept in memory for a test, and in a file that outlives a `kill -9`.
//!
//! A call is two lines, one when it was received and one when it ended, because the first must be durable before the
//! answer starts: an account written at the end would miss exactly the calls that a crash test is about.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::provider::Error;

/// One call that was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The call's number, counted from 1 over the life of the log.
    pub seq: u64,
    /// When the request had been read whole, in milliseconds since 1970.
    pub received_unix_ms: u64,
    /// The number of the connection it came on, counted from 1 since the provider started.
    pub connection: u64,
    /// The model it asks for; empty when the body is no chat request.
    pub model: String,
    /// The value of its marker header.
    pub marker: Option<String>,
    /// The value of its key header.
    pub key: Option<String>,
    /// The SHA-256 of its body, in hexadecimal digits.
    pub body_sha256: String,
    /// The tokens of its prompt, as this provider counts them.
    pub prompt_tokens: u32,
    /// Whether it asks for a stream.
    pub stream: bool,
    /// The place in the script of the rule it took, counted from 0; none for a normal answer.
    pub rule: Option<usize>,
    /// The kind of the behaviour it got, as scripts write it.
    pub reply: String,
    /// How it ended; none while it runs, or when the provider itself was stopped.
    #[serde(skip)]
    pub ending: Option<Ending>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What became of the answer.
    pub outcome: Outcome,
    /// The tokens of the answer that were handed to the network; a provider bills them whoever reads them.
    pub completion_tokens: u32,
    /// Milliseconds since the call was received.
    pub elapsed_ms: u64,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its last byte was handed to the network while the client was there.
    Sent,
    /// The client closed the connection before the end.
    ClientLeft,
    /// The provider broke it off, as the script says.
    Cut,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Received(Record),
    Ended {
        seq: u64,
        #[serde(flatten)]
        ending: Ending,
    },
}

/// Reads a log file, of a provider that runs or of one that is gone.
///
/// A last line without its end is left out: its writer was killed before it was durable, so it was never acted upon.
///
/// # Errors
/// [`Error::Log`] when the file cannot be read, [`Error::LogLine`] when a line is not one of this log.
pub fn read_log(path: &Path) -> Result<Vec<Record>, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Log {
        path: path.into(),
        source,
    })?;
    let mut records: Vec<Record> = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        let bad = |source| Error::LogLine {
            path: path.into(),
            line: number + 1,
            source,
        };
        match serde_json::from_str(line).map_err(bad)? {
            Line::Received(record) => records.push(record),
            Line::Ended { seq, ending } => set_ending(&mut records, seq, ending),
        }
    }
    Ok(records)
}

/// Notes how a call ended.
pub(crate) fn set_ending(records: &mut [Record], seq: u64, ending: Ending) {
    if let Some(record) = records.iter_mut().find(|record| record.seq == seq) {
        record.ending = Some(ending);
    }
}

/// The file behind the account, or nothing.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
}

impl Log {
    /// Opens the log and gives what it already holds, so that a restarted provider goes on counting.
    pub(crate) async fn open(path: Option<&PathBuf>) -> Result<(Self, Vec<Record>), Error> {
        let Some(path) = path else {
            return Ok((Self { file: None }, Vec::new()));
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
        let file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .await
            .map_err(failed)?;
        let whole_lines = fs::read(path)
            .map_err(failed)?
            .iter()
            .rposition(|byte| *byte == b'\n');
        let end = whole_lines.map_or(0, |last| last + 1);
        // What a kill left of a line would otherwise become the beginning of the next one.
        file.set_len(u64::try_from(end).unwrap_or(u64::MAX))
            .await
            .map_err(failed)?;
        Ok((Self { file: Some(file) }, records))
    }

    /// Writes that a call was received; it is durable when this returns.
    pub(crate) async fn received(&mut self, record: &Record) -> io::Result<()> {
        self.write(&Line::Received(record.clone())).await
    }

    /// Writes how a call ended; it is durable when this returns.
    pub(crate) async fn ended(&mut self, seq: u64, ending: &Ending) -> io::Result<()> {
        self.write(&Line::Ended {
            seq,
            ending: ending.clone(),
        })
        .await
    }

    async fn write(&mut self, line: &Line) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        file.write_all(&bytes).await?;
        file.flush().await?;
        file.sync_data().await
    }
}
