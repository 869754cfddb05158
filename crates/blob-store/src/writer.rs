//! An object written piece by piece, which appears whole or not at all.
//!
//! Small ones go out in one request, large ones as a multipart upload of 8 MiB parts; either way nobody sees half an
//! object, and an earlier one of the same name stays until the new one is complete. A writer that is dropped, because
//! its activity was cancelled, takes back what it had uploaded. What a killed process leaves of a multipart upload is
//! invisible and is removed by the bucket's rule for incomplete uploads.

use std::{fmt, sync::Arc};

use object_store::{Attribute, AttributeValue, Attributes, ObjectStore, buffered::BufWriter, path::Path};
use tokio::{io::AsyncWriteExt, runtime::Handle};
use workflow_types::proto::BlobRef;

use crate::{Error, digest::Digest};

/// The size of the parts of a large object, and the most that is held back before the first request.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// The parts of one object in flight at once.
const PARTS_IN_FLIGHT: usize = 2;
/// The bytes that are hashed and handed on at a time.
const STEP_BYTES: usize = 1024 * 1024;

/// Writes one object; it exists once [`Writer::finish`] has returned.
pub struct Writer {
    upload: Option<BufWriter>,
    uri: String,
    media_type: String,
    digest: Digest,
    size_bytes: u64,
}

/// What a writer writes to.
pub(crate) struct Target<'a> {
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) uri: String,
    pub(crate) media_type: &'a str,
    /// Whether the store keeps media types.
    pub(crate) keeps_media_type: bool,
}

impl Writer {
    pub(crate) fn new(target: Target<'_>) -> Self {
        let mut upload = BufWriter::with_capacity(Arc::clone(target.store), target.path, PART_BYTES)
            .with_max_concurrency(PARTS_IN_FLIGHT);
        if target.keeps_media_type {
            let media_type = AttributeValue::from(target.media_type.to_owned());
            upload = upload.with_attributes(Attributes::from_iter([(Attribute::ContentType, media_type)]));
        }
        Self {
            upload: Some(upload),
            uri: target.uri,
            media_type: target.media_type.to_owned(),
            digest: Digest::default(),
            size_bytes: 0,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]; the object will not exist then, and later calls fail too.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for step in bytes.chunks(STEP_BYTES) {
            self.digest.update(step);
            let Some(upload) = &mut self.upload else {
                return Err(self.gave_up());
            };
            if let Err(error) = upload.write_all(step).await {
                self.take_back();
                return Err(Error::storage("write", &self.uri, error));
            }
            self.size_bytes += step.len() as u64;
        }
        Ok(())
    }

    /// Completes the object and gives the reference to it.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]; the object does not exist then, or is still the earlier one.
    pub async fn finish(mut self) -> Result<BlobRef, Error> {
        let Some(mut upload) = self.upload.take() else {
            return Err(self.gave_up());
        };
        upload
            .shutdown()
            .await
            .map_err(|error| Error::storage("write", &self.uri, error))?;
        Ok(BlobRef {
            uri: std::mem::take(&mut self.uri),
            sha256: Some(std::mem::take(&mut self.digest).hex()),
            size_bytes: i64::try_from(self.size_bytes).ok(),
            media_type: Some(std::mem::take(&mut self.media_type)),
        })
    }

    fn gave_up(&self) -> Error {
        Error::storage("write", &self.uri, "an earlier part could not be written")
    }

    /// Removes the parts that were uploaded, in the background because a drop can't wait.
    fn take_back(&mut self) {
        let (Some(mut upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) else {
            return;
        };
        // Nobody waits for it: parts that stay behind cost space until the bucket's own rule removes them.
        drop(runtime.spawn(async move { upload.abort().await }));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("uri", &self.uri)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}
