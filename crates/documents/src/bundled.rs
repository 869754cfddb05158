//! The model that set-up unpacks, as far as its file is concerned.
//!
//! Two workers use that file without knowing each other: one computes with it, the other counts tokens by it. What both
//! stand on is the reader of such files, so the place of the one that comes along stands beside the reader. The contracts
//! would be the wrong home, because no payload ever names a file, and so would the process's, which knows no pipeline.

use std::path::{Path, PathBuf};

/// The model's name, the part after `local/` of a model reference.
pub const NAME: &str = "smollm2-135m-instruct";

/// Tokens of prompt and answer together, as the file says.
pub const CONTEXT_WINDOW: u32 = 8_192;

/// Gives the model's file within the folder that set-up unpacks into.
pub fn file(cache: &Path) -> PathBuf {
    cache.join("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
}
