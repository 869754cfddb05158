//! The store: references in, bytes out, and back.

use std::{fmt, fs, io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore, ObjectStoreExt, PutPayload, path::Path,
};
use tokio::{fs::File, io::AsyncSeekExt};
use workflow_types::proto::BlobRef;

use crate::{
    Error, Options, Reader, StagePrefix, StagedPath, Writer,
    address::Address,
    backend::Scheme,
    local::{LocalRoot, blocking},
    reader::Source,
    writer::Target,
};

mod shared;

/// What the readiness probe writes and expects to read.
const PROBE: &[u8] = b"ready\n";
const PROBE_PATH: &str = "probe/ready";

/// Reads and writes objects of one store. Cheap to clone.
#[derive(Clone)]
pub struct BlobStore {
    store: Arc<dyn ObjectStore>,
    /// Set for a folder of this machine.
    root: Option<LocalRoot>,
    allow_file_references: bool,
    max_object_bytes: u64,
}

/// An object that a run has staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its address: `blob:<path>`.
    pub uri: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl BlobStore {
    /// Opens the store that the options name; a local folder is created if it is missing.
    ///
    /// A store behind HTTP is not contacted; [`BlobStore::check`] does that.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] with every problem, and [`Error::Open`] when the folder can't be made or credentials can't
    /// be read.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let problems = options.validate();
        let (url, scheme) = match options.scheme() {
            Ok(parsed) if problems.is_empty() => parsed,
            Ok(_) | Err(_) => return Err(Error::Options { problems }),
        };
        let failed = |source| Error::Open {
            url: options.url.clone(),
            source,
        };
        let (root, store) = if scheme == Scheme::File {
            let (root, store) = LocalRoot::open(&url).map_err(failed)?;
            (Some(root), store)
        } else {
            (None, scheme.open(&url, &options.options).map_err(failed)?)
        };
        Ok(Self {
            store,
            root,
            allow_file_references: options.allow_file_references,
            max_object_bytes: options.max_object_bytes,
        })
    }

    /// Writes an object and gives the reference to it, with its size and hash.
    ///
    /// The object appears whole or not at all. An object of the same name is replaced, so that a retry can write what
    /// an earlier attempt has written.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] above the store's limit, [`Error::Forbidden`] when a link leads out of a local store,
    /// [`Error::Storage`].
    pub async fn put(&self, path: &StagedPath, bytes: &[u8], media_type: &str) -> Result<BlobRef, Error> {
        let size_bytes = bytes.len() as u64;
        within(&path.uri(), size_bytes, self.max_object_bytes)?;
        let mut writer = self.writer(path, media_type).await?;
        writer.write(bytes).await?;
        writer.finish().await
    }

    /// Starts an object of any size that is written piece by piece.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when a link leads out of a local store.
    pub async fn writer(&self, path: &StagedPath, media_type: &str) -> Result<Writer, Error> {
        let (uri, path) = (path.uri(), object_path(path.as_str())?);
        if let Some(root) = &self.root {
            root.check(&path, &uri).await?;
        }
        let keeps_media_type = self.root.is_none();
        Ok(Writer::new(Target {
            store: &self.store,
            path,
            uri,
            media_type,
            keeps_media_type,
        }))
    }

    /// Reads a whole object of at most `max_bytes` and checks it against the size and hash of its reference.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] before anything is read, also above the store's own limit; [`Error::NotFound`],
    /// [`Error::Corrupt`], [`Error::Forbidden`], [`Error::Address`], [`Error::Storage`].
    pub async fn get(&self, blob: &BlobRef, max_bytes: u64) -> Result<Bytes, Error> {
        let reader = self.read(blob).await?;
        within(
            &blob.uri,
            reader.size_bytes(),
            max_bytes.min(self.max_object_bytes),
        )?;
        reader.read_all().await
    }

    /// Reads `length` bytes of an object from `offset`. Their hash is not known, so it is not checked.
    ///
    /// # Errors
    ///
    /// [`Error::Range`] when the object has no such part; otherwise those of [`BlobStore::get`].
    pub async fn get_range(&self, blob: &BlobRef, offset: u64, length: u64) -> Result<Bytes, Error> {
        within(&blob.uri, length, self.max_object_bytes)?;
        let end = offset.saturating_add(length);
        let (reader, size_bytes) = self.read_part(blob, offset, Some(end)).await?;
        if end > size_bytes {
            return Err(Error::Range {
                uri: blob.uri.clone(),
                offset,
                length,
                size_bytes,
            });
        }
        reader.read_all().await
    }

    /// Starts to read an object of any size from its beginning, checked against its reference at the end.
    ///
    /// # Errors
    ///
    /// Those of [`BlobStore::get`] except [`Error::TooLarge`].
    pub async fn read(&self, blob: &BlobRef) -> Result<Reader, Error> {
        let reader = match self.address(blob).await? {
            Address::File(path) => {
                let (file, size_bytes) = open_file(path, &blob.uri).await?;
                Reader::new(&blob.uri, Source::File(file), size_bytes, size_bytes)
            }
            Address::Object(path) => {
                let found = self.request(&blob.uri, &path, GetOptions::default()).await?;
                let size_bytes = found.meta.size;
                Reader::new(&blob.uri, source(found, &blob.uri).await?, size_bytes, size_bytes)
            }
        };
        same_size(blob, reader.size_bytes())?;
        Ok(reader.hashed(blob.sha256.as_ref()))
    }

    /// Starts to read an object of any size from `offset` on; from its end on there is nothing. The hash is not
    /// checked.
    ///
    /// # Errors
    ///
    /// Those of [`BlobStore::get`] except [`Error::TooLarge`].
    pub async fn read_from(&self, blob: &BlobRef, offset: u64) -> Result<Reader, Error> {
        self.read_part(blob, offset, None).await.map(|(reader, _)| reader)
    }

    /// Copies an object of any size to where a run stages data, checking it on the way.
    ///
    /// # Errors
    ///
    /// Those of [`BlobStore::read`] and [`BlobStore::writer`].
    pub async fn copy(&self, from: &BlobRef, to: &StagedPath) -> Result<BlobRef, Error> {
        let mut reader = self.read(from).await?;
        let media_type = from.media_type.as_deref().unwrap_or("application/octet-stream");
        let mut writer = self.writer(to, media_type).await?;
        while let Some(piece) = reader.next().await? {
            writer.write(&piece).await?;
        }
        writer.finish().await
    }

    /// Lists what a run has staged below a prefix, by address.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub async fn list(&self, prefix: &StagePrefix) -> Result<Vec<StoredObject>, Error> {
        let uri = format!("blob:{prefix}");
        let found: Vec<_> = self
            .store
            .list(Some(&object_path(prefix.as_str())?))
            .map_ok(|meta| StoredObject {
                uri: format!("blob:{}", meta.location),
                size_bytes: meta.size,
            })
            .try_collect()
            .await
            .map_err(|error| Error::storage("list", &uri, error))?;
        let mut objects = found;
        objects.sort_by(|left, right| left.uri.cmp(&right.uri));
        Ok(objects)
    }

    /// Removes everything below a prefix and gives how many objects that were; nothing is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`], when some objects may be gone and some not; calling it again goes on.
    pub async fn delete_prefix(&self, prefix: &StagePrefix) -> Result<u64, Error> {
        if let Some(root) = &self.root {
            return root.remove(prefix).await;
        }
        let uri = format!("blob:{prefix}");
        let found = self
            .store
            .list(Some(&object_path(prefix.as_str())?))
            .map_ok(|meta| meta.location);
        let mut deletions = self.store.delete_stream(found.boxed());
        let mut objects = 0;
        while let Some(deleted) = deletions.next().await {
            match deleted {
                Ok(_) => objects += 1,
                // Somebody else was faster, for example an earlier attempt.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(Error::storage("delete", &uri, error)),
            }
        }
        Ok(objects)
    }

    /// Writes a small object under `probe/` and reads it back.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when the store can't be read or written.
    pub async fn check(&self) -> Result<(), Error> {
        let failed = |error| Error::storage("check", PROBE_PATH, error);
        let path = object_path(PROBE_PATH)?;
        self.store
            .put(&path, PutPayload::from_static(PROBE))
            .await
            .map_err(failed)?;
        let found = self
            .store
            .get(&path)
            .await
            .map_err(failed)?
            .bytes()
            .await
            .map_err(failed)?;
        if found == PROBE {
            return Ok(());
        }
        Err(Error::storage(
            "check",
            PROBE_PATH,
            "it does not give back what was written",
        ))
    }

    async fn read_part(&self, blob: &BlobRef, offset: u64, end: Option<u64>) -> Result<(Reader, u64), Error> {
        let (source, size_bytes) = match self.address(blob).await? {
            Address::File(path) => {
                let (file, size_bytes) = open_file(path, &blob.uri).await?;
                (file_from(file, offset, &blob.uri).await?, size_bytes)
            }
            Address::Object(path) => {
                let meta = self.store.head(&path).await;
                let size_bytes = meta
                    .map_err(|error| Error::from_object_store("read", &blob.uri, error))?
                    .size;
                let last = end.unwrap_or(size_bytes).min(size_bytes);
                let source = if offset < last {
                    let range = Some(GetRange::Bounded(offset..last));
                    let options = GetOptions {
                        range,
                        ..GetOptions::default()
                    };
                    source(self.request(&blob.uri, &path, options).await?, &blob.uri).await?
                } else {
                    Source::Nothing
                };
                (source, size_bytes)
            }
        };
        same_size(blob, size_bytes)?;
        let left_bytes = end.unwrap_or(size_bytes).min(size_bytes).saturating_sub(offset);
        Ok((Reader::new(&blob.uri, source, left_bytes, size_bytes), size_bytes))
    }

    async fn address(&self, blob: &BlobRef) -> Result<Address, Error> {
        let address = Address::parse(&blob.uri, self.allow_file_references)?;
        if let (Address::Object(path), Some(root)) = (&address, &self.root) {
            root.check(path, &blob.uri).await?;
        }
        Ok(address)
    }

    async fn request(&self, uri: &str, path: &Path, options: GetOptions) -> Result<GetResult, Error> {
        self.store
            .get_opts(path, options)
            .await
            .map_err(|error| Error::from_object_store("read", uri, error))
    }
}

/// Takes a local file itself, placed at the start of the range; the library would read it 8 KiB at a time.
async fn source(found: GetResult, uri: &str) -> Result<Source, Error> {
    let start = found.range.start;
    match found.payload {
        GetResultPayload::File(file, _) => file_from(file.into(), start, uri).await,
        GetResultPayload::Stream(stream) => Ok(Source::Stream(stream)),
    }
}

async fn file_from(mut file: File, offset: u64, uri: &str) -> Result<Source, Error> {
    match file.seek(io::SeekFrom::Start(offset)).await {
        Ok(_) => Ok(Source::File(file)),
        Err(error) => Err(Error::storage("read", uri, error)),
    }
}

fn object_path(path: &str) -> Result<Path, Error> {
    Path::parse(path).map_err(|_| Error::address(path, "is not a path inside the store"))
}

fn within(uri: &str, size_bytes: u64, limit_bytes: u64) -> Result<(), Error> {
    if size_bytes <= limit_bytes {
        return Ok(());
    }
    Err(Error::TooLarge {
        uri: uri.to_owned(),
        size_bytes,
        limit_bytes,
    })
}

fn same_size(blob: &BlobRef, size_bytes: u64) -> Result<(), Error> {
    match blob.size_bytes {
        Some(expected) if u64::try_from(expected) != Ok(size_bytes) => Err(Error::Corrupt {
            uri: blob.uri.clone(),
            difference: format!("it has {size_bytes} bytes and should have {expected}"),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Opens a file of this machine; a pipe or a device would never end and is refused before it is opened.
async fn open_file(path: PathBuf, uri: &str) -> Result<(File, u64), Error> {
    let uri = uri.to_owned();
    let (file, size_bytes) = blocking(move || {
        let failed = |error: io::Error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Error::NotFound { uri: uri.clone() };
            }
            Error::storage("read", &uri, error)
        };
        let found = fs::metadata(&path).map_err(failed)?;
        if !found.is_file() {
            return Err(Error::Forbidden {
                uri: uri.clone(),
                reason: "it is not a regular file",
            });
        }
        Ok((fs::File::open(&path).map_err(failed)?, found.len()))
    })
    .await?;
    Ok((file.into(), size_bytes))
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStore")
            .field("store", &self.store.to_string())
            .finish_non_exhaustive()
    }
}
