//! A JSONL file before it is uploaded: is every line an item, and has each a name of its own?
//!
//! Workers let unknown fields pass, so a misspelt `instrution` would be ignored ten thousand times. Here each line is
//! held to the contract, one at a time, whatever the size of the file. What an item's values are worth is left to the
//! batch, which answers item by item; but two items of one name would give two results that nobody can tell apart, and
//! a schema that can't be used is one that its writer wants to hear of before the rest is paid for.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use workflow_types::{
    problem::Problems,
    proto::{LlmBatchItem, OutputSpec},
};

use crate::failure::Failure;

use super::{
    request,
    written::{self, Origin},
};

/// The media type of the file.
pub(super) const MEDIA_TYPE: &str = "application/jsonl";

const MOST_BAD_LINES: usize = 20;

/// Notes every line that is no item, up to a screenful of them.
pub(super) fn check(path: &Path, problems: &mut Problems) -> Result<(), Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let origin = Origin::file(path);
    let (mut number, mut bad) = (0_usize, 0_usize);
    let mut seen = Seen::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        seen.items += 1;
        let found = match written::message::<LlmBatchItem>(&line, &origin.line(number)) {
            Ok(item) => seen.check(item, number),
            Err(found) => found,
        };
        if found.is_empty() {
            continue;
        }
        bad += 1;
        if bad > MOST_BAD_LINES {
            problems.at(
                format!("line {number}"),
                "is the next bad one; the rest was not looked at",
            );
            return Ok(());
        }
        problems.extend_below(&format!("line {number}"), found);
    }
    if seen.items == 0 {
        return Err(Failure::bad_input(format!("{} has no lines", path.display())));
    }
    Ok(())
}

/// What earlier lines were.
#[derive(Default)]
struct Seen {
    /// Lines that are not blank.
    items: usize,
    /// The line of each name.
    names: HashMap<String, usize>,
    /// The output whose schema was found to be usable last: most files have one for all lines.
    output: Option<OutputSpec>,
}

impl Seen {
    fn check(&mut self, item: LlmBatchItem, number: usize) -> Problems {
        let mut problems = Problems::new();
        if let Some(output) = item.output
            && self.output.as_ref() != Some(&output)
        {
            match request::check_schema(&output) {
                Ok(()) => self.output = Some(output),
                Err(message) => problems.at("output.json.schema", message),
            }
        }
        // An item without a name is named by its position, and that name can be another one's, too.
        let name = item.id.filter(|id| !id.is_empty());
        let given = name.is_some();
        match self.names.entry(name.unwrap_or_else(|| self.items.to_string())) {
            Entry::Vacant(entry) => {
                entry.insert(number);
            }
            Entry::Occupied(entry) => {
                let (name, first) = (entry.key(), entry.get());
                let message = if given {
                    format!("`{name}` is the id of line {first} already; give each line an id of its own")
                } else {
                    format!(
                        "is missing, and the line's own number, {name}, is the id of line {first}; give it an id"
                    )
                };
                problems.at("id", message);
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn told(content: &str) -> Vec<(String, String)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        let mut problems = Problems::new();
        check(file.path(), &mut problems).unwrap();
        problems
            .into_vec()
            .into_iter()
            .map(|problem| (problem.path, problem.message))
            .collect()
    }

    fn paths(content: &str) -> Vec<String> {
        told(content).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn each_bad_line_is_named() {
        let content =
            "{\"id\":\"a\",\"text\":\"x\"}\n\n{\"txt\":\"x\"}\r\n{\"parameters\":{\"topP\":\"high\"}}\n[]";
        assert_eq!(
            paths(content),
            ["line 3.txt", "line 4.parameters.topP", "line 5.$"]
        );
    }

    #[test]
    fn a_mistake_says_the_line_of_the_file_and_not_of_the_parser() {
        let found = told("{\"text\":\"x\"}\n{oops\n");
        assert_eq!(found[0].0, "line 2.$");
        assert!(found[0].1.contains(", line 2, column 2): a name"), "{found:?}");
    }

    #[test]
    fn two_lines_of_one_id_are_both_named() {
        let content = "{\"id\":\"a\"}\n\n{\"id\":\"b\"}\n{\"id\":\"a\"}\n{\"id\":\"a\"}\n";
        let found = told(content);
        assert_eq!(found.len(), 2, "{found:?}");
        for (line, (path, message)) in [4, 5].into_iter().zip(found) {
            assert_eq!(path, format!("line {line}.id"));
            assert!(
                message.starts_with("`a` is the id of line 1 already"),
                "{message}"
            );
        }
    }

    #[test]
    fn an_id_may_be_the_number_by_which_another_item_goes() {
        let found = told("{\"id\":\"2\"}\n\n{\"text\":\"x\"}\n");
        assert_eq!(found[0].0, "line 3.id");
        assert!(
            found[0].1.contains("own number, 2, is the id of line 1"),
            "{found:?}"
        );
        assert!(told("{\"text\":\"x\"}\n{\"text\":\"x\"}\n{\"id\":\"1a\"}\n").is_empty());
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_told_with_its_line() {
        let schema = |kind: &str| {
            let schema = serde_json::json!({"properties": {"n": {"type": kind}}});
            serde_json::json!({"output": {"json": {"schema": schema}}}).to_string()
        };
        let content = [schema("integer"), schema("intger"), schema("intger")].join("\n");
        let found = told(&content);
        let places: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(places, ["line 2.output.json.schema", "line 3.output.json.schema"]);
        assert!(found[0].1.contains("/properties/n/type"), "{found:?}");
    }

    #[test]
    fn a_file_of_something_else_does_not_fill_the_screen() {
        assert_eq!(paths(&"not json\n".repeat(100)).len(), MOST_BAD_LINES + 1);
    }

    #[test]
    fn a_file_without_lines_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "\n \n").unwrap();
        assert!(check(file.path(), &mut Problems::new()).is_err());
    }
}
