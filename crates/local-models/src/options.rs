//! Which models run in this process, and how many answers at once.
//!
//! There is no number of threads here. The engine reads it from the environment of the process before the first
//! answer and offers no other way, so a key in a file would be a promise that cannot be kept; the crate's page says
//! which variables count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use documents::bundled;
use model_clients::settings::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::ChatTemplate;

/// The settings of all models in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The models by name: the part after `local/` of a model reference.
    #[schemars(extend(
        "x-unset" = "the model that set-up unpacked; none if its file is not there and another provider is set",
        "examples" = [{"small": {"path": "/var/lib/models/model.gguf"}}]
    ))]
    pub models: BTreeMap<String, ModelOptions>,
    /// Answers produced at the same time, over all models; further calls wait. At most the number of processors.
    #[schemars(range(min = 1))]
    pub max_concurrent: usize,
    /// Whether every model is loaded when the worker starts, so that a broken file stops the start and not the first
    /// call.
    pub load_at_start: bool,
}

/// The settings of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// The GGUF file; a relative path starts at the process's working directory.
    #[schemars(extend("format" = "path", "examples" = ["/var/lib/models/model.gguf"]))]
    pub path: PathBuf,
    /// Tokens of prompt and answer together; never more than the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), extend("x-unset" = "what the file says", "examples" = [2048]))]
    pub context_window: Option<u32>,
    /// The most tokens of one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), extend("x-unset" = "the context window alone is the limit", "examples" = [512]))]
    pub max_output_tokens: Option<u32>,
    /// The file's SHA-256 in 64 hexadecimal digits; loading refuses any other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"), extend("x-unset" = "any file is taken"))]
    pub sha256: Option<String>,
    /// How a conversation is written down for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-unset" = "recognised by the file's own template"))]
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

impl Options {
    /// Gives the models' files, each under its path within these options.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        let files = self.models.iter();
        files
            .map(|(name, model)| (format!("models.{name}.path"), model.path.clone()))
            .collect()
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

    /// Gives the model that set-up unpacked, with its name.
    pub fn bundled(cache: &Path) -> (String, Self) {
        (bundled::NAME.to_owned(), Self::new(bundled::file(cache)))
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
