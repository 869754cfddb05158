//! The names of what a run stages, all of them.
//!
//! Each follows from the input alone, so a retry writes the same objects again instead of new ones beside them.
//! Whatever is below `staged/` goes when the run ends; what is below `results/` stays for the caller.

use blob_store::{StagePrefix, StagedPath};
use workflow_types::problem::Problems;

use crate::Error;

/// What only the run itself needs.
pub(crate) const STAGED: &str = "staged";
/// What the caller is given references to.
pub(crate) const RESULTS: &str = "results";
/// What the items of a batch don't say themselves.
pub(crate) const DEFAULTS: &str = "staged/defaults.json";
/// The joined results of a batch.
pub(crate) const RESULTS_FILE: &str = "results/results.jsonl";

/// The media type of plain text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";
/// The media type of JSON, one value a line.
pub(crate) const JSONL: &str = "application/jsonl";

/// Parses the prefix that an activity is told to write under.
pub(crate) fn prefix(text: &str) -> Result<StagePrefix, Error> {
    StagePrefix::parse(text).map_err(|error| Problems::one("stagePrefix", error.to_string()).into())
}

/// Gives the path of a name of this module below the run's prefix.
pub(crate) fn path(prefix: &StagePrefix, name: &str) -> Result<StagedPath, Error> {
    prefix.path(name).map_err(Error::Staged)
}

/// Writes JSON so that the same value makes the same bytes: a message's maps have no order of their own, and a reference
/// that another attempt has written over would no longer match its hash.
pub(crate) fn json(mut value: serde_json::Value, end: &str) -> Result<Vec<u8>, Error> {
    value.sort_all_objects();
    let mut bytes = serde_json::to_vec(&value).map_err(Error::Encode)?;
    bytes.extend_from_slice(end.as_bytes());
    Ok(bytes)
}

pub(crate) fn chunk(index: usize) -> String {
    format!("{STAGED}/chunks/{index:05}.txt")
}

pub(crate) fn item(index: i32) -> String {
    format!("{STAGED}/items/{index}.txt")
}

pub(crate) fn part(number: i32) -> String {
    format!("{RESULTS}/parts/{number:06}.jsonl")
}

pub(crate) fn answer(index: i32) -> String {
    format!("{RESULTS}/answers/{index}")
}
