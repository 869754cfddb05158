//! Reads what a GGUF model file says about itself, without loading the model.
//!
//! The file that holds the weights also holds the tokenizer, the chat template and the context length. A worker
//! that only counts tokens needs those and must not link an inference engine for them, so the header is read here:
//! about a hundred lines against an engine's hundred crates.
//!
//! The file is hostile until read. Nothing is allocated by a count found in the file: every length is first held
//! against the bytes the file still has, strings and arrays have their own limits, and what is not kept is skipped.
//! Tensors are never touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

mod reader;

use reader::{Reader, Value};

/// The most metadata entries that are read; real files have some tens.
pub const MAX_ENTRIES: u64 = 65_536;

/// The longest string that is read, in bytes; the longest known chat templates are a hundredth of it.
pub const MAX_STRING_BYTES: u64 = 1 << 20;

/// The longest array that is read or skipped, in elements; the largest known vocabularies are a quarter of it.
pub const MAX_ARRAY_LEN: u64 = 1 << 20;

/// The most bytes of metadata that are read or skipped in all.
pub const MAX_METADATA_BYTES: u64 = 128 << 20;

/// Reports why a GGUF file's metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot open the model file {}; check the path and its permissions", path.display())]
    Open {
        /// The path as given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Reading failed half way.
    #[error("cannot read the model file at offset {offset}")]
    Read {
        /// The offset from the start of the file, in bytes.
        offset: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// The first four bytes are not `GGUF`.
    #[error("not a GGUF file: it does not start with the letters GGUF")]
    NotGguf,
    /// A version other than 2 or 3, or a big-endian file.
    #[error("GGUF version {version} is not supported; convert the model to version 2 or 3, little-endian")]
    Version {
        /// The version as read little-endian.
        version: u32,
    },
    /// The file ends before something it announces.
    #[error("the model file is truncated: {what} at offset {offset} goes beyond its end; fetch it again")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it starts, in bytes.
        offset: u64,
    },
    /// A count or a length above the limits of this reader.
    #[error("the model file announces {count} for {what} at offset {offset}, above the limit of {limit}")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// The count in the file.
        count: u64,
        /// The limit it exceeds.
        limit: u64,
        /// Where it was found, in bytes.
        offset: u64,
    },
    /// A value type, string or nesting that the format does not define.
    #[error("the model file is malformed at offset {offset}: {what}; fetch it again")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes.
        offset: u64,
    },
    /// A key that every model file has is absent or of another type.
    #[error("the model file has no usable {key}; it is not a complete language model")]
    Missing {
        /// The metadata key.
        key: String,
    },
}

/// What a model file says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// The version of the format: 2 or 3.
    pub version: u32,
    /// The architecture, such as `llama`.
    pub architecture: String,
    /// The model's name as its maker wrote it.
    pub name: Option<String>,
    /// The context window the model was trained for, in tokens.
    pub context_length: Option<u64>,
    /// The Jinja template that renders a conversation into a prompt.
    pub chat_template: Option<String>,
    /// The tokenizer; absent from files that hold only a part of a model.
    pub vocabulary: Option<Vocabulary>,
}

/// A tokenizer as a model file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    /// The kind, in llama.cpp's words: `gpt2` is byte-level BPE, `llama` is `SentencePiece`.
    pub model: String,
    /// The name of the rule that cuts text into words before merging, such as `smollm`.
    pub pre: Option<String>,
    /// The tokens by id.
    pub tokens: Vec<String>,
    /// The kind of each token by id; empty where the file does not say.
    pub kinds: Vec<TokenKind>,
    /// The merges in order of priority, each two tokens with a space between them.
    pub merges: Vec<String>,
    /// The ids with a meaning of their own.
    pub special: SpecialIds,
    /// Whether a prompt must start with the begin-of-sequence token.
    pub add_bos: Option<bool>,
    /// Whether text is tokenized as if a space stood before it.
    pub add_space_prefix: Option<bool>,
}

/// Token ids with a meaning of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Begins a sequence.
    pub bos: Option<u32>,
    /// Ends a sequence.
    pub eos: Option<u32>,
    /// Ends a turn, where that differs from the end of the sequence.
    pub eot: Option<u32>,
    /// Stands for what the vocabulary lacks.
    pub unknown: Option<u32>,
    /// Fills up a batch.
    pub padding: Option<u32>,
}

/// The kind of a token, as llama.cpp numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Ordinary text (1), and every number that is not listed here.
    Normal,
    /// Stands for what the vocabulary lacks (2).
    Unknown,
    /// Steers the model and is never text: `<|im_start|>` (3).
    Control,
    /// Text that the maker added and that is matched before merging (4).
    UserDefined,
    /// In the table and never produced (5).
    Unused,
    /// A single byte of a `SentencePiece` vocabulary (6).
    Byte,
}

impl From<u64> for TokenKind {
    fn from(number: u64) -> Self {
        match number {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

/// Reads the metadata of the model file at a path.
///
/// # Errors
///
/// Every variant of [`Error`]: a file that cannot be opened, is no GGUF, or is truncated, oversized or malformed.
pub fn read(path: &Path) -> Result<Metadata, Error> {
    let open = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(open)?;
    let length = file.metadata().map_err(open)?.len();
    parse(BufReader::with_capacity(1 << 16, file), length)
}

/// Reads the metadata from the start of a stream that has `length` bytes in all.
///
/// # Errors
///
/// Those of [`read`] except [`Error::Open`].
pub fn parse(source: impl Read, length: u64) -> Result<Metadata, Error> {
    let mut reader = Reader::new(source, length.min(MAX_METADATA_BYTES));
    if reader.bytes::<4>("the magic number")? != *b"GGUF" {
        return Err(Error::NotGguf);
    }
    let version = u32::from_le_bytes(reader.bytes("the version")?);
    if !matches!(version, 2 | 3) {
        return Err(Error::Version { version });
    }
    reader.bytes::<8>("the tensor count")?;
    let entries = reader.count("the number of metadata entries", MAX_ENTRIES)?;
    let mut kept = BTreeMap::new();
    for _ in 0..entries {
        let key = reader.string("a metadata key")?;
        if is_kept(&key) {
            let value = reader.value()?;
            kept.insert(key, value);
        } else {
            reader.skip_value()?;
        }
    }
    Entries(kept).into_metadata(version)
}

fn is_kept(key: &str) -> bool {
    const KEPT: &[&str] = &["general.architecture", "general.name", "tokenizer.chat_template"];
    const TOKENIZER: &[&str] = &[
        "model",
        "pre",
        "tokens",
        "token_type",
        "merges",
        "bos_token_id",
        "eos_token_id",
        "eot_token_id",
        "unknown_token_id",
        "padding_token_id",
        "add_bos_token",
        "add_space_prefix",
    ];
    KEPT.contains(&key)
        || key.ends_with(".context_length")
        || key
            .strip_prefix("tokenizer.ggml.")
            .is_some_and(|rest| TOKENIZER.contains(&rest))
}

/// The entries that are kept, by key.
struct Entries(BTreeMap<String, Value>);

impl Entries {
    fn into_metadata(mut self, version: u32) -> Result<Metadata, Error> {
        let architecture = self.required("general.architecture")?;
        Ok(Metadata {
            version,
            name: self.text("general.name"),
            context_length: self.number(&format!("{architecture}.context_length")),
            chat_template: self.text("tokenizer.chat_template"),
            vocabulary: self.vocabulary()?,
            architecture,
        })
    }

    fn vocabulary(&mut self) -> Result<Option<Vocabulary>, Error> {
        let Some(model) = self.text("tokenizer.ggml.model") else {
            return Ok(None);
        };
        let Some(Value::Texts(tokens)) = self.0.remove("tokenizer.ggml.tokens") else {
            return Err(Error::Missing {
                key: "tokenizer.ggml.tokens".to_owned(),
            });
        };
        let kinds = match self.0.remove("tokenizer.ggml.token_type") {
            Some(Value::Numbers(kinds)) => kinds.into_iter().map(TokenKind::from).collect(),
            Some(Value::Texts(_) | Value::Text(_) | Value::Number(_) | Value::Flag(_)) | None => Vec::new(),
        };
        let merges = match self.0.remove("tokenizer.ggml.merges") {
            Some(Value::Texts(merges)) => merges,
            Some(Value::Numbers(_) | Value::Text(_) | Value::Number(_) | Value::Flag(_)) | None => Vec::new(),
        };
        Ok(Some(Vocabulary {
            model,
            pre: self.text("tokenizer.ggml.pre"),
            tokens,
            kinds,
            merges,
            special: SpecialIds {
                bos: self.id("bos"),
                eos: self.id("eos"),
                eot: self.id("eot"),
                unknown: self.id("unknown"),
                padding: self.id("padding"),
            },
            add_bos: self.flag("tokenizer.ggml.add_bos_token"),
            add_space_prefix: self.flag("tokenizer.ggml.add_space_prefix"),
        }))
    }

    fn required(&mut self, key: &str) -> Result<String, Error> {
        self.text(key)
            .ok_or_else(|| Error::Missing { key: key.to_owned() })
    }

    fn text(&mut self, key: &str) -> Option<String> {
        if let Value::Text(text) = self.0.remove(key)? {
            Some(text)
        } else {
            None
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        if let Value::Number(number) = self.0.get(key)? {
            Some(*number).filter(|n| *n != u64::MAX)
        } else {
            None
        }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        if let Value::Flag(flag) = self.0.get(key)? {
            Some(*flag)
        } else {
            None
        }
    }

    fn id(&self, name: &str) -> Option<u32> {
        u32::try_from(self.number(&format!("tokenizer.ggml.{name}_token_id"))?).ok()
    }
}

#[cfg(test)]
mod tests;
