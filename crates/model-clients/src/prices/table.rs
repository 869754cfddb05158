//! One price table: a TOML file with a version, a currency, and the prices of models.
//!
//! ```toml
//! version = "2026-11"
//! currency = "USD"
//!
//! [[models]]
//! provider = "openai"
//! name = "gpt-x"
//! source = "the contract of November"
//! input_micros_per_million = 150_000
//! cached_input_micros_per_million = 75_000
//! output_micros_per_million = 600_000
//! ```

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Asked;
use super::pattern::{self, Closeness};
use crate::provider::{Billing, LongPrompt};
use crate::settings::Problem;

/// The longest version of a table, in bytes: it is written into every row of the ledger.
const MAX_VERSION_BYTES: usize = 48;

/// A price table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the price table {path}; check that it exists and that this process may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        #[source]
        source: io::Error,
    },
    /// The text is no price table.
    #[error("{origin} is no price table")]
    Parse {
        /// Where the text comes from.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Entries cannot be used.
    #[error("{origin} cannot be used: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// Where the table comes from.
        origin: String,
        /// What is wrong, each with the path of its key.
        problems: Vec<Problem>,
    },
}

/// The prices of models, with the version that the ledger names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    version: String,
    currency: String,
    #[serde(default)]
    models: Vec<Entry>,
}

/// The prices of one model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The protocol, or the name of one provider, which then comes first.
    provider: String,
    /// The model's name; stands for its dated snapshots too, and for more where it holds `*`.
    name: String,
    /// Where the prices were read.
    source: String,
    input_micros_per_million: u64,
    cached_input_micros_per_million: Option<u64>,
    cache_write_input_micros_per_million: Option<u64>,
    output_micros_per_million: u64,
    long_prompt: Option<LongPrompt>,
}

impl Entry {
    fn billing(&self) -> Billing {
        Billing::PerToken {
            input_micros_per_million: self.input_micros_per_million,
            cached_input_micros_per_million: self
                .cached_input_micros_per_million
                .unwrap_or(self.input_micros_per_million),
            cache_write_input_micros_per_million: self.cache_write_input_micros_per_million,
            output_micros_per_million: self.output_micros_per_million,
            long_prompt: self.long_prompt,
        }
    }

    /// Says how well the entry fits; the least fits best.
    fn fits(&self, asked: Asked<'_>) -> Option<(bool, Closeness)> {
        let is_named = self.provider == asked.provider;
        if !is_named && self.provider != asked.protocol {
            return None;
        }
        Some((!is_named, pattern::matches(&self.name, asked.model)?))
    }
}

impl Table {
    /// Reads a table from a file.
    ///
    /// # Errors
    /// When the file cannot be read, is no table, or holds entries that cannot be used; all problems together.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, &format!("the price table {}", path.display()))
    }

    /// Reads a table from its text; `origin` names it in errors.
    ///
    /// # Errors
    /// When the text is no table or holds entries that cannot be used; all problems together.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let table: Self = toml::from_str(text).map_err(|source| Error::Parse {
            origin: origin.to_owned(),
            source: Box::new(source),
        })?;
        let problems = table.problems();
        if problems.is_empty() {
            return Ok(table);
        }
        Err(Error::Invalid {
            origin: origin.to_owned(),
            problems,
        })
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let is_plain = |byte: u8| byte.is_ascii_graphic();
        if self.version.is_empty()
            || self.version.len() > MAX_VERSION_BYTES
            || !self.version.bytes().all(is_plain)
        {
            let message = format!("must be 1 to {MAX_VERSION_BYTES} visible ASCII characters without spaces");
            problems.push(Problem::new("version", message));
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            problems.push(Problem::new(
                "currency",
                "must be the three letters of a currency, such as USD",
            ));
        }
        let mut seen = BTreeSet::new();
        for (index, entry) in self.models.iter().enumerate() {
            let path = format!("models[{index}]");
            if entry.provider.is_empty() || entry.name.is_empty() {
                problems.push(Problem::new(&path, "must have a provider and a name"));
            }
            if !seen.insert((&entry.provider, &entry.name)) {
                let message = format!("is a second entry for {} of {}", entry.name, entry.provider);
                problems.push(Problem::new(&path, message));
            }
            problems.extend(entry.billing().problem(&path));
        }
        problems
    }

    /// Gives the version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Gives the currency of all prices.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Gives the prices of a model: those of the entry that names its provider and name most closely.
    pub(super) fn find(&self, asked: Asked<'_>) -> Option<Billing> {
        self.models
            .iter()
            .filter_map(|entry| Some((entry.fits(asked)?, entry)))
            .min_by_key(|(fit, _)| *fit)
            .map(|(_, entry)| entry.billing())
    }

    /// Gives where the prices of each entry were read.
    #[cfg(test)]
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|entry| entry.source.as_str())
    }
}
