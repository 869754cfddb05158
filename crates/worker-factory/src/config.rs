//! Layered configuration: defaults < TOML file < environment < flags, and every mistake at once.
//!
//! The `config` crate merges the layers and remembers where a value came from. What it does not do is go
//! on after the first mistake, and an operator who fixes a rollout one error at a time restarts it as
//! often. So each mistake is recorded with its path, its source, what was expected and an example, the
//! offending value is taken out, and the rest is read on; a rule over a value that was taken out has to wait for
//! the next try. Then what nobody set is filled in, and at the end
//! the options' own validation adds what is well-typed but wrong: it sees what will be used, and so does
//! whoever prints it.
//!
//! A key that no options struct knows is a mistake in every layer, environment included: a typo in
//! `AI_WORKER__WORKER__MAX_CONCURRENT_ACTIVITES` must not leave the default in force silently.
//!
//! Values in the environment and in `--set` are plain text and are read as the type the options ask for;
//! where that is a list or a table, as a TOML array or inline table.

mod decode;
pub mod files;
mod fit;
pub mod layers;
mod origins;
mod print;
pub mod redact;
pub mod schema;
mod suggest;
pub mod words;

use config::{Map, Value};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

pub use files::NamedFile;
pub use layers::LoadRequest;
pub use origins::Origins;
pub use print::print;
pub use schema::Schema;

use crate::Surroundings;

/// One mistake in a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The key's path, for example `worker.max_concurrent_activities`.
    pub key: String,
    /// What is wrong and what to do; no full stop, and no secret value.
    pub message: String,
    /// Where the value came from: a file, a variable, a flag. `None` for a rule over several keys.
    pub origin: Option<String>,
}

impl Problem {
    /// States a mistake at a key.
    #[must_use]
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            origin: None,
        }
    }

    /// Puts the key below a section, for options that are nested in larger ones.
    #[must_use]
    pub fn within(mut self, section: &str) -> Self {
        self.key = if self.key.is_empty() {
            section.to_owned()
        } else {
            format!("{section}.{}", self.key)
        };
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.key, self.message)?;
        self.origin
            .as_ref()
            .map_or(Ok(()), |origin| write!(formatter, " (from {origin})"))
    }
}

impl<K: Into<String>, M: Into<String>> From<(K, M)> for Problem {
    fn from((key, message): (K, M)) -> Self {
        Self::new(key, message)
    }
}

/// Options that can say what is wrong with their values.
pub trait Validate {
    /// Returns all problems, each with the key's path relative to these options; empty when all is well.
    fn validate(&self) -> Vec<Problem>;
}

/// The sections of a binary, beside those that every worker has.
pub trait Sections: DeserializeOwned + Serialize + JsonSchema + Default + Validate {
    /// Fills in what nobody set, from what the process finds around it; validation comes after.
    fn fill(&mut self, surroundings: &Surroundings);

    /// Names the files that have to be readable when the process starts.
    fn files(&self) -> Vec<NamedFile>;
}

/// All the mistakes of one configuration, one a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    /// Returns the mistakes in the order of their keys.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Vec<Problem>> for Errors {
    fn from(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|left, right| left.key.cmp(&right.key));
        Self(problems)
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.len();
        write!(
            formatter,
            "the configuration has {count} mistake{}",
            if count == 1 { "" } else { "s" }
        )?;
        self.0
            .iter()
            .try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl std::error::Error for Errors {}

/// What a load gave.
#[derive(Debug)]
pub struct Loaded<P, T> {
    /// The process's options and the binary's own, filled in; without the values that are wrong. `None` when
    /// nothing could be read.
    pub options: Option<(P, T)>,
    /// Every mistake; with any, the options are of use only to look for more.
    pub problems: Vec<Problem>,
    /// Where each value came from.
    pub origins: Origins,
}

/// Loads the process's sections and the binary's own from the same layers.
///
/// The process's sections are the keys of `P`; every other key belongs to `T`. Two structs rather than one with
/// `#[serde(flatten)]`, because flattening cannot refuse unknown keys. `schema` describes both, as
/// [`schema::of`] gives it.
pub fn load<P, T>(request: &LoadRequest, schema: &Schema, surroundings: &Surroundings) -> Loaded<P, T>
where
    P: DeserializeOwned + Serialize + Default + Validate,
    T: Sections,
{
    let (mut tree, mut problems) = layers::merge(request, schema);
    let origins = Origins::new(tree.clone());
    problems.extend(fit::fit(&mut tree, schema));
    let (process, own) = split::<P>(tree);
    let process = decode::decode::<P>(process, schema, &mut problems);
    let own = decode::decode::<T>(own, schema, &mut problems);
    let options = process.zip(own).map(|(process, mut own)| {
        own.fill(surroundings);
        let found = [process.validate(), own.validate()].concat();
        let broken = problems.clone();
        problems.extend(found.into_iter().filter(|found| !is_known(found, &broken)));
        (process, own)
    });
    for problem in &mut problems {
        origins.mark(problem);
    }
    Loaded {
        options,
        problems,
        origins,
    }
}

/// Tells whether a problem only follows from one that is known: what was wrong has been taken out.
fn is_known(found: &Problem, broken: &[Problem]) -> bool {
    broken.iter().any(|broken| {
        decode::is_within(&broken.key, &found.key) || decode::is_within(&found.key, &broken.key)
    })
}

/// Takes the keys of `P` out of the tree. They are read off its defaults, which list every section.
fn split<P: Serialize + Default>(mut tree: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let sections = toml::Table::try_from(P::default()).unwrap_or_default();
    let mut process = Map::new();
    for section in sections.keys() {
        if let Some(value) = tree.remove(section) {
            process.insert(section.clone(), value);
        }
    }
    (process, tree)
}

#[cfg(test)]
mod tests;
