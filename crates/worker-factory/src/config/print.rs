//! The configuration as it will be used, as TOML that can be loaded again.
//!
//! A serializer leaves out what has no value, which is what a reader most needs to be told: that there is such a key, and
//! what holds while it is not set. So the schema leads the way here and the values fill it in. Secrets are redacted by
//! their types, and once more by their names.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    redact,
    schema::{self, Schema},
};

/// Renders the process's options and a binary's own as one document.
///
/// # Errors
///
/// Returns an error when a value cannot be written as TOML, such as an integer beyond 63 bits.
pub fn print<P: Serialize, T: Serialize>(
    process: &P,
    own: &T,
    schema: &Schema,
) -> Result<String, toml::ser::Error> {
    let mut values = toml::Table::try_from(process)?;
    values.extend(toml::Table::try_from(own)?);
    redact::table(&mut values);
    let mut text = String::new();
    section(&mut text, "", &values, Some(schema));
    Ok(text)
}

/// Writes a table: its own keys first, because in TOML they would belong to whatever heading stands above them.
fn section(text: &mut String, path: &str, values: &toml::Table, schema: Option<&Schema>) {
    let mut names = schema.map(schema::keys).unwrap_or_default();
    names.extend(values.keys().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let mut lines = Vec::new();
    let mut nested = Vec::new();
    for name in names {
        let key = schema.and_then(|schema| schema::key(schema, name));
        match values.get(name) {
            Some(toml::Value::Table(table)) if key.is_none_or(schema::is_section) => {
                nested.push((joined(path, name), table, key));
            }
            Some(value) => lines.push(format!("{} = {value}", quoted(name))),
            None => lines.push(format!("# {} is not set{}", quoted(name), meaning(key))),
        }
    }
    if lines.is_empty() && nested.is_empty() {
        lines.push(format!("# nothing is set{}", meaning(schema)));
    }
    if !lines.is_empty() {
        if !path.is_empty() {
            heading(text, path);
        }
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
    }
    for (path, table, schema) in nested {
        section(text, &path, table, schema);
    }
}

fn heading(text: &mut String, path: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    // Writing to a String can't fail.
    let _written = writeln!(text, "[{path}]");
}

fn meaning(schema: Option<&Schema>) -> String {
    schema
        .and_then(|schema| schema.get(schema::UNSET))
        .and_then(|meaning| meaning.as_str())
        .map_or_else(String::new, |meaning| format!(": {meaning}"))
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        quoted(name)
    } else {
        format!("{path}.{}", quoted(name))
    }
}

fn quoted(name: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        toml::Value::String(name.to_owned()).to_string()
    }
}
