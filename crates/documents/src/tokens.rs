//! Counts tokens as the model that will read the text counts them.
//!
//! A context window and a budget are promises in tokens, and only the model's own tokenizer can keep them: the
//! rules of thumb are off by a factor of nearly two for Polish and of four for digits. So a counter says whether it is
//! `exact`, and the estimate for models whose tokenizer nobody has is made to err on the high side, because a chunk
//! that is too small costs a little and one that is too large costs the call.
//!
//! A long text is tokenized in pieces of at most 32 KiB, cut where the pre-tokenizers of the byte-level families
//! cut anyway (after a line feed before a word, or before a space). That bounds memory, since an encoding takes
//! nearly thirty times the space of its text, and it bounds the regular expressions inside the tokenizers, some of which
//! give up, and one of which panics, on a megabyte of spaces. `SentencePiece` tokenizers may count one token more for
//! each piece after the first.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use crate::gguf;

mod bpe;
mod estimate;
mod pieces;
mod tiktoken;

pub use bpe::{KNOWN_PRE_TOKENIZERS, tokenizer_from_vocabulary};
pub use tiktoken::Encoding;

use pieces::Pieces;

/// The largest `tokenizer.json` that is read; the largest known ones are a quarter of it.
pub const MAX_TOKENIZER_JSON_BYTES: u64 = 128 << 20;

/// Reports why a tokenizer cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model file's metadata cannot be read.
    #[error("cannot take the tokenizer from the model file {}", path.display())]
    Gguf {
        /// The model file.
        path: PathBuf,
        /// What is wrong with it.
        source: gguf::Error,
    },
    /// The model file holds no tokenizer.
    #[error("the model file {} holds no tokenizer; give a tokenizer.json beside it", path.display())]
    NoVocabulary {
        /// The model file.
        path: PathBuf,
    },
    /// The tokenizer is not byte-level BPE.
    #[error("the tokenizer kind {model:?} is not supported, only \"gpt2\" is; give a tokenizer.json instead")]
    UnknownModel {
        /// The kind as the model file names it.
        model: String,
    },
    /// Nobody taught this crate how that tokenizer cuts words; guessing gives wrong tokens and no error.
    #[error(
        "the pre-tokenizer {pre:?} is not supported, only {known} are; give the model's tokenizer.json instead",
        known = KNOWN_PRE_TOKENIZERS.join(", ")
    )]
    UnknownPreTokenizer {
        /// The name in the model file.
        pre: String,
    },
    /// The vocabulary contradicts itself.
    #[error("the vocabulary is broken: {what}; fetch the model file again")]
    Vocabulary {
        /// What is wrong.
        what: String,
    },
    /// A `tokenizer.json` cannot be read.
    #[error("cannot read the tokenizer file {}; check the path and its permissions", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A `tokenizer.json` is above [`MAX_TOKENIZER_JSON_BYTES`].
    #[error("the tokenizer file {} has {bytes} bytes, above the limit of {MAX_TOKENIZER_JSON_BYTES}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The `tokenizers` library refuses the definition.
    #[error("the tokenizer cannot be built; fetch its file again or give another one")]
    Build {
        /// What the library said.
        source: tokenizers::Error,
    },
    /// An encoding name that this build does not hold.
    #[error("the encoding {name:?} is not known; use one of {known}", known = Encoding::NAMES.join(", "))]
    UnknownEncoding {
        /// The name as given.
        name: String,
    },
    /// The bundled ranks of an encoding cannot be read.
    #[error("the bundled ranks of the encoding {name:?} cannot be read; reinstall the program")]
    Ranks {
        /// The name of the encoding.
        name: &'static str,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Counts tokens and says where they begin. Cheap to share behind an `Arc`; safe to use from many threads.
pub struct TokenCounter {
    kind: Kind,
}

enum Kind {
    Tokenizer(Box<Tokenizer>),
    Tiktoken(tiktoken::Ranks),
    Estimate,
}

impl TokenCounter {
    /// Takes the tokenizer out of a GGUF model file. Exact.
    ///
    /// # Errors
    ///
    /// Those of [`gguf_tokenizer`].
    pub fn from_gguf(path: &Path) -> Result<Self, Error> {
        gguf_tokenizer(path).and_then(Self::from_tokenizer)
    }

    /// Reads a Hugging Face `tokenizer.json`. Exact.
    ///
    /// The file is part of a model's installation and trusted as the model is: it may define regular expressions.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], [`Error::TooLarge`], and [`Error::Build`] for a file that is no tokenizer or one that
    /// cannot tokenize any text.
    pub fn from_tokenizer_json(path: &Path) -> Result<Self, Error> {
        let open = |source| Error::Open {
            path: path.to_owned(),
            source,
        };
        let bytes = fs::metadata(path).map_err(open)?.len();
        if bytes > MAX_TOKENIZER_JSON_BYTES {
            return Err(Error::TooLarge {
                path: path.to_owned(),
                bytes,
            });
        }
        let definition = fs::read(path).map_err(open)?;
        let tokenizer = Tokenizer::from_bytes(definition).map_err(|source| Error::Build { source })?;
        Self::from_tokenizer(tokenizer)
    }

    /// Counts with a tokenizer that is already loaded. Exact.
    ///
    /// Truncation and padding, which some `tokenizer.json` files ask for, are turned off: they change the count.
    ///
    /// # Errors
    ///
    /// [`Error::Build`] when the tokenizer fails on a text with every kind of character in it.
    pub fn from_tokenizer(mut tokenizer: Tokenizer) -> Result<Self, Error> {
        tokenizer
            .with_truncation(None)
            .map_err(|source| Error::Build { source })?;
        tokenizer.with_padding(None);
        // A vocabulary without an unknown token fails at the first strange character; better here than in a run.
        tokenizer
            .encode_fast(PROBE, false)
            .map_err(|source| Error::Build { source })?;
        Ok(Self {
            kind: Kind::Tokenizer(Box::new(tokenizer)),
        })
    }

    /// Uses a tiktoken encoding whose ranks are bundled. Exact for text; the few tokens that a chat API adds for
    /// each message are not counted.
    ///
    /// The ranks of an encoding are loaded once a process and take 25 MB (`cl100k_base`) or 50 MB (`o200k_base`).
    ///
    /// # Errors
    ///
    /// [`Error::Ranks`] when the bundled data cannot be read.
    pub fn from_encoding(encoding: Encoding) -> Result<Self, Error> {
        Ok(Self {
            kind: Kind::Tiktoken(tiktoken::Ranks::load(encoding)?),
        })
    }

    /// Estimates from bytes, for models whose tokenizer is not at hand. Not exact: meant to be high.
    ///
    /// One token for three bytes of ASCII and two tokens for three bytes of anything else. Typical English prose
    /// has four bytes a token, so the safety factor is 4/3 there. Text of mostly digits, minified code or rare
    /// scripts under a small vocabulary can still exceed it.
    pub fn estimate() -> Self {
        Self { kind: Kind::Estimate }
    }

    /// Tells whether the count is the model's own.
    pub fn exact(&self) -> bool {
        match self.kind {
            Kind::Tokenizer(_) | Kind::Tiktoken(_) => true,
            Kind::Estimate => false,
        }
    }

    /// Counts the tokens of a text, without the tokens that a chat template would put around it.
    ///
    /// Special tokens written out in the text count as the one token that the tokenizer makes of them, except for
    /// tiktoken encodings, where an API takes them as text. A piece that the tokenizer refuses counts one token a
    /// byte, which no byte-level tokenizer exceeds.
    pub fn count(&self, text: &str) -> usize {
        Pieces::of(text).map(|piece| self.count_piece(&text[piece])).sum()
    }

    /// Finds where each token of a text begins: as many byte offsets as [`count`](Self::count) says, ascending.
    ///
    /// Offsets lie on character boundaries; the tokens of a character that takes several share its offset.
    pub fn starts(&self, text: &str) -> Vec<usize> {
        let mut starts = Vec::with_capacity(text.len() / 4);
        for piece in Pieces::of(text) {
            let mut last = piece.start;
            starts.extend(
                self.starts_of_piece(&text[piece.clone()])
                    .into_iter()
                    .map(|start| {
                        // A normaliser may report offsets out of order; no token begins before the one before it.
                        last = text.floor_char_boundary((piece.start + start).max(last));
                        last
                    }),
            );
        }
        starts
    }

    fn count_piece(&self, piece: &str) -> usize {
        match &self.kind {
            Kind::Tokenizer(tokenizer) => tokenizer
                .encode_fast(piece, false)
                .map_or(piece.len(), |encoding| encoding.len()),
            Kind::Tiktoken(ranks) => ranks.count(piece),
            Kind::Estimate => estimate::count(piece),
        }
    }

    fn starts_of_piece(&self, piece: &str) -> Vec<usize> {
        match &self.kind {
            Kind::Tokenizer(tokenizer) => tokenizer.encode(piece, false).map_or_else(
                |_| (0..piece.len()).collect(),
                |encoding| encoding.get_offsets().iter().map(|(start, _)| *start).collect(),
            ),
            Kind::Tiktoken(ranks) => ranks.starts(piece),
            Kind::Estimate => estimate::starts(piece),
        }
    }
}

impl fmt::Debug for TokenCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Tokenizer(_) => "tokenizer",
            Kind::Tiktoken(_) => "tiktoken",
            Kind::Estimate => "estimate",
        };
        f.debug_struct("TokenCounter")
            .field("kind", &kind)
            .field("exact", &self.exact())
            .finish()
    }
}

/// Builds the tokenizer that a GGUF model file holds, with its control tokens as special tokens.
///
/// Special tokens written out in a text are recognised, as a rendered chat template needs; whoever encodes text of
/// others into a prompt must encode it apart, with `Tokenizer::set_encode_special_tokens(true)`, or the text can
/// speak for another role.
///
/// # Errors
///
/// [`Error::Gguf`] and [`Error::NoVocabulary`] for the file, [`Error::UnknownModel`] and
/// [`Error::UnknownPreTokenizer`] for a tokenizer of another kind, [`Error::Vocabulary`] and [`Error::Build`] for
/// one that is broken.
pub fn gguf_tokenizer(path: &Path) -> Result<Tokenizer, Error> {
    let metadata = gguf::read(path).map_err(|source| Error::Gguf {
        path: path.to_owned(),
        source,
    })?;
    let vocabulary = metadata.vocabulary.ok_or_else(|| Error::NoVocabulary {
        path: path.to_owned(),
    })?;
    tokenizer_from_vocabulary(&vocabulary)
}

/// Letters, digits, several scripts, an emoji, an unassigned character: whatever a vocabulary could lack.
const PROBE: &str = "aZ 09\t\n é ż 日本 ع 👩\u{200D}👧 \u{10FFFD}";

#[cfg(test)]
mod tests;
