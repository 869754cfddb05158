//! The configuration's JSON Schema, made from the options' own types.
//!
//! One description serves four readers: an editor or a chart that is handed the schema, the page of all keys, the messages
//! about a value that does not fit, and the printed configuration with what holds for keys that are not set. Written by
//! hand, the four would drift apart with the first change.
//!
//! Everything is inlined: a schema of references into definitions, most of them called `Options`, is one that nobody
//! reads. Two keywords say what JSON Schema has no word for: [`UNSET`], and the standard's `writeOnly`, which marks
//! secrets here.

use schemars::{
    JsonSchema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform as _},
};

pub use schemars::Schema;

/// The keyword that says what holds while a key is not set.
pub const UNSET: &str = "x-unset";

/// The largest value of the formats that have one.
const FORMATS: &[(&str, i64)] = &[("uint32", u32::MAX as i64), ("int32", i32::MAX as i64)];

/// Describes the configuration of a binary: the process's sections and its own.
pub fn of<P: JsonSchema, T: JsonSchema>(binary: &str) -> Schema {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let dialect = settings.meta_schema.clone();
    let mut generator = settings.into_generator();
    let mut schema = P::json_schema(&mut generator);
    let own = T::json_schema(&mut generator);
    if let Some(own) = own
        .get("properties")
        .and_then(|properties| properties.as_object())
        && let Some(all) = schema
            .get_mut("properties")
            .and_then(|properties| properties.as_object_mut())
    {
        all.extend(own.clone());
    }
    RecursiveTransform(tidied).transform(&mut schema);
    schema.insert("title".to_owned(), format!("Configuration of {binary}").into());
    schema.insert(
        "description".to_owned(),
        format!("The TOML file of {binary}, and what its variables and --set may set.").into(),
    );
    if let Some(dialect) = dialect {
        schema.insert("$schema".to_owned(), dialect.as_ref().into());
    }
    schema
}

/// Takes out defaults that say nothing, and joins the lines of descriptions.
///
/// A table's default is that of its keys, and said there. The empty text and `null` of a key that is not set stand for
/// what its [`UNSET`] says.
fn tidied(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.contains_key("properties") || object.contains_key(UNSET) {
        object.remove("default");
    }
    if let Some(description) = object.get_mut("description")
        && let Some(text) = description.as_str().filter(|text| !text.contains("```"))
    {
        let paragraphs: Vec<String> = text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect();
        *description = paragraphs.join("\n\n").into();
    }
}

/// Renders a schema as JSON, its keys sorted whatever the features of the JSON library are.
pub fn text(schema: &Schema) -> String {
    let mut value = schema.as_value().clone();
    value.sort_all_objects();
    format!("{value:#}\n")
}

/// Gives the names of the keys that a schema lists, sorted.
pub fn keys(schema: &Schema) -> Vec<&str> {
    let properties = schema
        .get("properties")
        .and_then(|properties| properties.as_object());
    let mut names: Vec<&str> = properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    names.sort_unstable();
    names
}

/// Gives the schema of a key: its own, or that of any key of a map.
pub fn key<'a>(schema: &'a Schema, name: &str) -> Option<&'a Schema> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| schema.get("additionalProperties"))
        .and_then(|found| <&Schema>::try_from(found).ok())
        .filter(|found| found.as_bool() != Some(false))
}

/// Gives the keys that have to be set.
pub fn required(schema: &Schema) -> Vec<&str> {
    let names = schema.get("required").and_then(|names| names.as_array());
    names
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect()
}

/// Gives the forms that a value may have, `null` left out; itself where it has one form.
pub fn forms(schema: &Schema) -> Vec<&Schema> {
    let several = ["oneOf", "anyOf"].iter().find_map(|keyword| schema.get(*keyword));
    let Some(several) = several.and_then(|forms| forms.as_array()) else {
        return vec![schema];
    };
    several
        .iter()
        .filter_map(|form| <&Schema>::try_from(form).ok())
        .filter(|form| kind(form) != Some("null"))
        .flat_map(forms)
        .collect()
}

/// Gives the type's name, `null` left out.
pub fn kind(schema: &Schema) -> Option<&str> {
    let kind = schema.get("type")?;
    let several = kind.as_array().and_then(|kinds| {
        kinds
            .iter()
            .filter_map(|kind| kind.as_str())
            .find(|kind| *kind != "null")
    });
    kind.as_str().or(several)
}

/// Gives the words of which a value has to be one; none where it is no choice among words.
pub fn choices(schema: &Schema) -> Vec<&str> {
    let mut all = Vec::new();
    for form in forms(schema) {
        let found = words(form);
        if found.is_empty() {
            return Vec::new();
        }
        all.extend(found);
    }
    all
}

fn words(form: &Schema) -> Vec<&str> {
    let constant = form.get("const").and_then(|word| word.as_str());
    let listed = form.get("enum").and_then(|words| words.as_array());
    let listed = listed.into_iter().flatten().filter_map(|word| word.as_str());
    constant.into_iter().chain(listed).collect()
}

/// Gives the key whose value tells the forms of a table apart, if it has several.
pub fn tag(schema: &Schema) -> Option<&str> {
    let forms = forms(schema);
    let (first, others) = forms.split_first()?;
    let tells = |form: &Schema, name: &str| key(form, name).is_some_and(|key| !choices(key).is_empty());
    keys(first)
        .into_iter()
        .find(|name| !others.is_empty() && forms.iter().all(|form| tells(form, name)))
}

/// Tells whether a value is written under a heading of its own, as tables and maps are.
pub fn is_section(schema: &Schema) -> bool {
    kind(schema) == Some("object") && forms(schema).len() == 1
}

/// Tells whether a value must not be shown.
pub fn is_secret(schema: &Schema) -> bool {
    schema.get("writeOnly").is_some_and(|secret| *secret == true)
}

/// Gives the least and the greatest whole number.
pub fn whole_limits(schema: &Schema) -> (Option<i64>, Option<i64>) {
    let format = schema.get("format").and_then(|format| format.as_str());
    let of_format = FORMATS
        .iter()
        .find_map(|(name, limit)| (Some(*name) == format).then_some(*limit));
    (whole(schema, "minimum"), whole(schema, "maximum").or(of_format))
}

pub(super) fn whole(schema: &Schema, keyword: &str) -> Option<i64> {
    let number = schema.get(keyword)?;
    number.as_i64()
}

pub(super) fn fraction(schema: &Schema, keyword: &str) -> Option<f64> {
    let number = schema.get(keyword)?;
    number.as_f64()
}

/// Tells whether a number keeps the limits.
pub fn keeps_limits(schema: &Schema, value: f64) -> bool {
    value.is_finite()
        && fraction(schema, "minimum").is_none_or(|least| value >= least)
        && fraction(schema, "maximum").is_none_or(|most| value <= most)
        && fraction(schema, "exclusiveMinimum").is_none_or(|below| value > below)
}

/// Follows dotted keys; `None` where the schema does not lead there in one way.
pub(super) fn at<'a>(schema: &'a Schema, path: &str) -> Option<&'a Schema> {
    path.split('.').try_fold(schema, key)
}

/// Gives a value that fits, as an example; the schema's own where it has one.
pub fn example(schema: &Schema) -> Option<toml::Value> {
    let given = schema
        .get("examples")
        .and_then(|examples| examples.get(0))
        .or_else(|| schema.get("default"))
        .and_then(|example| toml::Value::try_from(example).ok())
        .filter(|example| !is_empty(example));
    let forms = forms(schema);
    given.or_else(|| forms.first().copied().and_then(super::words::sample))
}

fn is_empty(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => text.is_empty(),
        toml::Value::Table(table) => table.is_empty(),
        toml::Value::Array(values) => values.is_empty(),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => false,
    }
}
