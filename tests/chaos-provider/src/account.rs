//! The provider's own account of every call: kept in memory for a test, and in a file that outlives a `kill -9`.
//!
//! A call is two lines, one when it was received and one when it ended, because the first must be durable before the
//! answer starts: an account written at the end would miss exactly the calls that a crash test is about.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::call::Protocol;
use crate::provider::Error;

mod keeper;

pub(crate) use keeper::Account;

/// One call that was received.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The call's number, counted from 1 over the life of the log.
    pub seq: u64,
    /// When the request had been read whole, in milliseconds since 1970.
    pub received_unix_ms: u64,
    /// The number of the connection it came on, counted from 1 since the provider started.
    pub connection: u64,
    /// The protocol it is made in.
    #[serde(default)]
    pub protocol: Protocol,
    /// The model it asks for; empty when the body is no request of the protocol.
    pub model: String,
    /// The value of its marker header.
    pub marker: Option<String>,
    /// The value of its key header.
    pub key: Option<String>,
    /// The first eight digits of the SHA-256 of the API key that it bears.
    #[serde(default)]
    pub api_key: Option<String>,
    /// The SHA-256 of its body, in hexadecimal digits.
    pub body_sha256: String,
    /// The tokens of its prompt, as this provider counts them.
    pub prompt_tokens: u32,
    /// Whether it asks for a stream.
    pub stream: bool,
    /// The place in the script of the rule it took, counted from 0; none for a normal answer.
    pub rule: Option<usize>,
    /// The place in the script of the chance it met, counted from 0.
    #[serde(default)]
    pub chance: Option<usize>,
    /// The kind of the behaviour it got, as scripts write it; `limited` when an enforced limit refused it.
    pub reply: String,
    /// The id that its answer bears, or would have.
    #[serde(default)]
    pub response_id: String,
    /// How it ended; none while it runs, or when the provider itself was stopped.
    #[serde(skip)]
    pub ending: Option<Ending>,
}

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What became of the answer.
    pub outcome: Outcome,
    /// The HTTP status that was sent; none when nothing was.
    #[serde(default)]
    pub status: Option<u16>,
    /// The tokens of the answer that were handed to the network.
    pub completion_tokens: u32,
    /// What the call costs.
    #[serde(default)]
    pub bill: Bill,
    /// The SHA-256 of the answer's text, without white space at its ends, in hexadecimal digits; none unless all of it was
    /// sent.
    #[serde(default)]
    pub answer_sha256: Option<String>,
    /// Milliseconds since the call was received.
    pub elapsed_ms: u64,
}

/// What a call costs, whatever its answer says and whoever read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Tokens of the prompt, with those of the cache.
    pub prompt_tokens: u32,
    /// Of these, the tokens that were read from the cache.
    pub cached_tokens: u32,
    /// Of these, the tokens that were written to the cache.
    pub cache_write_tokens: u32,
    /// Tokens of the answer that were generated, with those that were only thought.
    pub completion_tokens: u32,
    /// Of these, the tokens that were only thought.
    pub reasoning_tokens: u32,
    /// The money, in millionths of the currency unit, rounded up.
    pub cost_micros: u64,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its last byte was handed to the network while the client was there.
    #[default]
    Sent,
    /// The client closed the connection before the end.
    ClientLeft,
    /// The provider broke it off, as the script says.
    Cut,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Started {
        unix_ms: u64,
        seed: u64,
    },
    Received(Box<Record>),
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
            Line::Started { .. } => {}
            Line::Received(record) => records.push(*record),
            Line::Ended { seq, ending } => set_ending(&mut records, seq, ending),
        }
    }
    Ok(records)
}

/// Notes how a call ended; calls are in the order of their numbers.
fn set_ending(records: &mut [Record], seq: u64, ending: Ending) {
    if let Ok(place) = records.binary_search_by_key(&seq, |record| record.seq) {
        records[place].ending = Some(ending);
    }
}
