//! Which models run in this process, and how many answers at once.
//!
//! There is no number of threads here. The engine reads it from the environment of the process before the first
//! answer and offers no other way, so a key in a file would be a promise that cannot be kept; the crate's page says
//! which variables count.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;

use model_clients::settings::Problem;
use serde::{Deserialize, Serialize};

use crate::template::ChatTemplate;

/// The settings of all models in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The models by name: the part after `/` of a model reference.
    pub models: BTreeMap<String, ModelOptions>,
    /// Answers produced at the same time, over all models; further calls wait. At least 1, at most the number of
    /// processors.
    pub max_concurrent: usize,
    /// Whether [`LocalModels::prepare`](crate::LocalModels::prepare) loads every model, so that a broken file stops
    /// the start of the worker and not its first call.
    pub load_at_start: bool,
}

/// The settings of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// The GGUF file; a relative path starts at the process's working directory.
    pub path: PathBuf,
    /// Tokens of prompt and answer together; what the file says if absent, and never more than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u32>,
    /// The most tokens of one answer; limited by the context window alone if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// The file's SHA-256 in hexadecimal digits; loading refuses any other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How a conversation is written down for the model; recognised by the file's own template if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<ChatTemplate>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            models: BTreeMap::new(),
            max_concurrent: 1,
            load_at_start: false,
        }
    }
}

impl Options {
    /// Reports every wrong setting, each with the path of its key below `path`.
    ///
    /// Files are not touched: whether a model exists and fits its settings shows when it is loaded.
    pub fn validate(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let processors = processors();
        if !(1..=processors).contains(&self.max_concurrent) {
            problems.push(Problem::new(
                format!("{path}.max_concurrent"),
                format!(
                    "is {}; must be from 1 to {processors}, the processors of this machine",
                    self.max_concurrent
                ),
            ));
        }
        for (name, model) in &self.models {
            let path = format!("{path}.models.{name}");
            if name.is_empty() || name.contains('/') {
                problems.push(Problem::new(
                    path.clone(),
                    "a model's name must not be empty or contain a slash",
                ));
            }
            problems.extend(model.validate(&path));
        }
        problems
    }
}

impl ModelOptions {
    /// Makes the settings of a model whose file says everything else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            context_window: None,
            max_output_tokens: None,
            sha256: None,
            chat_template: None,
        }
    }

    fn validate(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.path.as_os_str().is_empty() {
            problems.push(Problem::new(
                format!("{path}.path"),
                "is empty; name the GGUF file",
            ));
        }
        for (key, value) in [
            ("context_window", self.context_window),
            ("max_output_tokens", self.max_output_tokens),
        ] {
            if value == Some(0) {
                problems.push(Problem::new(format!("{path}.{key}"), "is 0; must be at least 1"));
            }
        }
        let digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.sha256.as_ref().is_some_and(|text| !digest(text)) {
            problems.push(Problem::new(
                format!("{path}.sha256"),
                "must be 64 hexadecimal digits",
            ));
        }
        problems
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::{ModelOptions, Options};

    #[test]
    fn every_wrong_setting_is_reported_with_its_path() {
        let wrong = ModelOptions {
            context_window: Some(0),
            sha256: Some("b179".to_owned()),
            ..ModelOptions::new("")
        };
        let options = Options {
            models: [("a/b".to_owned(), wrong)].into(),
            max_concurrent: 0,
            load_at_start: false,
        };
        let paths: Vec<_> = options
            .validate("local")
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(
            paths,
            [
                "local.max_concurrent",
                "local.models.a/b",
                "local.models.a/b.path",
                "local.models.a/b.context_window",
                "local.models.a/b.sha256"
            ]
        );
    }

    #[test]
    fn a_path_alone_describes_a_model() {
        let options: Options =
            serde_json::from_str(r#"{"models":{"tiny":{"path":"tiny.gguf"}}}"#).expect("valid options");
        assert_eq!(options.models["tiny"], ModelOptions::new("tiny.gguf"));
        assert_eq!(options.validate("local"), []);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let parsed = serde_json::from_str::<Options>(r#"{"threads":4}"#);
        assert!(parsed.is_err(), "threads cannot be set here");
    }
}
