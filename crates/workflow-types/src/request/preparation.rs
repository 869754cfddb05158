//! What happens to the text before the model sees it.

use super::bounded_text;
use crate::{problem::Problems, proto::Preprocessing};

/// What happens to the text before the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preparation {
    /// Whether to normalise.
    pub normalize: bool,
    /// Tokens a chunk may hold, when less than the window.
    pub chunk_tokens: Option<u32>,
    /// Tokens that neighbouring chunks share.
    pub chunk_overlap_tokens: u32,
    /// Chunks in flight at once.
    pub max_concurrent_chunks: usize,
    /// What to do with the joined answers.
    pub reduce_instruction: Option<String>,
}

impl Preparation {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(input: Preprocessing) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let chunk_tokens = input.chunk_tokens.map(|tokens| {
            u32::try_from(tokens)
                .ok()
                .filter(|tokens| *tokens >= 16)
                .unwrap_or_else(|| {
                    problems.at("chunkTokens", "must be at least 16");
                    16
                })
        });
        let overlap = input.chunk_overlap_tokens.unwrap_or(0);
        let chunk_overlap_tokens = u32::try_from(overlap).unwrap_or_else(|_| {
            problems.at("chunkOverlapTokens", "must not be negative");
            0
        });
        if chunk_tokens.is_some_and(|tokens| chunk_overlap_tokens > tokens / 2) {
            problems.at("chunkOverlapTokens", "must be at most half of chunkTokens");
        }
        let wanted = input.max_concurrent_chunks.unwrap_or(4);
        let max_concurrent_chunks = usize::try_from(wanted)
            .ok()
            .filter(|count| (1..=64).contains(count))
            .unwrap_or_else(|| {
                problems.at("maxConcurrentChunks", "must be 1 to 64");
                1
            });
        let reduce_instruction = bounded_text("reduceInstruction", input.reduce_instruction, &mut problems);
        problems.or(Self {
            normalize: input.normalize.unwrap_or(true),
            chunk_tokens,
            chunk_overlap_tokens,
            max_concurrent_chunks,
            reduce_instruction,
        })
    }
}
