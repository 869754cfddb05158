//! The layers above the defaults, merged into one tree in which every value knows where it came from.
//!
//! The environment is handed in as pairs: only a binary reads the real one, and a test needs no lock
//! around it. Variables are read by our own source rather than the `config` crate's, because each value
//! has to carry its variable's name, and because one underscore where two belong has to be an error. The file
//! is read here too: the library's messages quote the lines around a mistake, and a key may stand in them.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::{
    Problem,
    schema::{self, Schema},
    words,
};

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
pub(super) fn merge(request: &LoadRequest, schema: &Schema) -> (Map<String, Value>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut builder = Config::builder();
    let variables = variables(request, schema, &mut problems);
    let flag = request.file.clone().map(|path| (path, "--config".to_owned()));
    let variable = || Some((variables.file.clone()?, format!("{}_CONFIG_FILE", request.prefix)));
    if let Some((path, key)) = flag.or_else(variable) {
        match read(&path, &key) {
            Ok(layer) => builder = builder.add_source(layer),
            Err(message) => problems.push(Problem::new(key, message)),
        }
    }
    for layer in variables
        .layers
        .into_iter()
        .chain(overrides(request, schema, &mut problems))
    {
        builder = builder.add_source(layer);
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

/// One file, or one value of the environment or the command line.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Layer {
    fn of(path: &str, value: Value) -> Self {
        Self(Map::from_iter([(path.to_owned(), value)]))
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn read(path: &Path, key: &str) -> Result<Layer, String> {
    let file = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            format!("the configuration file {file} does not exist; create it or leave out {key}")
        } else {
            format!("the configuration file {file} cannot be read: {error}")
        }
    })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error
            .span()
            .map_or("", |span| text.get(..span.start).unwrap_or(""));
        format!(
            "the configuration file {file} is no TOML: line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        )
    })?;
    let origin = path.display().to_string();
    let values = table.into_iter();
    Ok(Layer(
        values
            .map(|(key, value)| (key, convert(value, &origin)))
            .collect(),
    ))
}

#[derive(Default)]
struct Variables {
    file: Option<PathBuf>,
    layers: Vec<Layer>,
}

fn variables(request: &LoadRequest, schema: &Schema, problems: &mut Vec<Problem>) -> Variables {
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
            let origin = format!("variable {name}");
            let read = match value.to_str() {
                Some(text) => parse(text, &path, &origin, schema),
                None => Err("the value is not UTF-8".to_owned()),
            };
            match read {
                Ok(value) => found.layers.push(Layer::of(&path, value)),
                Err(message) => problems.push(Problem {
                    key: path,
                    message,
                    origin: Some(origin),
                }),
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

fn overrides(request: &LoadRequest, schema: &Schema, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for text in &request.overrides {
        let Some((path, value)) = text.split_once('=').map(|(path, value)| (path.trim(), value)) else {
            problems.push(Problem::new(
                "--set",
                format!("`{text}` has no `=`; write --set section.key=value"),
            ));
            continue;
        };
        if path.is_empty() {
            let message = format!("`{text}` names no key; write --set section.key=value");
            problems.push(Problem::new("--set", message));
            continue;
        }
        let origin = format!("--set {path}");
        match parse(value, path, &origin, schema) {
            Ok(value) => layers.push(Layer::of(path, value)),
            Err(message) => problems.push(Problem {
                key: path.to_owned(),
                message,
                origin: Some(origin),
            }),
        }
    }
    layers
}

/// Reads a text as an array or a table where one belongs, and as text otherwise.
///
/// What a key takes decides, and not how the value begins, because an address in the sixth version and a filter of
/// logs may begin with a bracket too. Where no key is known, as for a mistyped one, the beginning has to do.
fn parse(text: &str, path: &str, origin: &str, schema: &Schema) -> Result<Value, String> {
    if path.split('.').any(str::is_empty) {
        return Err("a part of the key is empty; write section.key".to_owned());
    }
    let key = schema::at(schema, path);
    let structured = key.is_none_or(|key| {
        schema::tag(key).is_some() || matches!(schema::kind(key), Some("object" | "array"))
    });
    if !structured || !text.trim_start().starts_with(['[', '{']) {
        return Ok(Value::new(Some(&origin.to_owned()), text));
    }
    let table: toml::Table = format!("value = {text}")
        .parse()
        .map_err(|error: toml::de::Error| {
            let expected = key.map(|key| words::expected_at(key, path));
            let expected = expected.map_or_else(String::new, |expected| format!("; {expected}"));
            format!(
                "neither a TOML array nor an inline table ({}); quote each text in it{expected}",
                error.message()
            )
        })?;
    table
        .into_iter()
        .next()
        .map(|(_, value)| convert(value, &origin.to_owned()))
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
