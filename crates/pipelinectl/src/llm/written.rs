//! JSON that a person wrote: what is wrong with it, where it stands, and what to do about it.
//!
//! A parser's own words ("expected ident at line 1 column 2") are for programmers, name no file, and count a line of
//! JSONL as line 1. Here each mistake names the file, its line and column, and the way to mend it.
//!
//! `null` where a field can't be unset, such as a list, is refused with the advice to leave it out. Letting it pass would
//! be a promise that the workers don't keep: the lines of a file go to them as they stand.

use std::{fmt, path::Path};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use workflow_types::{problem::Problems, wire};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const NULL: &str = "is null, which this field cannot be; leave the field out";

/// Where a text comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The file, or `standard input`.
    name: String,
    /// The number of the line, when the text is one line of it.
    line: Option<usize>,
}

impl Origin {
    /// Names a file.
    pub(crate) fn file(path: &Path) -> Self {
        let name = if path == Path::new("-") {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        Self { name, line: None }
    }

    /// Names one line of the file.
    pub(super) fn line(&self, number: usize) -> Self {
        Self {
            name: self.name.clone(),
            line: Some(number),
        }
    }

    /// Takes off the mark with which some editors begin a file.
    fn without_mark<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let first = self.line.is_none_or(|line| line == 1);
        bytes
            .strip_prefix(BYTE_ORDER_MARK)
            .filter(|_| first)
            .unwrap_or(bytes)
    }

    fn at(&self, line: usize, column: usize) -> impl fmt::Display {
        format!(
            "{}, line {}, column {column}",
            self.name,
            self.line.unwrap_or(line)
        )
    }
}

/// Reads a message of the contracts and refuses fields that it does not have.
pub(super) fn message<T>(bytes: &[u8], origin: &Origin) -> Result<T, Problems>
where
    T: DeserializeOwned + Default,
{
    let bytes = origin.without_mark(bytes);
    any(bytes, origin).map_err(|message| Problems::one("$", message))?;
    wire::parse_json_strictly(bytes).map_err(|found| {
        let mut problems = Problems::new();
        for problem in found.into_vec() {
            problems.at(problem.path, shape(&problem.message, origin));
        }
        problems
    })
}

/// Reads an object, such as a schema.
pub(super) fn object(bytes: &[u8], origin: &Origin) -> Result<Map<String, Value>, String> {
    let bytes = origin.without_mark(bytes);
    match any(bytes, origin)? {
        Value::Object(fields) => Ok(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let name = &origin.name;
            Err(format!(
                "{name} holds no JSON object; write one, such as {{\"type\": \"object\"}}"
            ))
        }
    }
}

/// Reads JSON whatever it is, which finds every mistake in the syntax.
pub(crate) fn any(bytes: &[u8], origin: &Origin) -> Result<Value, String> {
    if let Err(error) = std::str::from_utf8(bytes) {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let (line, column) = before.iter().fold((1, 1), |(line, column), byte| {
            if *byte == b'\n' {
                (line + 1, 1)
            } else {
                (line, column + 1)
            }
        });
        return Err(format!(
            "is no UTF-8 text ({}); save the file as UTF-8",
            origin.at(line, column)
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let place = origin.at(error.line(), error.column());
        let said = error.to_string();
        format!("is no JSON ({place}): {}", advice(split(&said).0))
    })
}

/// Says what to do about a mistake in the syntax; what is not in the table is told in the parser's words.
fn advice(said: &str) -> String {
    let known = match said {
        "expected ident" => "a word stands here that is not true, false or null; put text into double quotes",
        "expected value" => {
            "a value is expected here: text in double quotes, a number, true, false, null, a list or an object"
        }
        "key must be a string" => "a name in double quotes is expected here",
        "trailing comma" => "nothing follows the comma before this; take it out",
        "trailing characters" => "the value has ended before this; take out what follows",
        "expected `:`" => "a colon is expected between a name and its value",
        "expected `,` or `}`" => "a comma or a closing brace is expected here",
        "expected `,` or `]`" => "a comma or a closing bracket is expected here",
        "EOF while parsing a string" => "the end comes within a text; close it with a double quote",
        "EOF while parsing a value" => "the end comes where a value is expected; write one",
        "EOF while parsing a list" => "the end comes within a list; close it with a bracket",
        "EOF while parsing an object" => "the end comes within an object; close it with a brace",
        "invalid escape" => "this cannot follow a backslash; write two backslashes for one",
        "invalid number" => "numbers are written as 10, 0.5 or 1e-3",
        "control character (\\u0000-\\u001F) found while parsing a string" => {
            "a line break or another control character stands within a text; write \\n, \\t or \\u00XX"
        }
        _ => return format!("{said}; correct it"),
    };
    known.to_owned()
}

/// Says what is wrong with a value that is JSON and not what the field takes.
fn shape(message: &str, origin: &Origin) -> String {
    let (said, place) = split(message);
    let Some((line, column)) = place else {
        return message.to_owned();
    };
    let place = origin.at(line, column);
    if said.starts_with("invalid type: null") {
        return format!("{NULL} ({place})");
    }
    // These are how the contracts' reader says that a number is none.
    let number = [
        "untagged enum Content",
        "invalid float literal",
        "invalid digit found",
    ];
    if number.iter().any(|words| said.contains(words)) {
        return format!("is no number that this field takes ({place}); correct it");
    }
    let plain = said.replace("expected a sequence", "expected a list");
    format!("{plain} ({place}); correct it")
}

/// Takes the parser's place off its words.
fn split(said: &str) -> (&str, Option<(usize, usize)>) {
    let Some((words, place)) = said.rsplit_once(" at line ") else {
        return (said, None);
    };
    let numbers = place
        .split_once(" column ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    match numbers {
        Some(place) => (words, Some(place)),
        None => (said, None),
    }
}

#[cfg(test)]
mod tests;
