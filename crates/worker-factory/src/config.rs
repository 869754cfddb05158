//! Layered configuration: defaults < TOML file < environment < flags, and every mistake at once.
//!
//! The `config` crate merges the layers and remembers where a value came from. What it does not do is go
//! on after the first mistake, and an operator who fixes a rollout one error at a time restarts it as
//! often. So decoding runs in rounds: each mistake is recorded with its path, its source and what to do,
//! the offending value is taken out, and the rest is decoded again; at the end the options' own
//! validation adds what is well-typed but wrong.
//!
//! A key that no options struct knows is a mistake in every layer, environment included: a typo in
//! `AI_WORKER__WORKER__MAX_CONCURRENT_ACTIVITES` must not leave the default in force silently.
//!
//! Values in the environment and in `--set` are plain text and are read as the type the options ask for;
//! one that begins with `[` or `{` is read as a TOML array or inline table.

pub mod layers;
pub mod redact;
mod suggest;

use config::{ConfigError, Value, ValueKind};
use serde::{Serialize, de::DeserializeOwned};
use serde_path_to_error::Segment;

pub use layers::LoadRequest;

/// The most mistakes that one load reports; a file of another program would otherwise fill the screen.
const MAX_PROBLEMS: usize = 100;

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

/// Loads one options struct from all layers.
///
/// # Errors
///
/// Returns every mistake found: unreadable file, unknown key, wrong type, and what validation says.
pub fn load<T>(request: &LoadRequest) -> Result<T, Errors>
where
    T: DeserializeOwned + Default + Validate,
{
    let (tree, mut problems) = layers::merge(request);
    let options = decode::<T>(tree, &[], &mut problems);
    finish(options, problems)
}

/// Loads the process's own sections and the service's options from the same layers.
///
/// The process's sections are the top-level keys of `P`; every other key belongs to `T`. Two structs
/// rather than one with `#[serde(flatten)]`, because flattening cannot refuse unknown keys.
///
/// # Errors
///
/// Returns every mistake found in either.
pub fn load_split<P, T>(request: &LoadRequest, sections: &[&str]) -> Result<(P, T), Errors>
where
    P: DeserializeOwned + Default + Validate,
    T: DeserializeOwned + Default + Validate,
{
    let (mut tree, mut problems) = layers::merge(request);
    let mut own = config::Map::new();
    for section in sections {
        if let Some(value) = tree.remove(*section) {
            own.insert((*section).to_owned(), value);
        }
    }
    let process = decode::<P>(own, &[], &mut problems);
    let service = decode::<T>(tree, sections, &mut problems);
    finish(process.zip(service), problems)
}

/// Renders options as TOML with every secret replaced by `[redacted]`.
///
/// # Errors
///
/// Returns an error when a value cannot be written as TOML, such as an integer beyond 63 bits.
pub fn print<T: Serialize>(options: &T) -> Result<String, toml::ser::Error> {
    let mut tree = toml::Table::try_from(options)?;
    redact::table(&mut tree);
    toml::to_string(&tree)
}

fn finish<T>(options: Option<T>, problems: Vec<Problem>) -> Result<T, Errors> {
    match options {
        Some(options) if problems.is_empty() => Ok(options),
        Some(_) | None => Err(problems.into()),
    }
}

/// Decodes in rounds until what is left decodes, then validates; `None` when no round succeeded.
fn decode<T>(mut tree: config::Map<String, Value>, known: &[&str], problems: &mut Vec<Problem>) -> Option<T>
where
    T: DeserializeOwned + Default + Validate,
{
    for _ in 0..MAX_PROBLEMS {
        let root = Value::new(None, ValueKind::Table(tree.clone()));
        let error = match serde_path_to_error::deserialize::<_, T>(root) {
            Ok(options) => {
                let broken: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
                problems.extend(
                    options
                        .validate()
                        .into_iter()
                        .filter(|found| !broken.contains(&found.key)),
                );
                return Some(options);
            }
            Err(error) => error,
        };
        let keys = map_keys(error.path());
        let origin = origin_of(&tree, &keys);
        let message = describe(error.inner(), &keys, known);
        problems.push(Problem {
            key: error.path().to_string(),
            message,
            origin,
        });
        if !remove(&mut tree, &keys) {
            return None;
        }
    }
    None
}

/// The leading map keys of a path: an element of an array is taken out with its array.
fn map_keys(path: &serde_path_to_error::Path) -> Vec<String> {
    path.iter()
        .map_while(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn origin_of(tree: &config::Map<String, Value>, keys: &[String]) -> Option<String> {
    let (first, rest) = keys.split_first()?;
    let value = tree.get(first)?;
    if let ValueKind::Table(table) = &value.kind {
        // A table has no origin of its own; its first entry's stands for it.
        return if rest.is_empty() {
            table.values().next()?.origin().map(str::to_owned)
        } else {
            origin_of(table, rest)
        };
    }
    value.origin().map(str::to_owned)
}

fn remove(tree: &mut config::Map<String, Value>, keys: &[String]) -> bool {
    let Some((first, rest)) = keys.split_first() else {
        return false;
    };
    if rest.is_empty() {
        return tree.remove(first).is_some();
    }
    match tree.get_mut(first).map(|value| &mut value.kind) {
        Some(ValueKind::Table(table)) => remove(table, rest),
        Some(_) => tree.remove(first).is_some(),
        None => false,
    }
}

/// Says what is wrong in our words, without the value where the key is a secret's.
fn describe(error: &ConfigError, keys: &[String], known: &[&str]) -> String {
    if let ConfigError::At { error, .. } = error {
        return describe(error, keys, known);
    }
    let secret = keys.last().is_some_and(|key| redact::is_secret(key));
    if let ConfigError::Type {
        unexpected, expected, ..
    } = error
    {
        return if secret {
            format!("the value has the wrong type; give {expected}")
        } else {
            format!("{unexpected} does not fit; give {expected}")
        };
    }
    let text = error.to_string();
    if let Some(message) = suggest::unknown_key(&text, if keys.len() == 1 { known } else { &[] }) {
        return message;
    }
    if secret {
        "the value cannot be read".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
