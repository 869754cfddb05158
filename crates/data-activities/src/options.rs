//! What the data activities are told, as plain data.
//!
//! The models are listed here a second time, beside the model worker's own list, because counting tokens needs two
//! facts of a model and running it needs an engine: a worker that only cuts text must not link one. The tokenizer is
//! written as it is written there, so an operator copies a section.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use documents::{bundled, tokens::Encoding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use workflow_types::request::{DEFAULT_MODEL, ModelRef};

/// The largest text that is validated or prepared as a whole unless the options say otherwise: 64 MiB.
pub const DEFAULT_MAX_TEXT_BYTES: u64 = 64 * 1024 * 1024;

const LEAST_CONTEXT_WINDOW: u32 = 64;

/// Configures the data activities; plain data, checked by [`Options::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The models that text may be prepared for, by `provider/model`. A request for another one fails.
    #[schemars(extend(
        "x-unset" = "the model that set-up unpacked",
        "examples" = [{"openai/small": {"context_window": 128_000}}]
    ))]
    pub models: BTreeMap<String, ModelOptions>,
    /// The largest text that is validated or prepared as a whole, in bytes. JSONL files are read line by line and may
    /// be larger.
    #[schemars(range(min = 1))]
    pub max_text_bytes: u64,
    /// How many texts are worked on at once; 0 is one for each processor.
    pub cpu_slots: usize,
}

/// What has to be known of a model to cut text for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// The tokens that a prompt and its answer may have together.
    #[schemars(range(min = 64), extend("examples" = [128_000]))]
    pub context_window: u32,
    /// How its tokens are counted.
    #[serde(default)]
    pub tokenizer: Tokenizer,
}

/// How the tokens of a text are counted for a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tokenizer {
    /// By the tokenizer inside a GGUF model file.
    Gguf {
        /// The model file, as an absolute path.
        #[schemars(extend("format" = "path", "examples" = ["/var/lib/models/model.gguf"]))]
        path: PathBuf,
    },
    /// By a Hugging Face `tokenizer.json`.
    TokenizerJson {
        /// The tokenizer file, as an absolute path.
        #[schemars(extend("format" = "path", "examples" = ["/var/lib/models/tokenizer.json"]))]
        path: PathBuf,
    },
    /// By one of the encodings of `tiktoken`.
    Tiktoken {
        /// The encoding's name, such as `o200k_base`.
        #[schemars(extend("examples" = ["o200k_base"]))]
        encoding: String,
    },
    /// Not at all: the count is estimated from the text's length, on the high side.
    #[default]
    Estimate,
}

impl Tokenizer {
    /// Gives the file that the tokenizer is in, if it is in one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Gguf { path } | Self::TokenizerJson { path } => Some(path),
            Self::Tiktoken { .. } | Self::Estimate => None,
        }
    }
}

/// Describes one wrong option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The option's path within [`Options`], for example `models.openai/gpt-4o.context_window`.
    pub path: String,
    /// What is wrong and what to give instead.
    pub message: String,
}

impl Options {
    /// Returns every problem at once; an empty list means that the options are valid. Reads no file; [`Models::open`]
    /// finds out whether the tokenizers' files are there.
    ///
    /// [`Models::open`]: crate::Models::open
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems: Vec<_> = self
            .models
            .iter()
            .flat_map(|(name, model)| model.problems(name))
            .collect();
        if self.max_text_bytes == 0 {
            problems.push(Problem::new("max_text_bytes", "is 0; give at least 1"));
        }
        problems
    }
}

impl Options {
    /// Gives the tokenizers' files, each under its path within these options.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        let files = self.models.iter();
        files
            .filter_map(|(name, model)| {
                let file = model.tokenizer.file()?;
                Some((format!("models.{name}.tokenizer.path"), file.clone()))
            })
            .collect()
    }
}

impl ModelOptions {
    /// Gives the model that set-up unpacked, with its name as requests write it.
    pub fn bundled(cache: &Path) -> (String, Self) {
        let model = Self {
            context_window: bundled::CONTEXT_WINDOW,
            tokenizer: Tokenizer::Gguf {
                path: bundled::file(cache),
            },
        };
        (DEFAULT_MODEL.to_owned(), model)
    }

    fn problems(&self, name: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if ModelRef::parse(name).is_err() {
            problems.push(Problem::new(
                format!("models.{name}"),
                "is no name of a model; write provider/model",
            ));
        }
        if self.context_window < LEAST_CONTEXT_WINDOW {
            let message = format!("is {}; give at least {LEAST_CONTEXT_WINDOW}", self.context_window);
            problems.push(Problem::new(format!("models.{name}.context_window"), message));
        }
        if self.tokenizer.file().is_some_and(|path| !path.is_absolute()) {
            problems.push(Problem::new(
                format!("models.{name}.tokenizer.path"),
                "must be an absolute path",
            ));
        }
        if let Tokenizer::Tiktoken { encoding } = &self.tokenizer
            && let Err(error) = encoding.parse::<Encoding>()
        {
            problems.push(Problem::new(
                format!("models.{name}.tokenizer.encoding"),
                error.to_string(),
            ));
        }
        problems
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            models: BTreeMap::new(),
            max_text_bytes: DEFAULT_MAX_TEXT_BYTES,
            cpu_slots: 0,
        }
    }
}

impl Problem {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Options, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn every_kind_of_tokenizer_is_taken() {
        let options = read(
            r#"{"models":{
                "local/smollm2":{"context_window":2048,"tokenizer":{"kind":"gguf","path":"/m/a.gguf"}},
                "vllm/org/model":{"context_window":8192,"tokenizer":{"kind":"tokenizer_json","path":"/m/t.json"}},
                "openai/gpt-4o":{"context_window":128000,"tokenizer":{"kind":"tiktoken","encoding":"o200k_base"}},
                "other/model":{"context_window":32000}
            }}"#,
        )
        .unwrap();
        assert_eq!(options.validate(), []);
        assert_eq!(options.max_text_bytes, DEFAULT_MAX_TEXT_BYTES);
    }

    #[test]
    fn every_problem_is_reported_at_once_by_its_path() {
        let options = read(
            r#"{"max_text_bytes":0,"models":{
                "a/b":{"context_window":63,"tokenizer":{"kind":"gguf","path":"m.gguf"}},
                "a/c":{"context_window":64,"tokenizer":{"kind":"tiktoken","encoding":"none"}},
                "plain":{"context_window":64}
            }}"#,
        )
        .unwrap();
        let paths: Vec<_> = options
            .validate()
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(
            paths,
            [
                "models.a/b.context_window",
                "models.a/b.tokenizer.path",
                "models.a/c.tokenizer.encoding",
                "models.plain",
                "max_text_bytes"
            ]
        );
    }

    #[test]
    fn unknown_and_missing_keys_are_refused() {
        for (json, words) in [
            (r#"{"model":{}}"#, "unknown field `model`"),
            (r#"{"models":{"a/b":{}}}"#, "missing field `context_window`"),
            (
                r#"{"models":{"a/b":{"context_window":64,"window":1}}}"#,
                "unknown field `window`",
            ),
        ] {
            assert!(read(json).unwrap_err().to_string().contains(words), "{json}");
        }
    }
}
