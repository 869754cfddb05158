//! The page of all configuration keys, made from the schemas that the workers print.
//!
//! A page that is written by hand is wrong after the first change of a default, and nobody notices. What the schema says
//! of a key is a row here; what is no key, such as how variables are named, stands in [`INTRODUCTION`].

use std::fmt::Write as _;

use worker_factory::config::{
    Schema,
    schema::{self, UNSET},
    words,
};

/// What the page says before the first table.
const INTRODUCTION: &str = include_str!("introduction.txt");

/// A worker and its schema.
pub(crate) struct Binary {
    pub(crate) name: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) schema: Schema,
}

/// Renders the page.
pub(crate) fn render(binaries: &[Binary]) -> String {
    let mut names: Vec<&str> = binaries
        .iter()
        .flat_map(|binary| schema::keys(&binary.schema))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut page = INTRODUCTION.to_owned();
    for name in names {
        let owners: Vec<_> = binaries
            .iter()
            .filter_map(|binary| Some((binary, schema::key(&binary.schema, name)?)))
            .collect();
        let [(owner, described), others @ ..] = owners.as_slice() else {
            continue;
        };
        for (other, same) in others {
            assert_eq!(
                described, same,
                "{} and {} differ in {name}",
                owner.name, other.name
            );
        }
        let (who, prefix) = if others.is_empty() {
            (format!("`{}`", owner.name), owner.prefix)
        } else {
            ("Both workers".to_owned(), "PREFIX")
        };
        let place = Place::top(prefix, name);
        section(&mut page, &place, described, 2, &format!("{who}. "));
    }
    page
}

/// Where a table stands.
struct Place {
    path: String,
    variable: String,
    maps: usize,
}

impl Place {
    fn top(prefix: &str, name: &str) -> Self {
        Self {
            path: name.to_owned(),
            variable: format!("{prefix}__{}", name.to_uppercase()),
            maps: 0,
        }
    }

    fn key(&self, name: &str) -> Self {
        Self {
            path: format!("{}.{name}", self.path),
            variable: format!("{}__{}", self.variable, name.to_uppercase()),
            maps: self.maps,
        }
    }

    /// Any entry of a map.
    fn entry(&self) -> Self {
        let name = if self.maps == 0 { "NAME" } else { "MODEL" };
        let maps = self.maps + 1;
        Self {
            maps,
            ..self.key(name)
        }
    }
}

/// Writes a heading, a table, and the sections of what is too large for a row.
fn section(page: &mut String, place: &Place, schema: &Schema, level: usize, lead: &str) {
    let heading = "#".repeat(level);
    let description = text(schema, "description");
    let described = description.split("\n\n").next().unwrap_or_default();
    write!(page, "\n{heading} `{}`\n\n{lead}{described}\n\n", place.path).unwrap();
    page.push_str("| key | variable | type | default | meaning |\n| --- | --- | --- | --- | --- |\n");
    let mut nested = Vec::new();
    rows(page, place, schema, "", &mut nested);
    for (place, schema) in nested {
        section(page, &place, schema, level + 1, "");
    }
}

fn rows<'a>(
    page: &mut String,
    place: &Place,
    schema: &'a Schema,
    before: &str,
    nested: &mut Vec<(Place, &'a Schema)>,
) {
    let names = schema::keys(schema);
    let keys: Vec<_> = names
        .iter()
        .filter_map(|name| Some((*name, schema::key(schema, name)?)))
        .collect();
    // A table among values is part of their table; tables alone are sections.
    let inline = keys.iter().any(|(_, key)| !schema::is_section(key));
    for (name, key) in keys {
        let at = place.key(name);
        let shown = format!("{before}{name}");
        let required = schema::required(schema).contains(&name);
        row(page, &shown, &at.variable, key, required);
        if !schema::is_section(key) {
            continue;
        }
        if schema::keys(key).is_empty() {
            let entry = schema::key(key, "NAME").filter(|entry| schema::is_section(entry));
            nested.extend(entry.map(|entry| (at.entry(), entry)));
        } else if inline {
            rows(page, &at, key, &format!("{shown}."), nested);
        } else {
            nested.push((at, key));
        }
    }
}

fn row(page: &mut String, name: &str, variable: &str, schema: &Schema, required: bool) {
    let cells = [
        format!("`{name}`"),
        format!("`{variable}`"),
        kind(schema),
        default(schema, required),
        meaning(schema),
    ];
    let cells = cells.map(|cell| cell.replace('\n', " ").replace('|', "\\|"));
    writeln!(page, "| {} |", cells.join(" | ")).unwrap();
}

fn kind(schema: &Schema) -> String {
    let secret = if schema::is_secret(schema) { ", secret" } else { "" };
    if schema::tag(schema).is_some() {
        return format!("table, of one of these forms{secret}");
    }
    format!("{}{secret}", words::expected(schema))
}

fn default(schema: &Schema, required: bool) -> String {
    if required {
        return "required".to_owned();
    }
    let unset = text(schema, UNSET);
    if !unset.is_empty() {
        return format!("not set: {unset}");
    }
    if !schema::keys(schema).is_empty() {
        return "each key's own".to_owned();
    }
    let default = schema.get("default");
    default
        .and_then(|default| toml::Value::try_from(default).ok())
        .map_or_else(String::new, |default| format!("`{default}`"))
}

fn meaning(schema: &Schema) -> String {
    let mut meaning = text(schema, "description").to_owned();
    let forms = schema::forms(schema);
    let is_choice = !schema::choices(schema).is_empty() || schema::tag(schema).is_some();
    for form in forms.iter().filter(|_| is_choice) {
        let shape = match schema::choices(form).first() {
            Some(word) => format!("\"{word}\""),
            None => words::shape(form),
        };
        write!(meaning, "<br>`{shape}`: {}", text(form, "description")).unwrap();
    }
    meaning
}

fn text<'a>(schema: &'a Schema, keyword: &str) -> &'a str {
    schema
        .get(keyword)
        .and_then(|text| text.as_str())
        .unwrap_or_default()
}
