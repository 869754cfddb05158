//! Fits what was configured to the schema, and reports everything that does not fit at once.
//!
//! The types themselves could say what is wrong, but one thing at a time, in the words of a parser ("expected struct
//! Options"), and inside of a table with several forms without the key. They are also too kind: the library that merges
//! the layers rounds 1.5 to 2 where a whole number is wanted. So the tree is held against the schema first: numbers and
//! switches that came as text, from a variable or a flag, become what they are meant to be, and what does not fit is
//! reported with its key and taken out, so that the rest is checked too.

use config::{Map, Value, ValueKind};

use super::{
    Problem, redact,
    schema::{self, Schema},
    suggest, words,
};

/// The longest value that a message shows, in characters.
const SHOWN_CHARS: usize = 60;

/// Converts and checks a tree, takes out what does not fit, and says what that was.
pub(super) fn fit(tree: &mut Map<String, Value>, schema: &Schema) -> Vec<Problem> {
    let mut fitting = Fitting {
        path: Vec::new(),
        secrets: 0,
        problems: Vec::new(),
    };
    fitting.table(tree, schema);
    fitting.problems
}

/// Says that a value does not fit, what is expected and an example; the value itself only if it is no secret.
pub(super) fn mismatch(value: Option<&Value>, schema: &Schema, name: &str, secret: bool) -> String {
    let shown = match value {
        Some(value) if !secret => shown(value),
        Some(_) | None => "the value".to_owned(),
    };
    format!("{shown} does not fit; {}", words::expected_at(schema, name))
}

struct Fitting {
    path: Vec<String>,
    /// How many of the tables around are secret as a whole.
    secrets: usize,
    problems: Vec<Problem>,
}

impl Fitting {
    fn table(&mut self, table: &mut Map<String, Value>, schema: &Schema) {
        let around = table.values().find_map(origin);
        let mut names: Vec<String> = table.keys().cloned().collect();
        names.sort_unstable();
        for name in &names {
            self.path.push(name.clone());
            let fits = match (schema::key(schema, name), table.get_mut(name)) {
                (Some(key), Some(value)) => self.value(value, key),
                (_, value) => {
                    let message = suggest::unknown_key(name, &schema::keys(schema));
                    self.report(message, value.as_deref().and_then(origin));
                    false
                }
            };
            self.path.pop();
            if !fits {
                table.remove(name);
            }
        }
        let missing = schema::required(schema)
            .into_iter()
            .filter(|name| !names.iter().any(|given| given == name));
        for name in missing {
            let expected = schema::key(schema, name).map(|key| words::expected_at(key, name));
            self.path.push(name.to_owned());
            let message = format!("must be set; {}", expected.unwrap_or_default());
            self.report(message, around.clone());
            self.path.pop();
        }
    }

    fn value(&mut self, value: &mut Value, schema: &Schema) -> bool {
        let secret = usize::from(schema::is_secret(schema));
        self.secrets += secret;
        let fits = self.form(value, schema);
        self.secrets -= secret;
        fits
    }

    fn form(&mut self, value: &mut Value, schema: &Schema) -> bool {
        let choices = schema::choices(schema);
        if !choices.is_empty() {
            let fits = matches!(&value.kind, ValueKind::String(word) if choices.contains(&word.as_str()));
            return fits || self.refuse(value, schema);
        }
        if let Some(tag) = schema::tag(schema) {
            return self.tagged(value, schema, tag);
        }
        let forms = schema::forms(schema);
        let [form] = forms.as_slice() else {
            // No option has several forms without a tag; its type decides.
            return true;
        };
        match (schema::kind(form), &mut value.kind) {
            (Some("object"), ValueKind::Table(table)) => {
                self.table(table, form);
                true
            }
            (Some("array"), ValueKind::Array(values)) => self.items(values, form),
            (Some(kind), found) => match converted(found, kind, form) {
                Some(converted) => {
                    *found = converted;
                    true
                }
                None => self.refuse(value, schema),
            },
            (None, _) => true,
        }
    }

    fn items(&mut self, values: &mut [Value], schema: &Schema) -> bool {
        let items = schema
            .get("items")
            .and_then(|items| <&Schema>::try_from(items).ok());
        match items {
            Some(items) => {
                // Every item is looked at, also after one that does not fit.
                let misfits = values
                    .iter_mut()
                    .filter_map(|value| (!self.value(value, items)).then_some(()));
                misfits.count() == 0
            }
            None => true,
        }
    }

    /// Fits a table to the one of its forms that its tag names.
    fn tagged(&mut self, value: &mut Value, schema: &Schema, tag: &str) -> bool {
        let ValueKind::Table(table) = &mut value.kind else {
            return self.refuse(value, schema);
        };
        let chosen = table.get(tag).and_then(|word| {
            let ValueKind::String(word) = &word.kind else {
                return None;
            };
            let forms = schema::forms(schema);
            forms.into_iter().find(|form| {
                schema::key(form, tag).is_some_and(|key| schema::choices(key).contains(&word.as_str()))
            })
        });
        if let Some(form) = chosen {
            let before = self.problems.len();
            self.table(table, form);
            return self.problems.len() == before;
        }
        let found = table.get(tag);
        let given = found.map_or("must be set".to_owned(), |found| {
            format!("{} does not fit", shown(found))
        });
        let origin = found.and_then(origin).or_else(|| table.values().find_map(origin));
        self.path.push(tag.to_owned());
        self.report(
            format!("{given}; expected one of the forms {}", words::expected(schema)),
            origin,
        );
        self.path.pop();
        false
    }

    fn refuse(&mut self, value: &Value, schema: &Schema) -> bool {
        let name = self.path.last().cloned().unwrap_or_default();
        let secret = self.secrets > 0 || redact::is_secret(&name);
        self.report(mismatch(Some(value), schema, &name, secret), origin(value));
        false
    }

    fn report(&mut self, message: String, origin: Option<String>) {
        self.problems.push(Problem {
            key: self.path.join("."),
            message,
            origin,
        });
    }
}

/// Where a value came from. A table has no origin of its own; its first entry's stands for it.
pub(super) fn origin(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(table) => table.values().find_map(origin),
        ValueKind::Array(values) if value.origin().is_none() => values.iter().find_map(origin),
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)
        | ValueKind::Array(_) => value.origin().map(str::to_owned),
    }
}

/// Gives the value as the type that is asked for, if it can be that.
fn converted(value: &ValueKind, kind: &str, schema: &Schema) -> Option<ValueKind> {
    let text = scalar(value)?;
    match kind {
        "string" => Some(ValueKind::String(text)),
        "boolean" if !matches!(value, ValueKind::Boolean(_) | ValueKind::String(_)) => None,
        "boolean" => match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Some(ValueKind::Boolean(true)),
            "false" | "off" | "no" | "0" => Some(ValueKind::Boolean(false)),
            _ => None,
        },
        "integer" => whole(&text, schema),
        "number" => {
            let number: f64 = text.trim().parse().ok()?;
            schema::keeps_limits(schema, number).then_some(ValueKind::Float(number))
        }
        _ => None,
    }
}

fn whole(text: &str, schema: &Schema) -> Option<ValueKind> {
    let number: i128 = text.trim().replace('_', "").parse().ok()?;
    let (least, most) = schema::whole_limits(schema);
    let fits = least.is_none_or(|least| number >= i128::from(least))
        && most.is_none_or(|most| number <= i128::from(most));
    let converted = i64::try_from(number)
        .map(ValueKind::I64)
        .or_else(|_| u64::try_from(number).map(ValueKind::U64));
    converted.ok().filter(|_| fits)
}

/// A value that is no table and no list, as text.
fn scalar(value: &ValueKind) -> Option<String> {
    match value {
        ValueKind::Boolean(flag) => Some(flag.to_string()),
        ValueKind::I64(number) => Some(number.to_string()),
        ValueKind::I128(number) => Some(number.to_string()),
        ValueKind::U64(number) => Some(number.to_string()),
        ValueKind::U128(number) => Some(number.to_string()),
        // With its fraction even where that is zero, so that it is no whole number.
        ValueKind::Float(number) => Some(format!("{number:?}")),
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
    }
}

/// A value for a message, on one line and cut.
fn shown(value: &Value) -> String {
    match (&value.kind, scalar(&value.kind)) {
        (_, Some(text)) => {
            let text = redact::without_userinfo(&text).unwrap_or(text);
            let line: String = text
                .chars()
                .map(|letter| if letter.is_control() { ' ' } else { letter })
                .take(SHOWN_CHARS)
                .collect();
            let rest = if text.chars().count() > SHOWN_CHARS {
                "…"
            } else {
                ""
            };
            format!("`{line}{rest}`")
        }
        (ValueKind::Array(_), None) => "a list".to_owned(),
        (_, None) => "a table".to_owned(),
    }
}
