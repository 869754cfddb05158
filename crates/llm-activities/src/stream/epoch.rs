//! One telling of an answer: its segments and its end, as objects of the blob store.
//!
//! A segment is named by where it begins, so a reader that has all bytes up to there knows the name of the next, and
//! writing one again is no second one. What was once cut stays cut that way: a write that seemed to fail may have succeeded,
//! and a reader that saw it must find what follows under the name that it expects.

use std::fmt::Write as _;

use blob_store::{BlobStore, Error, StagePrefix};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use workflow_types::proto::BlobRef;

const END: &str = "end.json";
const TEXT: &str = "text/plain; charset=utf-8";
/// The most bytes of an end marker; what is larger is none.
const MOST_END_BYTES: u64 = 4_096;

/// Says that a telling is whole, and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    bytes: u64,
    sha256: String,
}

impl End {
    fn of(text: &str) -> Self {
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(text.as_bytes()) {
            // Writing to a String can't fail.
            let _written = write!(sha256, "{byte:02x}");
        }
        Self {
            bytes: text.len() as u64,
            sha256,
        }
    }
}

/// A telling that is being written.
#[derive(Debug)]
pub(super) struct Epoch {
    blobs: BlobStore,
    stream: StagePrefix,
    /// Where this telling is; chosen with its first object.
    folder: Option<StagePrefix>,
    /// What is known of the text.
    pub text: String,
    written: usize,
    /// The end of the segment that is being written.
    cut: Option<usize>,
}

impl Epoch {
    /// Begins a telling of the stream below a prefix; nothing is written yet.
    pub(super) fn new(blobs: BlobStore, stream: StagePrefix) -> Self {
        Self {
            blobs,
            stream,
            folder: None,
            text: String::new(),
            written: 0,
            cut: None,
        }
    }

    /// Tells whether there is text that is not written.
    pub(super) fn is_behind(&self) -> bool {
        self.written < self.text.len()
    }

    /// Writes what is known and not written, as one segment.
    pub(super) async fn write(&mut self) -> Result<(), Error> {
        while self.is_behind() {
            let end = *self.cut.get_or_insert(self.text.len());
            let name = format!("{:012}.txt", self.written);
            let path = self.folder().await?.path(&name)?;
            let segment = &self.text.as_bytes()[self.written..end];
            self.blobs.put(&path, segment, TEXT).await?;
            self.written = end;
            self.cut = None;
        }
        Ok(())
    }

    /// Completes the telling as the whole of `text`; where something else was told, it is told anew.
    pub(super) async fn finish(mut self, text: &str) -> Result<(), Error> {
        if !text.starts_with(&self.text) {
            self = Self::new(self.blobs, self.stream);
        }
        text.clone_into(&mut self.text);
        self.write().await?;
        let path = self.folder().await?.path(END)?;
        let end = serde_json::to_vec(&End::of(text)).unwrap_or_default();
        self.blobs.put(&path, &end, "application/json").await?;
        Ok(())
    }

    async fn folder(&mut self) -> Result<StagePrefix, Error> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let number = latest(&self.blobs, &self.stream)
            .await?
            .map_or(1, |latest| latest.number + 1);
        let folder = self.stream.folder(&format!("{number:06}"))?;
        self.folder = Some(folder.clone());
        Ok(folder)
    }
}

/// Sees to it that the whole of `text` is what is told last.
pub(super) async fn complete(blobs: BlobStore, stream: StagePrefix, text: &str) -> Result<(), Error> {
    let latest = latest(&blobs, &stream).await?;
    if let Some(end) = latest.and_then(|latest| latest.end) {
        let found = blobs.get(&end, MOST_END_BYTES).await?;
        if serde_json::from_slice(&found).ok() == Some(End::of(text)) {
            return Ok(());
        }
    }
    Epoch::new(blobs, stream).finish(text).await
}

/// The telling with the highest number.
struct Latest {
    number: u64,
    end: Option<BlobRef>,
}

async fn latest(blobs: &BlobStore, stream: &StagePrefix) -> Result<Option<Latest>, Error> {
    let prefix = format!("blob:{stream}");
    let mut latest: Option<Latest> = None;
    for object in blobs.list(stream).await? {
        let name = object
            .uri
            .strip_prefix(&prefix)
            .and_then(|name| name.split_once('/'));
        let Some((number, rest)) = name.and_then(|(folder, rest)| Some((folder.parse().ok()?, rest))) else {
            continue;
        };
        if latest.as_ref().is_none_or(|latest| latest.number < number) {
            latest = Some(Latest { number, end: None });
        }
        if let Some(latest) = latest
            .as_mut()
            .filter(|latest| latest.number == number && rest == END)
        {
            latest.end = Some(BlobRef {
                uri: object.uri,
                ..BlobRef::default()
            });
        }
    }
    Ok(latest)
}
