//! A whole text, read where it is.

use bytes::{Bytes, BytesMut};
use workflow_types::{problem::Problems, proto::BlobRef};

use crate::{
    Error,
    services::{Scope, Services, proceed},
};

/// A text's bytes and the reference to them with what is now known.
pub(crate) struct Loaded {
    pub(crate) bytes: Bytes,
    pub(crate) blob: BlobRef,
}

/// Reads a referenced text of at most the configured size, checked against its reference.
pub(crate) async fn text(
    services: &Services,
    path: &'static str,
    blob: BlobRef,
    scope: &Scope,
) -> Result<Loaded, Error> {
    let failed = |source| Error::Reference { path, source };
    let mut reader = services.store.read(&blob).await.map_err(failed)?;
    let (size_bytes, limit) = (reader.size_bytes(), services.max_text_bytes);
    if size_bytes > limit {
        let message = format!(
            "has {size_bytes} bytes and at most {limit} are prepared as one text; split the document"
        );
        return Err(Problems::one(path, message).into());
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(size_bytes).unwrap_or_default());
    while let Some(piece) = reader.next().await.map_err(failed)? {
        services.metrics.read(piece.len());
        bytes.extend_from_slice(&piece);
        proceed(scope, "bytes", bytes.len() as u64)?;
    }
    let blob = described(blob, size_bytes, reader.sha256());
    Ok(Loaded {
        bytes: bytes.freeze(),
        blob,
    })
}

/// Fills the size and the hash of a reference.
pub(crate) fn described(blob: BlobRef, size_bytes: u64, sha256: Option<&str>) -> BlobRef {
    BlobRef {
        sha256: sha256.map(str::to_owned),
        size_bytes: i64::try_from(size_bytes).ok(),
        ..blob
    }
}
