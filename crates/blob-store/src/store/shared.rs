//! Objects that belong to no run.
//!
//! What outlives the run that wrote it can't lie below the run's folder, which goes when the run is stopped. Such an
//! object is named by the hash of what it holds, so nobody chooses a name, two who write the same don't disturb each
//! other, and a name that is guessed tells nothing that its bytes would not. Nobody knows who still refers to one: it goes
//! by its age alone, and is written anew when it is written again, so that its age is that of its last reference.

use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt, future};
use workflow_types::proto::BlobRef;

use super::{BlobStore, object_path, within};
use crate::{Error, Writer, digest::Digest, writer::Target};

/// Where shared objects are inside the store.
const FOLDER: &str = "shared";

impl BlobStore {
    /// Writes an object that belongs to no run, under the hash of its bytes, and gives the reference to it.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] above the store's limit, [`Error::Forbidden`] when a link leads out of a local store,
    /// [`Error::Storage`].
    pub async fn put_shared(&self, bytes: &[u8], media_type: &str) -> Result<BlobRef, Error> {
        let mut digest = Digest::default();
        digest.update(bytes);
        let hash = digest.hex();
        // Folders of a local store stay small, and buckets spread by the beginning of a name.
        let (first, _) = hash.split_at(2);
        let path = object_path(&format!("{FOLDER}/{first}/{hash}"))?;
        let uri = format!("blob:{path}");
        within(&uri, bytes.len() as u64, self.max_object_bytes)?;
        if let Some(root) = &self.root {
            root.check(&path, &uri).await?;
        }
        let mut writer = Writer::new(Target {
            store: &self.store,
            path,
            uri,
            media_type,
            keeps_media_type: self.root.is_none(),
        });
        writer.write(bytes).await?;
        writer.finish().await
    }

    /// Removes the shared objects that were last written longer ago than the age, and gives how many that were.
    ///
    /// The age must not be shorter than that after which nobody asks for them: the longest execution time-out and the
    /// namespace's retention together.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], when some objects may be gone and some not; calling it again goes on.
    pub async fn delete_shared(&self, older_than: Duration) -> Result<u64, Error> {
        let uri = format!("blob:{FOLDER}/");
        let Some(until) = SystemTime::now().checked_sub(older_than) else {
            return Ok(0);
        };
        let found = self
            .store
            .list(Some(&object_path(FOLDER)?))
            .try_filter(move |meta| future::ready(SystemTime::from(meta.last_modified) <= until))
            .map_ok(|meta| meta.location);
        let mut deletions = self.store.delete_stream(found.boxed());
        let mut objects = 0;
        while let Some(deleted) = deletions.next().await {
            match deleted {
                Ok(_) => objects += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(Error::storage("delete", &uri, error)),
            }
        }
        Ok(objects)
    }
}
