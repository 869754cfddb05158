//! The layers above the defaults, merged into one tree in which every value knows where it came from.
//!
//! The environment is handed in as pairs: only a binary reads the real one, and a test needs no lock
//! around it. Variables are read by our own source rather than the `config` crate's, because each value
//! has to carry its variable's name, and because one underscore where two belong has to be an error.

use std::{ffi::OsString, path::PathBuf};

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::Problem;

/// Where to load a configuration from.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// The binary's prefix of variables without trailing underscores, for example `AI_WORKER`.
    pub prefix: String,
    /// The TOML file; none means the variable `PREFIX_CONFIG_FILE`, and none of both means no file.
    pub file: Option<PathBuf>,
    /// `key=value` pairs from the command line, strongest first to last.
    pub overrides: Vec<String>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
}

/// Merges file, environment and overrides; what cannot be read is reported and left out.
pub(super) fn merge(request: &LoadRequest) -> (Map<String, Value>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut builder = Config::builder();
    let variables = variables(request, &mut problems);
    if let Some(path) = request.file.clone().or_else(|| variables.file.clone()) {
        let source = File::from(path.clone()).format(FileFormat::Toml).required(true);
        match source.collect() {
            Ok(_) => builder = builder.add_source(source),
            Err(error) => problems.push(Problem::new(
                path.display().to_string(),
                unreadable(&path, &error),
            )),
        }
    }
    for entry in variables
        .entries
        .into_iter()
        .chain(overrides(request, &mut problems))
    {
        builder = builder.add_source(entry);
    }
    let tree = match builder.build().map(|config| config.cache.kind) {
        Ok(ValueKind::Table(tree)) => tree,
        Ok(_) => Map::new(),
        Err(error) => {
            problems.push(Problem::new("configuration", error.to_string()));
            Map::new()
        }
    };
    (tree, problems)
}

fn unreadable(path: &std::path::Path, error: &ConfigError) -> String {
    if path.exists() {
        format!("the configuration file cannot be read: {error}")
    } else {
        "the configuration file does not exist; create it or leave out --config".to_owned()
    }
}

/// One value from the environment or the command line.
#[derive(Clone, Debug)]
struct Entry {
    path: String,
    value: Value,
}

impl Source for Entry {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(Map::from_iter([(self.path.clone(), self.value.clone())]))
    }
}

#[derive(Default)]
struct Variables {
    file: Option<PathBuf>,
    entries: Vec<Entry>,
}

fn variables(request: &LoadRequest, problems: &mut Vec<Problem>) -> Variables {
    let mut found = Variables::default();
    let single = format!("{}_", request.prefix);
    let double = format!("{}__", request.prefix);
    let file = format!("{}_CONFIG_FILE", request.prefix);
    let mut pairs: Vec<_> = request
        .env
        .iter()
        .filter_map(|(name, value)| name.to_str().map(|name| (name, value)))
        .filter(|(name, _)| !request.prefix.is_empty() && name.starts_with(&single))
        .collect();
    pairs.sort();
    for (name, value) in pairs {
        if name == file {
            found.file = Some(PathBuf::from(value));
        } else if let Some(path) = name.strip_prefix(&double) {
            let path = path.to_ascii_lowercase().replace("__", ".");
            match value
                .to_str()
                .ok_or_else(|| "the value is not UTF-8".to_owned())
                .and_then(|text| parse(text, name))
            {
                Ok(value) => found.entries.push(Entry { path, value }),
                Err(message) => {
                    problems.push(Problem {
                        key: path,
                        message,
                        origin: Some(format!("variable {name}")),
                    });
                }
            }
        } else {
            problems.push(Problem::new(
                name,
                format!(
                    "unknown variable; after {} come two underscores, as between sections",
                    request.prefix
                ),
            ));
        }
    }
    found
}

fn overrides(request: &LoadRequest, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for text in &request.overrides {
        let Some((path, value)) = text.split_once('=') else {
            problems.push(Problem::new(
                "--set",
                format!("`{text}` has no `=`; write --set section.key=value"),
            ));
            continue;
        };
        match parse(value, &format!("--set {path}")) {
            Ok(value) => entries.push(Entry {
                path: path.trim().to_owned(),
                value,
            }),
            Err(message) => problems.push(Problem::new(path, message)),
        }
    }
    entries
}

/// Reads a text as an array or table where it begins like one, and as text otherwise.
fn parse(text: &str, origin: &str) -> Result<Value, String> {
    let origin = if origin.starts_with("--") {
        origin.to_owned()
    } else {
        format!("variable {origin}")
    };
    if !text.trim_start().starts_with(['[', '{']) {
        return Ok(Value::new(Some(&origin), text));
    }
    let table: toml::Table = format!("value = {text}")
        .parse()
        .map_err(|_| "neither a TOML array nor an inline table; quote each text in it".to_owned())?;
    table
        .into_iter()
        .next()
        .map(|(_, value)| convert(value, &origin))
        .ok_or_else(|| "the value is empty".to_owned())
}

fn convert(value: toml::Value, origin: &String) -> Value {
    let kind = match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(flag) => ValueKind::Boolean(flag),
        toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
        toml::Value::Array(values) => {
            ValueKind::Array(values.into_iter().map(|value| convert(value, origin)).collect())
        }
        toml::Value::Table(table) => ValueKind::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, convert(value, origin)))
                .collect(),
        ),
    };
    Value::new(Some(origin), kind)
}
