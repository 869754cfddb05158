//! Cuts a text into chunks that fit a model, at places where a reader would cut.
//!
//! A chunk must fit by the model's own count, so the counter decides how far a chunk may go and the text decides
//! where in the last half of that it ends: after a paragraph, else a sentence, a line, a word, a character. The
//! count of a part is not the sum of its tokens' counts (tokens straddle the cut), so every chunk is counted again
//! as it will be sent, and shortened until it fits.
//!
//! The text is tokenized a few times in all, whatever its length and whatever is in it. The ready-made splitter
//! that was tried (text-splitter 0.33) asks for the size of ever smaller sections of the whole rest: twice the time
//! on prose, eighty times on a third of a megabyte without boundaries. It also returns a chunk above the limit where
//! one character is above it; here that is an error.
//!
//! White space between chunks belongs to none of them.

use std::ops::Range;

use crate::tokens::TokenCounter;

mod boundary;

/// The least `max_tokens`: below it, single characters of some scripts do not fit.
pub const LEAST_MAX_TOKENS: usize = 16;

/// How large chunks may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most tokens in a chunk, at least [`LEAST_MAX_TOKENS`].
    pub max_tokens: usize,
    /// The most tokens at the end of a chunk that the next one repeats; fewer than `max_tokens`.
    ///
    /// Fewer are repeated where a sentence or a word begins later, none where repeating would leave no room.
    pub overlap_tokens: usize,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes of the source, on character boundaries, without white space at either end.
    pub range: Range<usize>,
    /// The tokens of that part, counted on its own.
    pub tokens: usize,
}

/// Reports why a text cannot be chunked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `max_tokens` is below [`LEAST_MAX_TOKENS`].
    #[error("max_tokens is {max_tokens}; give at least {LEAST_MAX_TOKENS}")]
    MaxTooSmall {
        /// The value given.
        max_tokens: usize,
    },
    /// `overlap_tokens` leaves no room for anything new.
    #[error("overlap_tokens is {overlap_tokens}; give less than max_tokens, which is {max_tokens}")]
    OverlapTooLarge {
        /// The value given.
        overlap_tokens: usize,
        /// The limit it must stay below.
        max_tokens: usize,
    },
    /// One character takes more tokens than a chunk may have.
    #[error(
        "the character at offset {offset} takes {tokens} tokens, above max_tokens, which is {max_tokens}"
    )]
    CharacterTooLarge {
        /// The offset of the character in the text, in bytes.
        offset: usize,
        /// Its tokens.
        tokens: usize,
        /// The limit.
        max_tokens: usize,
    },
}

impl Limits {
    /// Checks that chunks can be made.
    ///
    /// # Errors
    ///
    /// [`Error::MaxTooSmall`] and [`Error::OverlapTooLarge`].
    pub fn validate(self) -> Result<Self, Error> {
        let Self {
            max_tokens,
            overlap_tokens,
        } = self;
        if max_tokens < LEAST_MAX_TOKENS {
            return Err(Error::MaxTooSmall { max_tokens });
        }
        if overlap_tokens >= max_tokens {
            return Err(Error::OverlapTooLarge {
                overlap_tokens,
                max_tokens,
            });
        }
        Ok(self)
    }
}

/// Splits a text into chunks, in order; a text of white space has none.
///
/// Every byte that is not white space is in some chunk, both ends of the ranges ascend, and each chunk is within
/// the limit by `counter`.
///
/// # Errors
///
/// Those of [`Limits::validate`], and [`Error::CharacterTooLarge`] for tokenizers that expand characters.
pub fn split(text: &str, counter: &TokenCounter, limits: Limits) -> Result<Vec<Chunk>, Error> {
    let limits = limits.validate()?;
    let mut splitter = Splitter {
        text,
        counter,
        limits,
        window: limits.max_tokens.saturating_mul(5),
    };
    let mut chunks = Vec::new();
    let mut start = splitter.skip_white(0);
    let mut covered = start;
    while start < text.len() {
        let tokens = splitter.tokens_from(start);
        let Some(chunk) = splitter.next_chunk(start, covered, &tokens)? else {
            // What is repeated left no room for anything new.
            start = covered;
            continue;
        };
        let end = splitter.skip_white(chunk.range.end);
        start = if end < text.len() {
            splitter.repeat_from(&chunk, &tokens).unwrap_or(end)
        } else {
            end
        };
        covered = end;
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// Where the tokens of a stretch of the text begin.
struct Tokens {
    starts: Vec<usize>,
    /// Whether the stretch goes to the end of the text.
    to_end: bool,
}

struct Splitter<'a> {
    text: &'a str,
    counter: &'a TokenCounter,
    limits: Limits,
    /// The bytes to tokenize at once: a little more than a chunk, learned from the chunks before.
    window: usize,
}

impl Splitter<'_> {
    /// Tokenizes from `start` until there are more tokens than fit, or the text ends.
    fn tokens_from(&mut self, start: usize) -> Tokens {
        loop {
            let end = self.text.floor_char_boundary(start.saturating_add(self.window));
            let mut starts = self.counter.starts(&self.text[start..end]);
            let to_end = end == self.text.len();
            if to_end || starts.len() > self.limits.max_tokens {
                if let Some(beyond) = starts.get(self.limits.max_tokens) {
                    self.window = beyond + beyond / 4 + 64;
                }
                for at in &mut starts {
                    *at += start;
                }
                return Tokens { starts, to_end };
            }
            self.window = self.window.saturating_mul(2);
        }
    }

    /// Finds the chunk that begins at `start` and goes beyond `covered`, if anything beyond it fits.
    fn next_chunk(&self, start: usize, covered: usize, tokens: &Tokens) -> Result<Option<Chunk>, Error> {
        let mut fitting = self.limits.max_tokens;
        if tokens.to_end && tokens.starts.len() <= fitting {
            if let Ok(chunk) = self.counted(start..self.text.len()) {
                return Ok(Some(chunk));
            }
            fitting = tokens.starts.len().saturating_sub(1);
        }
        loop {
            // All tokens that begin before this one end by its start.
            let limit = tokens.starts.get(fitting).copied().unwrap_or(self.text.len());
            if limit <= covered {
                break;
            }
            let end = boundary::best(self.text, start, covered, limit);
            match self.counted(start..end) {
                Ok(chunk) if chunk.range.end > covered => return Ok(Some(chunk)),
                Ok(_) => break,
                Err(tokens) => fitting = fitting.saturating_sub(tokens - self.limits.max_tokens),
            }
            if fitting == 0 {
                break;
            }
        }
        if start < covered {
            Ok(None)
        } else {
            self.one_character(start).map(Some)
        }
    }

    fn one_character(&self, start: usize) -> Result<Chunk, Error> {
        let end = self.text.ceil_char_boundary(start + 1);
        let max_tokens = self.limits.max_tokens;
        self.counted(start..end)
            .map_err(|tokens| Error::CharacterTooLarge {
                offset: start,
                tokens,
                max_tokens,
            })
    }

    /// Makes a chunk of a range without its trailing white space, or says how many tokens it would have.
    fn counted(&self, range: Range<usize>) -> Result<Chunk, usize> {
        let text = self.text[range.clone()].trim_end();
        let tokens = self.counter.count(text);
        if tokens > self.limits.max_tokens {
            return Err(tokens);
        }
        Ok(Chunk {
            range: range.start..range.start + text.len(),
            tokens,
        })
    }

    /// Finds where the chunk after this one begins so that it repeats the end of this one.
    fn repeat_from(&self, chunk: &Chunk, tokens: &Tokens) -> Option<usize> {
        let end = chunk.range.end;
        let inside = tokens.starts.partition_point(|start| *start < end);
        let mut back = self.limits.overlap_tokens;
        while back > 0 {
            let from = tokens.starts.get(inside.saturating_sub(back)).copied()?;
            let from = self.skip_white(boundary::first_from(self.text, from, end));
            if from <= chunk.range.start || from >= end {
                return None;
            }
            let repeated = self.counter.count(&self.text[from..end]);
            if repeated <= self.limits.overlap_tokens {
                return Some(from);
            }
            back = back.saturating_sub(repeated - self.limits.overlap_tokens);
        }
        None
    }

    fn skip_white(&self, from: usize) -> usize {
        self.text.len() - self.text[from..].trim_start().len()
    }
}

#[cfg(test)]
mod tests;
