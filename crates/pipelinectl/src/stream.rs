//! An answer while it is generated, out of the blob store.
//!
//! A worker writes the text that comes as small objects, and whoever reaches the store can read along, from any machine
//! and without asking the worker. The layout below the run's stream prefix is `<epoch>/<offset>.txt`, and at the end
//! `<epoch>/end.json` with the length and the hash. When a call is made again, because the worker died or the answer had
//! to be repaired, its text is another one: it has a higher epoch, and what was shown before is void.
//!
//! The promise to a reader is that what it was given after the last [`Event::Reset`] is the answer, byte for byte. A
//! segment is given only when everything before it was, whatever a listing shows first, and the end only when length and
//! hash fit.

mod layout;
mod screen;

use blob_store::{BlobStore, StagePrefix};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use workflow_types::proto::BlobRef;

use crate::{digest::hex, failure::Failure};

use self::layout::{Epoch, Layout};

pub(crate) use screen::Screen;

/// No segment is larger: a whole answer that was replayed is one.
const SEGMENT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
const END_LIMIT_BYTES: u64 = 4 * 1024;

/// What a reader is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub(crate) enum Event {
    /// The text goes on.
    Text {
        /// What comes next.
        text: String,
    },
    /// What came before is void, and the text starts again.
    Reset {
        /// The number of the new text.
        epoch: u32,
    },
    /// The text is whole.
    End {
        /// Its hash in lower-case hex.
        sha256: String,
        /// Its length in bytes.
        bytes: u64,
    },
}

/// The end marker.
#[derive(Debug, Deserialize)]
struct End {
    bytes: u64,
    sha256: String,
}

/// Reads along with one stream.
pub(crate) struct Follower {
    store: BlobStore,
    prefix: StagePrefix,
    given: Option<Given>,
}

/// What of an epoch was given.
struct Given {
    epoch: u32,
    bytes: u64,
    hash: Sha256,
    /// Bytes of a character whose rest is in the next segment.
    cut: Vec<u8>,
    ended: bool,
}

impl Given {
    fn new(epoch: u32) -> Self {
        Self {
            epoch,
            bytes: 0,
            hash: Sha256::new(),
            cut: Vec::new(),
            ended: false,
        }
    }

    /// Takes a segment and gives the whole characters of it.
    fn take(&mut self, bytes: &[u8]) -> Result<String, Failure> {
        let mut all = self.cut.clone();
        all.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&all) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(damaged("it is no UTF-8 text")),
        };
        let rest = all.split_off(whole);
        let text = String::from_utf8(all).map_err(|_| damaged("it is no UTF-8 text"))?;
        // Taken only now: a segment that failed is looked at again.
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
        self.cut = rest;
        Ok(text)
    }

    fn sha256(&self) -> String {
        hex(self.hash.clone().finalize().as_ref())
    }
}

impl Follower {
    /// Follows the stream at a prefix, as a run's status and output give it.
    pub(crate) fn new(store: BlobStore, stream: &str) -> Result<Self, Failure> {
        Ok(Self {
            store,
            prefix: layout::prefix(stream)?,
            given: None,
        })
    }

    /// Tells whether the latest text was given whole; another one may still follow.
    pub(crate) fn is_whole(&self) -> bool {
        self.given.as_ref().is_some_and(|given| given.ended)
    }

    /// Tells whether any text was given.
    pub(crate) fn has_begun(&self) -> bool {
        self.given.is_some()
    }

    /// Looks once and gives what is new, in order.
    pub(crate) async fn look(&mut self) -> Result<Vec<Event>, Failure> {
        let layout = Layout::of(self.store.list(&self.prefix).await?);
        let mut events = Vec::new();
        let Some(latest) = layout.latest() else {
            return Ok(events);
        };
        match &self.given {
            // A listing may be older than the one before.
            Some(given) if given.epoch > latest.number => return Ok(events),
            Some(given) if given.epoch == latest.number => {}
            Some(_) => {
                events.push(Event::Reset { epoch: latest.number });
                self.given = Some(Given::new(latest.number));
            }
            None => self.given = Some(Given::new(latest.number)),
        }
        match self.read(latest, &mut events).await {
            Err(failure) if events.is_empty() => Err(failure),
            // What was read is given first; what is wrong is still wrong at the next look.
            Ok(()) | Err(_) => Ok(events),
        }
    }

    async fn read(&mut self, epoch: &Epoch, events: &mut Vec<Event>) -> Result<(), Failure> {
        let Some(given) = self.given.as_mut().filter(|given| !given.ended) else {
            return Ok(());
        };
        for (offset, uri) in &epoch.segments {
            if *offset < given.bytes {
                continue;
            }
            if *offset > given.bytes {
                // The one before is not in the listing yet.
                break;
            }
            let Some(bytes) = get(&self.store, uri, SEGMENT_LIMIT_BYTES).await? else {
                break;
            };
            let text = given.take(&bytes)?;
            if !text.is_empty() {
                events.push(Event::Text { text });
            }
        }
        let Some(uri) = &epoch.end else { return Ok(()) };
        let Some(bytes) = get(&self.store, uri, END_LIMIT_BYTES).await? else {
            return Ok(());
        };
        let end: End =
            serde_json::from_slice(&bytes).map_err(|_| damaged("its end marker cannot be read"))?;
        if given.bytes < end.bytes {
            return Ok(());
        }
        if given.bytes > end.bytes || given.sha256() != end.sha256 {
            return Err(damaged("its text is not what its end marker says"));
        }
        given.ended = true;
        events.push(Event::End {
            sha256: end.sha256,
            bytes: end.bytes,
        });
        Ok(())
    }

    /// Gives what makes the text the final answer: nothing where it is already, the end where only that is missing,
    /// and else the answer as a text of its own.
    pub(crate) fn close(&mut self, answer: &str) -> Vec<Event> {
        let end = Event::End {
            sha256: hex(Sha256::digest(answer.as_bytes()).as_ref()),
            bytes: answer.len() as u64,
        };
        let same = |given: &Given| {
            end == Event::End {
                sha256: given.sha256(),
                bytes: given.bytes,
            }
        };
        match &mut self.given {
            Some(given) if same(given) && given.ended => Vec::new(),
            Some(given) if same(given) => {
                given.ended = true;
                vec![end]
            }
            Some(given) => {
                given.ended = true;
                given.epoch += 1;
                let reset = Event::Reset { epoch: given.epoch };
                vec![reset, text(answer), end]
            }
            None => {
                let mut given = Given::new(0);
                given.ended = true;
                self.given = Some(given);
                vec![text(answer), end]
            }
        }
    }

    /// Tells whether the text that was given has this hash.
    pub(crate) fn has_sha256(&self, sha256: &str) -> bool {
        self.given.as_ref().is_some_and(|given| given.sha256() == sha256)
    }
}

fn text(answer: &str) -> Event {
    Event::Text {
        text: answer.to_owned(),
    }
}

/// Reads an object; `None` when it is gone, because clean-up removed it or a listing was ahead.
async fn get(store: &BlobStore, uri: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    let blob = BlobRef {
        uri: uri.to_owned(),
        ..BlobRef::default()
    };
    match store.get(&blob, limit).await {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(blob_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn damaged(what: &str) -> Failure {
    Failure::internal(format!(
        "the stream is damaged: {what}; `pipelinectl result` gives the answer itself"
    ))
}

#[cfg(test)]
mod tests;
