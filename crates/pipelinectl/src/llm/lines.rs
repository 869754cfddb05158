//! A JSONL file before it is uploaded: is every line an item that can run, and has each a name of its own?
//!
//! The batch would answer a line that can't be used with a failed result, late and among results that were paid for;
//! whoever wrote the file is here now and can mend it. So each line becomes the request that the batch will make of it,
//! with the defaults of the flags, and is parsed by the same code. The lines are looked at one at a time, whatever the
//! size of the file, and to the end, so that the first ones stand for a known number.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use workflow_types::{
    batch,
    problem::Problems,
    proto::{LlmBatchItem, LlmPipelineInput, OutputSpec, content::Source},
    request::{INLINE_LIMIT_BYTES, PipelineRequest},
};

use crate::failure::Failure;

use super::{
    request,
    written::{self, Origin},
};

/// The media type of the file.
pub(super) const MEDIA_TYPE: &str = "application/jsonl";

const MOST_BAD_LINES: usize = 20;
/// The data-worker's limits of a line and of an id.
const MOST_LINE_BYTES: usize = 1024 * 1024;
const MOST_ID_BYTES: usize = 256;

/// Notes every line that is no item that can run with these defaults: a screenful of them, and how many there are.
pub(super) fn check(
    path: &Path,
    defaults: &LlmPipelineInput,
    problems: &mut Problems,
) -> Result<(), Failure> {
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
            Ok(item) => {
                let mut found = unusable(line.trim_ascii_end().len(), &item, defaults);
                found.extend(seen.check(item, number));
                found
            }
            Err(found) => found,
        };
        if found.is_empty() {
            continue;
        }
        bad += 1;
        if bad <= MOST_BAD_LINES {
            problems.extend_below(&format!("line {number}"), found);
        }
    }
    if bad > MOST_BAD_LINES {
        problems.at(
            "lines",
            format!("{bad} lines cannot be used; what is wrong with the first {MOST_BAD_LINES} is above"),
        );
    }
    if seen.items == 0 {
        return Err(Failure::bad_input(format!("{} has no lines", path.display())));
    }
    Ok(())
}

/// Finds what the batch would refuse the item for, by paths in the line.
fn unusable(line_bytes: usize, item: &LlmBatchItem, defaults: &LlmPipelineInput) -> Problems {
    let mut problems = Problems::new();
    if line_bytes > MOST_LINE_BYTES {
        problems.at(
            "$",
            format!("is {line_bytes} bytes; put text above {MOST_LINE_BYTES} bytes into content.blob"),
        );
    }
    let id = item.id.as_ref();
    if id.is_some_and(|id| id.is_empty() || id.len() > MOST_ID_BYTES) {
        problems.at(
            "id",
            format!("must be 1 to {MOST_ID_BYTES} bytes; or leave it out"),
        );
    }
    let short = item.content.is_none();
    if item.text.is_some() && !short {
        problems.at("text", "is given beside content; give one of them");
    }
    let mut request = batch::resolve(defaults, item.clone());
    let source = request
        .content
        .as_mut()
        .and_then(|content| content.source.as_mut());
    // The batch stages text that is too large to travel, and sends a reference.
    if let Some(source) = source
        && matches!(source, Source::Text(text) if text.len() > INLINE_LIMIT_BYTES && !text.trim().is_empty())
    {
        *source = Source::Blob(super::stand_in());
    }
    let Err(found) = PipelineRequest::parse(request) else {
        return problems;
    };
    for problem in found.into_vec() {
        match (problem.path.as_str(), short) {
            ("content.text", true) if item.text.is_none() => {
                problems.at("text", "is missing; set text or content");
            }
            ("content.text", true) => problems.at("text", problem.message),
            (_, true | false) => problems.at(problem.path, problem.message),
        }
    }
    problems
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
mod tests;
