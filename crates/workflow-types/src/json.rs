//! Protobuf's JSON values as ordinary ones.
//!
//! A schema travels as a `google.protobuf.Struct` so that a person can write it as an object. Struct knows only
//! doubles, and a schema engine that is handed `80.0` for `maxLength` may refuse it; whole numbers are therefore given
//! back as integers. Keys come out sorted, so that a request's digest is the same on every worker.

use std::collections::BTreeMap;

use pbjson_types::{ListValue, Struct, Value, value::Kind};
use serde_json::Number;

/// Doubles up to here hold every whole number exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Gives a protobuf struct as a JSON object.
pub fn from_struct(value: &Struct) -> serde_json::Value {
    // A struct keeps its fields in no order, and whether an object keeps the order it is given depends on a feature that
    // any crate of the build may switch on.
    let fields: BTreeMap<_, _> = value.fields.iter().collect();
    let fields = fields
        .into_iter()
        .map(|(name, field)| (name.clone(), from_value(field)));
    serde_json::Value::Object(fields.collect())
}

/// Gives a protobuf value as JSON; a number that JSON can't hold becomes null.
pub fn from_value(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(number)) => from_number(*number),
        Some(Kind::StringValue(text)) => serde_json::Value::String(text.clone()),
        Some(Kind::BoolValue(truth)) => serde_json::Value::Bool(*truth),
        Some(Kind::StructValue(fields)) => from_struct(fields),
        Some(Kind::ListValue(list)) => serde_json::Value::Array(list.values.iter().map(from_value).collect()),
    }
}

/// Gives JSON as a protobuf value; numbers become doubles.
pub fn to_value(value: &serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(truth) => Kind::BoolValue(*truth),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => Kind::ListValue(ListValue {
            values: items.iter().map(to_value).collect(),
        }),
        serde_json::Value::Object(fields) => Kind::StructValue(to_struct(fields)),
    };
    Value { kind: Some(kind) }
}

/// Gives a JSON object as a protobuf struct.
pub fn to_struct(fields: &serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct {
        fields: fields
            .iter()
            .map(|(name, field)| (name.clone(), to_value(field)))
            .collect(),
    }
}

/// Turns every whole number in a document back into an integer.
///
/// What went through a protobuf value or a double prints as `1.0`; a reader in another language would be given a float
/// where the model wrote an integer.
pub fn restore_integers(document: &mut serde_json::Value) {
    match document {
        serde_json::Value::Number(number) if number.is_f64() => {
            *document = from_number(number.as_f64().unwrap_or(f64::NAN));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(restore_integers),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(restore_integers),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "whole and within what a double holds exactly"
)]
fn from_number(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return serde_json::Value::Number(Number::from(number as i64));
    }
    Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_survives_the_way_there_and_back() {
        let document = json!({"b": [1, 2.5, -3], "a": {"x": null, "y": true, "z": "text"}});
        assert_eq!(from_value(&to_value(&document)), document);
    }

    #[test]
    fn keys_come_out_sorted_every_time() {
        let keys: serde_json::Map<_, _> = (0..20)
            .map(|n| (format!("k{:02}", (n * 7) % 20), json!(n)))
            .collect();
        let shown = from_struct(&to_struct(&keys)).to_string();
        for _ in 0..5 {
            assert_eq!(from_struct(&to_struct(&keys)).to_string(), shown);
        }
        let order: Vec<_> = shown
            .match_indices("\"k")
            .map(|(at, _)| &shown[at + 2..at + 4])
            .collect();
        assert!(order.is_sorted(), "{shown}");
    }

    #[test]
    fn integers_are_restored_wherever_they_are() {
        let mut document = json!({"a": [1.0, 2.5], "b": {"c": -3.0}, "d": 4, "e": 1e300});
        restore_integers(&mut document);
        assert_eq!(
            document.to_string(),
            r#"{"a":[1,2.5],"b":{"c":-3},"d":4,"e":1e+300}"#
        );
    }

    #[test]
    fn whole_numbers_come_back_as_integers() {
        assert_eq!(from_value(&to_value(&json!(80.0))).to_string(), "80");
        assert_eq!(from_value(&to_value(&json!(1e300))).to_string(), "1e+300");
    }
}
