//! Checks a value against a JSON Schema that a user wrote.
//!
//! The schema comes with a request, so it is input and not code: it must not make the worker fetch anything, it
//! must not take unbounded time, and what it finds must not carry the document into errors and histories.
//! References to other documents are refused; size, nesting and the work that references multiply into are bounded
//! before the schema is compiled; patterns run with a bound on backtracking. Problems name the place and the rule,
//! never the value: the library's messages quote values, so they are masked, and the few that quote names from the
//! document are worded anew.

use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

mod weight;

/// The largest schema, in bytes of compact JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// The deepest nesting of a schema.
pub const MAX_SCHEMA_DEPTH: usize = 64;

/// The most parts a schema may have once its references are written out, recursion counted once.
pub const MAX_SCHEMA_WEIGHT: usize = 100_000;

/// The most problems that [`Schema::check`] gives.
pub const MAX_PROBLEMS: usize = 20;

/// The longest path or message of a problem, in characters.
pub const MAX_MESSAGE_CHARS: usize = 300;

/// The steps back that a pattern may take on one string.
const MAX_BACKTRACKS: usize = 100_000;

/// The memory that one compiled pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Reports why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Larger than [`MAX_SCHEMA_BYTES`].
    #[error("the schema has {bytes} bytes, above the limit of {MAX_SCHEMA_BYTES}; make it smaller")]
    TooLarge {
        /// Its size as compact JSON.
        bytes: usize,
    },
    /// Nested deeper than [`MAX_SCHEMA_DEPTH`].
    #[error("the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels; flatten it with $defs")]
    TooDeep,
    /// References multiply into more than [`MAX_SCHEMA_WEIGHT`] parts.
    #[error("the schema's references multiply into more than {MAX_SCHEMA_WEIGHT} parts; refer less often")]
    TooHeavy,
    /// A reference to anything but a place in the same document by its path, or a subschema with an `$id`.
    #[error(
        "the schema refers out of itself or by name at {path:?}; use $defs and a \"#/$defs/…\" reference"
    )]
    Remote {
        /// The place in the schema, as a JSON pointer.
        path: String,
    },
    /// A reference that leads back to itself before anything of the value is looked at.
    #[error("the schema's reference at {path:?} leads back to itself; no value could ever be checked")]
    Circular {
        /// The place in the schema, as a JSON pointer.
        path: String,
    },
    /// Not a JSON Schema.
    #[error("the schema is invalid at {path:?}: {message}")]
    Invalid {
        /// The place in the schema, as a JSON pointer.
        path: String,
        /// What is wrong there.
        message: String,
    },
}

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place in the value, as a JSON pointer; empty for the value itself.
    pub path: String,
    /// The rule that is broken, without any part of the value.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.message)
    }
}

/// A compiled schema; cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
}

impl Schema {
    /// Compiles a schema of any draft that it names in `$schema`, else of draft 2020-12.
    ///
    /// # Errors
    ///
    /// Every variant of [`Error`], with the place in the schema.
    pub fn compile(schema: &Value) -> Result<Self, Error> {
        // Depth first: everything after it walks the schema recursively.
        if weight::deeper_than(schema, MAX_SCHEMA_DEPTH) {
            return Err(Error::TooDeep);
        }
        let bytes = schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(Error::TooLarge { bytes });
        }
        weight::check(schema)?;
        let patterns = PatternOptions::fancy_regex()
            .backtrack_limit(MAX_BACKTRACKS)
            .size_limit(MAX_PATTERN_BYTES);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| Error::Invalid {
                path: shortened(&error.instance_path().to_string()),
                message: shortened(&error.to_string()),
            })?;
        Ok(Self { validator })
    }

    /// Tells whether a value keeps every rule; faster than [`check`](Self::check).
    pub fn accepts(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// Lists the rules that a value breaks, at most [`MAX_PROBLEMS`]; none for a valid value.
    pub fn check(&self, value: &Value) -> Vec<Problem> {
        self.validator
            .iter_errors(value)
            .take(MAX_PROBLEMS)
            .map(|error| problem(&error))
            .collect()
    }
}

fn problem(error: &ValidationError<'_>) -> Problem {
    let kind = error.kind();
    let message = if let ValidationErrorKind::AdditionalProperties { unexpected }
    | ValidationErrorKind::UnevaluatedProperties { unexpected } = kind
    {
        format!("{} properties that the schema does not allow", unexpected.len())
    } else if matches!(kind, ValidationErrorKind::PropertyNames { .. }) {
        "a property name that the schema does not allow".to_owned()
    } else {
        error.masked().to_string()
    };
    Problem {
        path: shortened(&error.instance_path().to_string()),
        message: shortened(&message),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
