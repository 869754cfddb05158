//! Bytes of an object as they come, checked against the reference.
//!
//! Every read goes through here, also that of a whole object, so the size and the hash are checked in one place. The
//! hash can only be known at the end, so whoever reads piece by piece must read to the end before trusting what came.
//! A part of an object has no hash; for that only the size is compared.

use std::{fmt, io};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use tokio::{fs::File, io::AsyncReadExt};

use crate::{Error, digest::Digest};

/// The bytes that are read from a file at a time.
const READ_BYTES: usize = 256 * 1024;

/// Gives the bytes of an object piece by piece.
pub struct Reader {
    uri: String,
    source: Source,
    left_bytes: u64,
    size_bytes: u64,
    check: Option<Check>,
    sha256: Option<String>,
}

pub(crate) enum Source {
    File(File),
    Stream(BoxStream<'static, object_store::Result<Bytes>>),
    Nothing,
}

/// The hash that is expected of the whole object, if any is, and that of what came so far.
struct Check {
    expected: Option<String>,
    digest: Digest,
}

impl Reader {
    /// Reads `left_bytes` from a source that stands at the right place, of an object of `size_bytes`.
    pub(crate) fn new(uri: &str, source: Source, left_bytes: u64, size_bytes: u64) -> Self {
        Self {
            uri: uri.to_owned(),
            source,
            left_bytes,
            size_bytes,
            check: None,
            sha256: None,
        }
    }

    /// Hashes what comes, and compares the hash at the end when one is expected.
    pub(crate) fn hashed(mut self, expected: Option<&String>) -> Self {
        self.check = Some(Check {
            expected: expected.cloned(),
            digest: Digest::default(),
        });
        self
    }

    /// Gives the size of the whole object in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Gives the SHA-256 of the whole object as references spell it, once it was read from its beginning to its end.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Gives the next bytes, or none at the end, where the size and the hash have been found right.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when the object turns out shorter or longer than announced, or its hash differs, which is
    /// known only at the end; [`Error::Storage`] when reading fails.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = match &mut self.source {
            Source::Nothing => None,
            Source::File(file) => read_file(file, self.left_bytes)
                .await
                .map_err(|e| self.failed(e))?,
            Source::Stream(stream) => match stream.next().await {
                None => None,
                Some(Ok(bytes)) => Some(bytes),
                Some(Err(error)) => return Err(Error::from_object_store("read", &self.uri, error)),
            },
        };
        let Some(piece) = piece else {
            return self.end().map(|()| None);
        };
        let Some(left_bytes) = self.left_bytes.checked_sub(piece.len() as u64) else {
            return Err(self.corrupt("more bytes came than were announced".to_owned()));
        };
        self.left_bytes = left_bytes;
        if let Some(check) = &mut self.check {
            check.digest.update(&piece);
        }
        Ok(Some(piece))
    }

    /// Reads to the end.
    pub(crate) async fn read_all(mut self) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::with_capacity(usize::try_from(self.left_bytes).unwrap_or(0));
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.source = Source::Nothing;
        if self.left_bytes > 0 {
            return Err(self.corrupt(format!("it ended {} bytes early", self.left_bytes)));
        }
        let Some(check) = self.check.take() else {
            return Ok(());
        };
        let found = check.digest.hex();
        if let Some(expected) = check.expected.filter(|expected| *expected != found) {
            return Err(self.corrupt(format!("its SHA-256 is {found} and should be {expected}")));
        }
        self.sha256 = Some(found);
        Ok(())
    }

    fn corrupt(&self, difference: String) -> Error {
        Error::Corrupt {
            uri: self.uri.clone(),
            difference,
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::storage("read", &self.uri, error)
    }
}

async fn read_file(file: &mut File, left_bytes: u64) -> io::Result<Option<Bytes>> {
    let room = usize::try_from(left_bytes).unwrap_or(READ_BYTES).min(READ_BYTES);
    if room == 0 {
        return Ok(None);
    }
    let mut piece = BytesMut::with_capacity(room);
    // The buffer may have more room than was asked for, and a growing file more bytes than were announced.
    let read = (&mut *file).take(room as u64).read_buf(&mut piece).await?;
    Ok((read > 0).then(|| piece.freeze()))
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("uri", &self.uri)
            .field("left_bytes", &self.left_bytes)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}
