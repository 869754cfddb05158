//! The tree becomes options.
//!
//! Decoding stops at the first mistake, and an operator who mends a rollout one mistake at a time restarts it as often.
//! So it runs in rounds: a mistake is recorded, the offending value is taken out, and the rest is decoded again. What the
//! schema knows was found before; left is what only a type knows, such as the form of an address.

use config::{ConfigError, Map, Value, ValueKind};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::{
    Problem, fit, redact,
    schema::{self, Schema},
};

/// The most mistakes that one load reports; a file of another program would otherwise fill the screen.
const MAX_ROUNDS: usize = 100;

/// Decodes in rounds until what is left decodes; `None` when no round succeeded.
pub(super) fn decode<T: DeserializeOwned>(
    mut tree: Map<String, Value>,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    for _ in 0..MAX_ROUNDS {
        let root = Value::new(None, ValueKind::Table(tree.clone()));
        let error = match serde_path_to_error::deserialize::<_, T>(root) {
            Ok(options) => return Some(options),
            Err(error) => error,
        };
        let keys = map_keys(error.path());
        let key = keys.join(".");
        // What is missing because it was wrong has been reported.
        if !problems.iter().any(|found| is_within(&found.key, &key)) {
            let value = find(&tree, &keys);
            problems.push(Problem {
                message: describe(error.inner(), &keys, value, schema),
                origin: value.and_then(fit::origin),
                key,
            });
        }
        if !remove(&mut tree, &keys) {
            return None;
        }
    }
    None
}

/// Tells whether a key is another one, or lies below it.
pub(super) fn is_within(key: &str, above: &str) -> bool {
    key.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || above.is_empty())
}

fn describe(error: &ConfigError, keys: &[String], value: Option<&Value>, schema: &Schema) -> String {
    if let ConfigError::At { error, .. } = error {
        return describe(error, keys, value, schema);
    }
    let mut found = Some(schema);
    let mut secret = keys.last().is_some_and(|name| redact::is_secret(name));
    for name in keys {
        found = found.and_then(|schema| schema::key(schema, name));
        secret |= found.is_some_and(schema::is_secret);
    }
    let name = keys.last().map_or("", String::as_str);
    match found {
        Some(schema) => fit::mismatch(value, schema, name, secret),
        None if secret => "the value cannot be read".to_owned(),
        None => error.to_string(),
    }
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

fn find<'a>(tree: &'a Map<String, Value>, keys: &[String]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let value = tree.get(first)?;
    if let ValueKind::Table(table) = &value.kind
        && !rest.is_empty()
    {
        return find(table, rest);
    }
    Some(value)
}

fn remove(tree: &mut Map<String, Value>, keys: &[String]) -> bool {
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
