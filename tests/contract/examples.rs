//! An example of every message, made from its descriptor.
//!
//! Written by hand, examples would cover what their author thought of; made from the descriptor, they cover every field on
//! the day it is added. No value is its type's zero, because proto3's JSON leaves zeros out and an example with a zero
//! would show nothing.

use protox::prost_reflect::{EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Number, Value, json};

/// How an example is written. All forms mean the same message.
#[derive(Clone, Copy, Default)]
pub(crate) struct Form {
    /// Fields by their names in `proto/` (`max_output_tokens`) instead of in JSON (`maxOutputTokens`).
    pub(crate) proto_names: bool,
    /// Enums and 64-bit integers as numbers instead of as text.
    pub(crate) numbers: bool,
    /// A field that no message has, in every message.
    pub(crate) stranger: bool,
}

/// The field that no message has.
pub(crate) const STRANGER: &str = "noSuchField";

/// Gives how many examples show every choice of every `oneof`.
fn choices(message: &MessageDescriptor) -> usize {
    message
        .oneofs()
        .map(|choice| choice.fields().len())
        .max()
        .unwrap_or(1)
        .max(1)
}

/// Gives examples of a message with everything filled in, one for each choice of a `oneof`.
pub(crate) fn filled(message: &MessageDescriptor, form: Form) -> Vec<Value> {
    (0..choices(message))
        .map(|choice| example(message, choice, form))
        .collect()
}

fn example(message: &MessageDescriptor, choice: usize, form: Form) -> Value {
    match message.full_name() {
        "google.protobuf.Struct" => return json!({"type": "object", "maxProperties": 2}),
        "google.protobuf.Value" => return json!({"list": [1.5, "text", true, null]}),
        _ => {}
    }
    let mut fields: Map<String, Value> = message
        .fields()
        .filter(|field| is_chosen(field, choice))
        .map(|field| {
            let name = if form.proto_names {
                field.name()
            } else {
                field.json_name()
            };
            (name.to_owned(), value(&field, form))
        })
        .collect();
    if form.stranger {
        fields.insert(STRANGER.to_owned(), json!({"a": [1]}));
    }
    Value::Object(fields)
}

fn is_chosen(field: &FieldDescriptor, choice: usize) -> bool {
    let Some(oneof) = field.containing_oneof() else {
        return true;
    };
    let chosen = choice.min(oneof.fields().len() - 1);
    oneof.fields().nth(chosen).is_some_and(|chosen| chosen == *field)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a kind that no field has yet ends the test"
)]
fn value(field: &FieldDescriptor, form: Form) -> Value {
    assert!(
        !field.is_map(),
        "{}: no message has a map yet; say how it looks here",
        field.full_name()
    );
    let one = match field.kind() {
        Kind::Message(message) => example(&message, 0, form),
        Kind::Enum(kind) => {
            let last = kind.values().max_by_key(EnumValueDescriptor::number).unwrap();
            if form.numbers {
                Value::Number(last.number().into())
            } else {
                Value::String(last.name().to_owned())
            }
        }
        Kind::String => Value::String(format!("its {}", field.name().replace('_', " "))),
        Kind::Bool => Value::Bool(true),
        Kind::Double => Value::Number(Number::from_f64(f64::from(field.number()) + 0.5).unwrap()),
        Kind::Int32 => Value::Number(field.number().into()),
        Kind::Int64 if form.numbers => Value::Number(field.number().into()),
        Kind::Int64 => Value::String(field.number().to_string()),
        other => panic!(
            "{}: no field is {other:?} yet; say how it looks here",
            field.full_name()
        ),
    };
    if field.is_list() {
        Value::Array(vec![one])
    } else {
        one
    }
}

/// Counts the objects in an example that are messages.
pub(crate) fn strangers(example: &Value) -> usize {
    match example {
        Value::Object(fields) => {
            let own = usize::from(fields.contains_key(STRANGER));
            own + fields.values().map(strangers).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(strangers).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
