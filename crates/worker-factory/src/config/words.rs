//! A schema in words: what is expected of a value, with an example.

use super::schema::{self, Schema, choices, example, forms, key, kind, required, tag};

/// Says what is expected, for example `whole number, 20 to 3600`, without an article and as Markdown.
pub fn expected(schema: &Schema) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        return alternatives(choices.iter().map(|word| format!("`\"{word}\"`")));
    }
    let forms = forms(schema);
    if tag(schema).is_some() {
        return alternatives(forms.iter().map(|form| format!("`{}`", shape(form))));
    }
    alternatives(forms.into_iter().map(one_form))
}

/// Says what is expected, and gives an example under the key's name.
pub(super) fn expected_at(schema: &Schema, name: &str) -> String {
    let words = expected(schema);
    // A choice shows all there is.
    if !choices(schema).is_empty() || tag(schema).is_some() {
        return format!("expected: {words}");
    }
    let names = schema::keys(schema);
    if !names.is_empty() {
        return format!("expected: table with keys among {}", names.join(", "));
    }
    match example(schema) {
        Some(example) => format!("expected: {words}; for example `{name} = {example}`"),
        None => format!("expected: {words}"),
    }
}

/// Writes the least that a form of a table needs, in the order of its type.
pub fn shape(form: &Schema) -> String {
    let names = required(form).into_iter();
    let entries: Vec<String> = names
        .map(|name| {
            let value = key(form, name).and_then(example);
            value.map_or_else(|| format!("{name} = …"), |value| format!("{name} = {value}"))
        })
        .collect();
    format!("{{ {} }}", entries.join(", "))
}

fn one_form(schema: &Schema) -> String {
    let format = schema.get("format").and_then(|format| format.as_str());
    match (kind(schema), format) {
        (Some("string"), Some("path")) => "path".to_owned(),
        (Some("string"), Some("socket-address")) => "IP address and port".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some("boolean"), _) => "`true` or `false`".to_owned(),
        (Some("integer"), _) => format!("whole number{}", whole(schema)),
        (Some("number"), _) => format!("number{}", fractional(schema)),
        (Some("array"), _) => "list".to_owned(),
        (Some("object"), _) => "table".to_owned(),
        (_, _) => "any value".to_owned(),
    }
}

fn whole(schema: &Schema) -> String {
    // A format's greatest number is nobody's intention, and would only hide the limits that are.
    match (schema::whole(schema, "minimum"), schema::whole(schema, "maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

fn fractional(schema: &Schema) -> String {
    [
        ("minimum", ", at least "),
        ("exclusiveMinimum", " above "),
        ("maximum", ", at most "),
    ]
    .into_iter()
    .filter_map(|(keyword, words)| {
        let limit = schema::fraction(schema, keyword)?;
        Some(format!("{words}{limit}"))
    })
    .collect()
}

fn alternatives(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match words.as_slice() {
        [first @ .., before, last] if !first.is_empty() => {
            format!("{}, {before} or {last}", first.join(", "))
        }
        _ => words.join(" or "),
    }
}

/// Gives the least that has this form: a word, a number, or a table with what is required in it.
pub(super) fn sample(schema: &Schema) -> Option<toml::Value> {
    if let Some(word) = choices(schema).first() {
        return Some(toml::Value::String((*word).to_owned()));
    }
    if kind(schema) == Some("object") {
        let names = required(schema);
        let entries = names.iter().map(|name| {
            let value = key(schema, name).and_then(example);
            Some(((*name).to_owned(), value?))
        });
        let table: toml::Table = entries.collect::<Option<_>>()?;
        return (!table.is_empty()).then_some(toml::Value::Table(table));
    }
    schema::whole(schema, "minimum").map(toml::Value::Integer)
}
