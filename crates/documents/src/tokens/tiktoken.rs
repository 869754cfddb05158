//! OpenAI's encodings, by name, from the ranks bundled in `tiktoken-rs`: nothing is fetched.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::OnceLock;

use tiktoken_rs::CoreBPE;

use super::Error;

/// A tiktoken encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `o200k_base`: GPT-4o, GPT-4.1, GPT-5 and the o-series.
    O200kBase,
    /// `cl100k_base`: GPT-4, GPT-3.5 and the third generation of embedding models.
    Cl100kBase,
}

impl Encoding {
    /// The names that can be parsed.
    pub const NAMES: &[&str] = &["o200k_base", "cl100k_base"];

    /// Gives the encoding's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::O200kBase => "o200k_base",
            Self::Cl100kBase => "cl100k_base",
        }
    }
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "o200k_base" => Ok(Self::O200kBase),
            "cl100k_base" => Ok(Self::Cl100kBase),
            _ => Err(Error::UnknownEncoding {
                name: name.to_owned(),
            }),
        }
    }
}

/// The loaded ranks of an encoding.
#[derive(Clone, Copy)]
pub(super) struct Ranks(&'static CoreBPE);

impl Ranks {
    pub(super) fn load(encoding: Encoding) -> Result<Self, Error> {
        static O200K: OnceLock<CoreBPE> = OnceLock::new();
        static CL100K: OnceLock<CoreBPE> = OnceLock::new();
        let (cell, load): (_, fn() -> _) = match encoding {
            Encoding::O200kBase => (&O200K, tiktoken_rs::o200k_base),
            Encoding::Cl100kBase => (&CL100K, tiktoken_rs::cl100k_base),
        };
        if let Some(ranks) = cell.get() {
            return Ok(Self(ranks));
        }
        let ranks = load().map_err(|source| Error::Ranks {
            name: encoding.name(),
            source: source.into(),
        })?;
        Ok(Self(cell.get_or_init(|| ranks)))
    }

    /// Counts the tokens of a short text.
    pub(super) fn count(self, text: &str) -> usize {
        self.encode(text).map_or(text.len(), |tokens| tokens.len())
    }

    /// Finds the byte offsets at which the tokens of a short text begin; they may lie inside a character.
    pub(super) fn starts(self, text: &str) -> Vec<usize> {
        let Some(tokens) = self.encode(text) else {
            return (0..text.len()).collect();
        };
        let mut at = 0;
        self.0
            ._decode_native_and_split(tokens)
            .map(|token| {
                let start = at;
                at += token.len();
                start
            })
            .collect()
    }

    /// Encodes with the method that returns an error where `encode_ordinary` panics.
    fn encode(self, text: &str) -> Option<Vec<u32>> {
        self.0
            .encode(text, &HashSet::new())
            .ok()
            .map(|(tokens, _)| tokens)
    }
}
