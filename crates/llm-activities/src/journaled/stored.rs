//! An answer as the journal keeps it.
//!
//! Small ones are kept whole. A large one goes to the blob store under the name of its hash, and the journal keeps the
//! reference: rows of megabytes would make every copy of the journal carry all answers. The blob store may be away where the
//! journal is not, and an answer that is paid for is never given up for its size: then it is kept whole after all.

use std::time::Duration;

use blob_store::BlobStore;
use model_clients::provider::GenerateResponse;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use workflow_types::proto::BlobRef;

use crate::{error::Error, metrics::Metrics};

/// How long an answer that has to be committed waits for the blob store.
const OFFLOAD_WITHIN: Duration = Duration::from_secs(3);
const JSON: &str = "application/json";

/// An answer that is elsewhere. No answer has these fields.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Elsewhere {
    offloaded: Reference,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    uri: String,
    sha256: String,
    size_bytes: i64,
}

/// Gives what the journal keeps of an answer.
pub(super) async fn write(
    response: &GenerateResponse,
    inline_bytes: usize,
    (blobs, metrics): (&BlobStore, &Metrics),
) -> Result<Vec<u8>, Error> {
    let whole = serde_json::to_vec(response).map_err(Error::Journaled)?;
    if whole.len() <= inline_bytes {
        return Ok(whole);
    }
    let reference = match timeout(OFFLOAD_WITHIN, blobs.put_shared(&whole, JSON)).await {
        Ok(Ok(blob)) => reference(blob),
        Ok(Err(error)) => {
            let message = activity_context::with_sources(&error);
            tracing::warn!(error.message = message, "a large answer is kept in the journal");
            None
        }
        Err(_) => {
            tracing::warn!("a large answer is kept in the journal: the blob store did not take it in time");
            None
        }
    };
    metrics.offloaded(reference.is_some());
    match reference {
        Some(offloaded) => serde_json::to_vec(&Elsewhere { offloaded }).map_err(Error::Journaled),
        None => Ok(whole),
    }
}

/// Gives the answer that the journal keeps, checked against its hash.
pub(super) async fn read(kept: &[u8], blobs: &BlobStore) -> Result<GenerateResponse, Error> {
    let Ok(Elsewhere { offloaded }) = serde_json::from_slice(kept) else {
        return serde_json::from_slice(kept).map_err(Error::Journaled);
    };
    let blob = BlobRef {
        uri: offloaded.uri,
        sha256: Some(offloaded.sha256),
        size_bytes: Some(offloaded.size_bytes),
        media_type: None,
    };
    let whole = blobs.get(&blob, u64::MAX).await.map_err(Error::Offloaded)?;
    serde_json::from_slice(&whole).map_err(Error::Journaled)
}

fn reference(blob: BlobRef) -> Option<Reference> {
    Some(Reference {
        uri: blob.uri,
        sha256: blob.sha256?,
        size_bytes: blob.size_bytes?,
    })
}
