//! One line of a result file.
//!
//! The line is put together as JSON, not as a message: protobuf's JSON value would turn `3` into `3.0`, round large
//! integers and write an object's keys in an order that differs from attempt to attempt, while a retry should write the
//! same bytes. What comes out is a `LlmBatchResult` all the same, with `index` also when it is 0.

use serde_json::Value;
use workflow_types::{
    proto::{BlobRef, ItemReceipt, LlmBatchResult, Outcome, llm_batch_result},
    request::INLINE_LIMIT_BYTES,
};

use crate::{Error, results::Writing, stage};

/// An answer as a result file holds it.
enum Answer {
    Json(Value),
    Other(llm_batch_result::Answer),
}

/// Writes the line of a receipt, with its line break.
pub(crate) async fn of(writing: &Writing<'_>, receipt: ItemReceipt) -> Result<Vec<u8>, Error> {
    let (json, answer) = match receipt.answer {
        Some(blob) => match answer(writing, blob, receipt.index, receipt.json).await? {
            Answer::Json(value) => (Some(value), None),
            Answer::Other(answer) => (None, Some(answer)),
        },
        None => (None, None),
    };
    let index = receipt.index;
    let result = LlmBatchResult {
        id: receipt.id,
        index,
        outcome: Some(receipt.outcome).filter(|outcome| *outcome != Outcome::Unspecified as i32),
        usage: receipt.usage,
        error: receipt.error,
        message: receipt.message,
        answer,
    };
    let mut line = serde_json::to_value(&result).map_err(Error::Encode)?;
    if let Some(fields) = line.as_object_mut() {
        fields.insert("index".to_owned(), index.into());
        fields.extend(json.map(|value| ("json".to_owned(), value)));
    }
    stage::json(line, "\n")
}

/// Takes a small answer into the line and moves a large one to where it outlives the run.
async fn answer(writing: &Writing<'_>, blob: BlobRef, index: i32, is_json: bool) -> Result<Answer, Error> {
    let store = &writing.services.store;
    let size_bytes = store.read(&blob).await.map_err(Error::Staged)?.size_bytes();
    if size_bytes > INLINE_LIMIT_BYTES as u64 {
        let path = stage::path(&writing.prefix, &stage::answer(index))?;
        let moved = store.copy(&blob, &path).await.map_err(Error::Staged)?;
        return Ok(Answer::Other(llm_batch_result::Answer::Blob(moved)));
    }
    let bytes = store
        .get(&blob, INLINE_LIMIT_BYTES as u64)
        .await
        .map_err(Error::Staged)?;
    writing.services.metrics.read(bytes.len());
    if is_json {
        match serde_json::from_slice(&bytes) {
            Ok(value) => return Ok(Answer::Json(value)),
            // A paid answer is handed on as it is rather than failing all the others of its page.
            Err(error) => tracing::warn!(
                item.index = index,
                error.column = error.column(),
                "stored answer is not JSON"
            ),
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer::Other(llm_batch_result::Answer::Text(text)))
}
