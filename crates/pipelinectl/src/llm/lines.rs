//! A JSONL file before it is uploaded: is every line an item?
//!
//! Workers let unknown fields pass, so a misspelt `instrution` would be ignored ten thousand times. Here each line is
//! held to the contract, one at a time, whatever the size of the file. What an item's values are worth is left to the
//! batch, which answers item by item.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use workflow_types::{problem::Problems, proto::LlmBatchItem, wire};

use crate::failure::Failure;

/// The media type of the file.
pub(super) const MEDIA_TYPE: &str = "application/jsonl";

const MOST_BAD_LINES: usize = 20;

/// Notes every line that is no item, up to a screenful of them.
pub(super) fn check(path: &Path, problems: &mut Problems) -> Result<(), Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut number, mut items, mut bad) = (0_usize, 0_usize, 0_usize);
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
        items += 1;
        if let Err(found) = wire::parse_json_strictly::<LlmBatchItem>(&line) {
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
    }
    if items == 0 {
        return Err(Failure::bad_input(format!("{} has no lines", path.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn paths(content: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        let mut problems = Problems::new();
        check(file.path(), &mut problems).unwrap();
        problems
            .into_vec()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
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
