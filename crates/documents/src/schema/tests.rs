//! Schemas that work, schemas that are refused, and messages that keep the document to themselves.

use std::fmt::Write as _;

use serde_json::json;

use super::*;

fn compile(schema: &Value) -> Schema {
    Schema::compile(schema).unwrap()
}

fn refused(schema: &Value) -> Error {
    Schema::compile(schema).unwrap_err()
}

#[test]
fn a_valid_value_has_no_problems_and_an_invalid_one_all_of_them_with_their_places() {
    let schema = compile(&json!({
        "type": "object",
        "required": ["title", "tags"],
        "properties": {"title": {"type": "string", "maxLength": 5}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}}
    }));
    assert_eq!(schema.check(&json!({"title": "short", "tags": ["a"]})), []);
    assert!(schema.accepts(&json!({"title": "short", "tags": []})));
    let mut problems = schema.check(&json!({"title": "too long", "tags": ["a", "c"]}));
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["/tags/1", "/title"]);
    assert!(
        problems[1].to_string().contains("longer than 5 characters"),
        "{}",
        problems[1]
    );
}

#[test]
fn messages_never_carry_the_document() {
    const SECRET: &str = "hunter2";
    let schema = compile(&json!({
        "type": ["object", "string"],
        "properties": {
            "a": {"type": "integer"}, "b": {"enum": [1]}, "c": {"const": 1}, "d": {"pattern": "^x"},
            "e": {"format": "date"}, "f": {"maxLength": 1}, "g": {"not": {"type": "string"}}, "h": {"anyOf": [{"type": "null"}]},
            "i": {"oneOf": [{"type": "string"}, {"minLength": 1}]}, "j": {"uniqueItems": true}, "k": {"contains": {"type": "null"}},
            "l": false, "m": {"propertyNames": {"maxLength": 2}}, "n": {"additionalProperties": false},
            "o": {"unevaluatedProperties": false}, "p": {"items": false}, "q": {"minProperties": 3}, "r": {"dependentRequired": {SECRET: ["z"]}}
        }
    }));
    let mut fields = serde_json::Map::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "l"] {
        fields.insert(name.to_owned(), json!(SECRET));
    }
    for name in ["j", "k", "p"] {
        fields.insert(name.to_owned(), json!([SECRET, SECRET]));
    }
    for name in ["m", "n", "o", "q", "r"] {
        fields.insert(name.to_owned(), json!({SECRET: SECRET}));
    }
    let problems = schema.check(&Value::Object(fields));
    assert!(problems.len() >= 16, "{problems:?}");
    for problem in &problems {
        assert!(!problem.message.contains(SECRET), "{problem}");
    }
}

#[test]
fn problems_are_bounded_in_number_and_length() {
    let many = compile(&json!({"items": {"type": "null"}}));
    assert_eq!(many.check(&json!(vec![1; 1000])).len(), MAX_PROBLEMS);
    let long = compile(&json!({"const": "x".repeat(10_000)}));
    assert_eq!(
        long.check(&json!(1))[0].message.chars().count(),
        MAX_MESSAGE_CHARS + 1
    );
}

#[test]
fn an_invalid_schema_is_refused_with_the_place_in_it() {
    let error = refused(&json!({"properties": {"a": {"type": "strin"}}}));
    assert!(
        matches!(&error, Error::Invalid { path, .. } if path.starts_with("/properties/a/type")),
        "{error}"
    );
    let error = refused(&json!({"pattern": "("}));
    assert!(
        matches!(&error, Error::Invalid { path, .. } if path == "/pattern"),
        "{error}"
    );
    assert!(matches!(
        refused(&json!({"$ref": "#/$defs/nowhere"})),
        Error::Invalid { .. }
    ));
    assert!(matches!(refused(&json!(7)), Error::Invalid { .. }));
}

#[test]
fn references_out_of_the_schema_are_refused() {
    for target in [
        "https://example.com/schema.json",
        "file:///etc/passwd",
        "other.json#/a",
        "#name",
    ] {
        let error = refused(&json!({"items": {"$ref": target}}));
        assert_eq!(
            error,
            Error::Remote {
                path: "/items/$ref".to_owned()
            },
            "{target}"
        );
    }
    let error = refused(&json!({"$defs": {"a": {"$id": "urn:a"}}}));
    assert_eq!(
        error,
        Error::Remote {
            path: "/$defs/a/$id".to_owned()
        }
    );
    assert!(matches!(
        refused(&json!({"$schema": "https://example.com/own"})),
        Error::Invalid { .. }
    ));
}

#[test]
fn references_within_the_schema_work_also_recursive_ones() {
    let tree = compile(&json!({
        "$id": "https://example.com/tree",
        "type": "object",
        "properties": {"value": {"$ref": "#/$defs/number"}, "children": {"items": {"$ref": "#"}}, "$ref": {"type": "string"}},
        "$defs": {"number": {"type": "number"}}
    }));
    assert!(tree.accepts(&json!({"value": 1, "children": [{"value": 2, "children": []}]})));
    assert_eq!(
        tree.check(&json!({"children": [{"value": "x"}]}))[0].path,
        "/children/0/value"
    );
}

#[test]
fn a_schema_that_could_never_end_is_refused() {
    let error = refused(&json!({"$ref": "#"}));
    assert_eq!(
        error,
        Error::Circular {
            path: "/$ref".to_owned()
        }
    );
    let two = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}});
    assert!(matches!(refused(&two), Error::Circular { .. }));
}

#[test]
fn a_schema_that_multiplies_is_refused() {
    let mut defs = serde_json::Map::new();
    for n in 0..30 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        defs.insert(format!("d{n}"), json!({"allOf": [next, next]}));
    }
    defs.insert("d30".to_owned(), json!({"type": "string"}));
    assert_eq!(
        refused(&json!({"$ref": "#/$defs/d0", "$defs": defs})),
        Error::TooHeavy
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let large = json!({"description": "x".repeat(MAX_SCHEMA_BYTES)});
    assert!(matches!(refused(&large), Error::TooLarge { bytes } if bytes > MAX_SCHEMA_BYTES));
    let deep = (0..200).fold(json!({}), |inner, _| json!({"not": inner}));
    assert_eq!(refused(&deep), Error::TooDeep);
    let mut chain = String::from("{\"$defs\": {");
    for n in 0..1000 {
        write!(chain, "\"{n}\": {{\"$ref\": \"#/$defs/{}\"}},", n + 1).unwrap();
    }
    chain.push_str("\"1000\": {}}}");
    assert_eq!(refused(&serde_json::from_str(&chain).unwrap()), Error::TooDeep);
}

#[test]
fn a_pattern_that_backtracks_without_end_is_a_problem_and_not_a_hang() {
    let schema = compile(&json!({"pattern": "^(a+)+(?!b)$\\1"}));
    assert_eq!(schema.check(&json!("a".repeat(5000))).len(), 1);
}
