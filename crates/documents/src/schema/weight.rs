//! How much work a schema can be, found before it is compiled.
//!
//! Ten definitions that each refer twice to the next are a thousand checks and thirty are a billion, in a schema of
//! a kilobyte; a definition that refers to itself without a step into the value is checked for ever. The walk here
//! writes references out in thought, weighs each target once, and knows only pointers into the same document:
//! anchors and identifiers of subschemas would let a reference lead where the walk does not look.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Error, MAX_SCHEMA_DEPTH, MAX_SCHEMA_WEIGHT};

/// The keywords whose subschemas look at the same value again; all others step into it, or are not followed.
const IN_PLACE: &[&str] = &[
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
];

/// The keywords that hold schemas by name.
const NAMED: &[&str] = &[
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
];

/// The keywords that hold values and no schemas; a `$ref` in them is data.
const DATA: &[&str] = &["enum", "const", "default", "examples"];

/// Tells whether a value is nested deeper than so many levels, without recursion.
pub(super) fn deeper_than(value: &Value, levels: usize) -> bool {
    let mut open = vec![(value, 0)];
    while let Some((value, depth)) = open.pop() {
        if depth > levels {
            return true;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|field| (field, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

/// Refuses a schema with references that leave it, never end, or multiply into too much.
pub(super) fn check(schema: &Value) -> Result<(), Error> {
    let root = Reference {
        target: "#",
        steps: 0,
    };
    let mut walk = Walk {
        root: schema,
        open: vec![root],
        known: BTreeMap::new(),
    };
    if walk.schema(schema, "", 0)? > MAX_SCHEMA_WEIGHT {
        Err(Error::TooHeavy)
    } else {
        Ok(())
    }
}

/// A reference that is being followed.
struct Reference<'a> {
    target: &'a str,
    /// The steps into the value that had been made when it was met.
    steps: usize,
}

struct Walk<'a> {
    root: &'a Value,
    open: Vec<Reference<'a>>,
    known: BTreeMap<&'a str, usize>,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Value, path: &str, steps: usize) -> Result<usize, Error> {
        let Value::Object(fields) = schema else {
            return Ok(1);
        };
        let mut weight = 1_usize;
        for (keyword, field) in fields {
            let path = format!("{path}/{keyword}");
            let steps = steps + usize::from(!IN_PLACE.contains(&keyword.as_str()));
            weight = weight.saturating_add(self.keyword(keyword, field, &path, steps)?);
        }
        Ok(weight)
    }

    fn keyword(&mut self, keyword: &str, field: &'a Value, path: &str, steps: usize) -> Result<usize, Error> {
        match (keyword, field) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => {
                // Not a step: what it leads to looks at the same value.
                self.reference(target, path, steps - 1)
            }
            ("$id" | "id", Value::String(_)) if path.matches('/').count() > 1 => Err(Error::Remote {
                path: path.to_owned(),
            }),
            (name, Value::Object(schemas)) if NAMED.contains(&name) => {
                schemas.iter().try_fold(1_usize, |weight, (name, schema)| {
                    Ok(weight.saturating_add(self.schema(schema, &format!("{path}/{name}"), steps)?))
                })
            }
            (name, Value::Object(_)) if !DATA.contains(&name) => self.schema(field, path, steps),
            (name, Value::Array(schemas)) if !DATA.contains(&name) => {
                schemas
                    .iter()
                    .enumerate()
                    .try_fold(1_usize, |weight, (at, schema)| {
                        Ok(weight.saturating_add(self.schema(schema, &format!("{path}/{at}"), steps)?))
                    })
            }
            _ => Ok(1),
        }
    }

    fn reference(&mut self, target: &'a str, path: &str, steps: usize) -> Result<usize, Error> {
        if !(target == "#" || target.starts_with("#/")) {
            return Err(Error::Remote {
                path: path.to_owned(),
            });
        }
        if let Some(open) = self.open.iter().find(|open| open.target == target) {
            if open.steps == steps {
                return Err(Error::Circular {
                    path: path.to_owned(),
                });
            }
            return Ok(1);
        }
        if let Some(weight) = self.known.get(target) {
            return Ok(*weight);
        }
        // The compiler follows references with its stack.
        if self.open.len() > MAX_SCHEMA_DEPTH {
            return Err(Error::TooDeep);
        }
        let Some(schema) = self.root.pointer(target.trim_start_matches('#')) else {
            // Percent-encoded, or nowhere; the second is for the compiler to report.
            return if target.contains('%') {
                Err(Error::Remote {
                    path: path.to_owned(),
                })
            } else {
                Ok(1)
            };
        };
        self.open.push(Reference { target, steps });
        let weight = self.schema(schema, target.trim_start_matches('#'), steps);
        self.open.pop();
        let weight = weight?;
        self.known.insert(target, weight);
        Ok(weight)
    }
}
