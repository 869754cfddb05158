//! The least JSON that satisfies a schema, so that a pipeline which asks for a form gets one without a script.
//!
//! It covers what such requests use: objects with required properties, arrays, basic types with their bounds, `enum`,
//! `const`, `$ref`, `anyOf`, `oneOf` and `allOf`. A `pattern` is not followed: whoever needs one scripts the text.

use serde_json::{Map, Value, json};

/// How deep a schema is followed; one that needs itself without end has no JSON.
const DEPTH: u32 = 32;

/// Makes the least JSON of a schema; free strings are the text, cut or filled to their length.
pub(crate) fn example(schema: &Value, text: &str) -> Value {
    Maker { root: schema, text }.make(schema, DEPTH)
}

struct Maker<'a> {
    root: &'a Value,
    text: &'a str,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, depth: u32) -> Value {
        let Some(depth) = depth.checked_sub(1) else {
            return Value::Null;
        };
        let field = |name: &str| schema.get(name);
        if let Some(value) = field("const").or_else(|| field("enum")?.get(0)) {
            return value.clone();
        }
        if let Some(target) = field("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return target.map_or(Value::Null, |target| self.make(target, depth));
        }
        if let Some(ways) = field("anyOf")
            .or_else(|| field("oneOf"))
            .and_then(Value::as_array)
        {
            // Null is the least, and what ends a schema that holds itself.
            let null = ways.iter().find(|way| way["type"] == "null");
            return null
                .or(ways.first())
                .map_or(Value::Null, |way| self.make(way, depth));
        }
        if let Some(parts) = field("allOf").and_then(Value::as_array) {
            return self.all_of(schema, parts, depth);
        }
        match type_of(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => number(schema, true),
            "number" => number(schema, false),
            "boolean" => Value::Bool(false),
            "null" => Value::Null,
            _ => Value::String(self.string(schema)),
        }
    }

    fn all_of(&self, schema: &Value, parts: &[Value], depth: u32) -> Value {
        let mut rest = schema.clone();
        if let Some(rest) = rest.as_object_mut() {
            rest.remove("allOf");
        }
        let mut made = Map::new();
        for part in parts.iter().chain([&rest]) {
            let value = self.make(part, depth);
            if let Value::Object(fields) = value {
                made.extend(fields);
            } else if part.get("type").is_some() {
                // Parts of another type say no more together than the first of them.
                return value;
            }
        }
        Value::Object(made)
    }

    fn object(&self, schema: &Value, depth: u32) -> Value {
        let required = schema["required"].as_array().into_iter().flatten();
        let fields = required.filter_map(Value::as_str).map(|name| {
            let property = schema["properties"].get(name).unwrap_or(&Value::Null);
            (name.to_owned(), self.make(property, depth))
        });
        Value::Object(fields.collect())
    }

    fn array(&self, schema: &Value, depth: u32) -> Value {
        let first = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
        let least = schema["minItems"]
            .as_u64()
            .and_then(|least| usize::try_from(least).ok());
        let rest = least.unwrap_or_default().saturating_sub(first.len());
        let items = first.iter().chain(std::iter::repeat_n(&schema["items"], rest));
        items.map(|item| self.make(item, depth)).collect()
    }

    fn string(&self, schema: &Value) -> String {
        let formatted = match schema["format"].as_str() {
            Some("date") => Some("2000-01-01"),
            Some("time") => Some("00:00:00Z"),
            Some("date-time") => Some("2000-01-01T00:00:00Z"),
            Some("duration") => Some("P1D"),
            Some("email") => Some("name@example.com"),
            Some("hostname") => Some("example.com"),
            Some("ipv4") => Some("127.0.0.1"),
            Some("ipv6") => Some("::1"),
            Some("uri") => Some("https://example.com/"),
            Some("uuid") => Some("00000000-0000-4000-8000-000000000000"),
            Some(_) | None => None,
        };
        if let Some(formatted) = formatted {
            return formatted.to_owned();
        }
        let bound = |name: &str| {
            schema[name]
                .as_u64()
                .and_then(|bound| usize::try_from(bound).ok())
        };
        let least = bound("minLength").unwrap_or_default();
        let most = bound("maxLength").unwrap_or(usize::MAX);
        let filling = std::iter::repeat_n('x', least.saturating_sub(self.text.chars().count()));
        self.text.chars().chain(filling).take(most).collect()
    }
}

/// The type of a schema; of several the first that is not null, and what its fields imply when it has none.
fn type_of(schema: &Value) -> &str {
    let one = schema["type"].as_str();
    let several = schema["type"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let implied = ["properties", "required"]
        .iter()
        .any(|field| schema.get(field).is_some());
    one.or_else(|| several.clone().find(|name| *name != "null"))
        .unwrap_or(if implied { "object" } else { "string" })
}

fn number(schema: &Value, is_integer: bool) -> Value {
    let field = |name: &str| schema[name].as_f64();
    let above = field("exclusiveMinimum");
    let below = field("exclusiveMaximum");
    let least = field("minimum").or(above.map(|above| above + 1.0));
    let most = field("maximum").or(below.map(|below| below - 1.0));
    let mut found = match (least, most) {
        (Some(least), _) if least > 0.0 => least,
        (_, Some(most)) if most < 0.0 => most,
        _ => 0.0,
    };
    if is_integer {
        found = if found < 0.0 { found.floor() } else { found.ceil() };
    } else if let (Some(above), Some(below)) = (above, below)
        && !(above < found && found < below)
    {
        found = f64::midpoint(above, below);
    }
    if let Some(step) = field("multipleOf").filter(|step| *step > 0.0) {
        found = (found / step).ceil() * step;
    }
    // A whole number is written without a point, which every type that it may be read into takes.
    let text = format!("{found}");
    text.parse::<i64>().map_or_else(|_| json!(found), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_required_properties_and_no_more() {
        let schema = json!({"type": "object", "required": ["name", "age", "tags", "kind", "ok", "inner"],
        "properties": {
            "name": {"type": "string"}, "age": {"type": "integer"}, "other": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "kind": {"enum": ["first", "second"]}, "ok": {"type": "boolean"},
            "inner": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}}});
        let expected =
            json!({"name": "t", "age": 0, "tags": [], "kind": "first", "ok": false, "inner": {"x": 0}});
        assert_eq!(example(&schema, "t"), expected);
    }

    #[test]
    fn bounds_are_kept() {
        for (schema, expected) in [
            (json!({"type": "integer", "minimum": 3}), json!(3)),
            (json!({"type": "integer", "exclusiveMinimum": 3}), json!(4)),
            (json!({"type": "integer", "maximum": -2}), json!(-2)),
            (
                json!({"type": "integer", "minimum": 3, "multipleOf": 5}),
                json!(5),
            ),
            (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
            (
                json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
                json!(0.5),
            ),
            (json!({"type": "string", "minLength": 6}), json!("textxx")),
            (json!({"type": "string", "maxLength": 2}), json!("te")),
            (json!({"type": "string", "format": "date"}), json!("2000-01-01")),
            (
                json!({"type": "array", "minItems": 2, "items": {"type": "null"}}),
                json!([null, null]),
            ),
            (json!({"const": 7}), json!(7)),
        ] {
            assert_eq!(example(&schema, "text"), expected, "{schema}");
        }
    }

    #[test]
    fn choices_references_and_parts_are_followed() {
        for (schema, expected) in [
            (json!({"type": ["null", "integer"]}), json!(0)),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
                json!(null),
            ),
            (
                json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}),
                json!(0),
            ),
            (
                json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}}),
                json!(false),
            ),
            (
                json!({"required": ["c"], "properties": {"c": {"const": 3}},
                    "allOf": [{"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}}]}),
                json!({"a": 1, "c": 3}),
            ),
            (json!({}), json!("text")),
        ] {
            assert_eq!(example(&schema, "text"), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_needs_itself_without_end_ends() {
        let endless = json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
        assert!(example(&endless, "text").is_object());
        let list = json!({"type": "object", "required": ["next"],
            "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}});
        assert_eq!(example(&list, "text"), json!({"next": null}));
    }
}
