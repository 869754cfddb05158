//! `validateData`: whether data can be read, and what it is.
//!
//! A text is either usable or not. A JSONL file is usable when there is a line in it that is: its bad lines are items
//! that fail by themselves later, each with its number, because one of them among thousands must not cost the others.
//! What makes a whole file useless (no line, a binary file, UTF-16, two lines with one id, whose results nobody could
//! tell apart) is found here, before anything is paid for. Pages see too little of a file to find the last. A JSON value is
//! held against a schema, and what does not match is listed.

use std::time::Instant;

use documents::{
    jsonl::{Line, Names, Splitter},
    text,
};
use workflow_types::{
    json,
    problem::Problems,
    proto::{BlobRef, Content, DataKind, ValidateDataInput, ValidateDataOutput},
    request::{ContentSource, parse_content},
    wire::Wire,
};

use crate::{
    Error, load,
    manifest::{MAX_LINE_BYTES, given_id, position_id},
    services::{Scope, Services, proceed},
    steps::Steps,
};

mod value;

/// The most pairs of lines with one id that are told of one file.
const MOST_CLASHES: usize = 16;

/// Checks that data can be read and gives its reference with size and hash.
pub(crate) async fn run(
    services: &Services,
    input: Wire<ValidateDataInput>,
    scope: &Scope,
) -> Result<ValidateDataOutput, Error> {
    let input = input.into_message()?;
    let began = Instant::now();
    let kind = DataKind::try_from(input.kind).unwrap_or_default();
    let mut output = ValidateDataOutput::default();
    let (name, content) = match kind {
        DataKind::Text => {
            let content = content(input.content, "content")?;
            ("text", usable_text(services, content, scope).await?)
        }
        DataKind::Jsonl => {
            let content = content(input.content, "items")?;
            let (content, lines) = usable_lines(services, content, scope).await?;
            output.lines = lines;
            ("jsonl", content)
        }
        DataKind::Json => {
            let content = content(input.content, "content")?;
            let schema = input.schema.as_ref().map(json::from_struct);
            let (content, problems) = value::checked(services, content, schema, scope).await?;
            output.problems = problems;
            ("json", content)
        }
        DataKind::Unspecified => {
            let message = "must be DATA_KIND_TEXT, DATA_KIND_JSONL or DATA_KIND_JSON";
            return Err(Problems::one("kind", message).into());
        }
    };
    if output.problems.is_empty() {
        services.metrics.validated(name);
    }
    let mut steps = Steps::default();
    steps.since("validate", began);
    output.content = Some(content.into());
    output.steps = steps.into_vec();
    Ok(output)
}

fn content(content: Option<Content>, path: &str) -> Result<ContentSource, Error> {
    parse_content(content).map_err(|found| {
        let mut problems = Problems::new();
        problems.extend_below(path, found);
        problems.into()
    })
}

async fn usable_text(
    services: &Services,
    content: ContentSource,
    scope: &Scope,
) -> Result<ContentSource, Error> {
    match content {
        ContentSource::Inline(inline) => {
            let checked = text::check(inline.as_bytes()).map(|_| ());
            checked.map_err(|source| Error::Text {
                path: "content.text",
                source,
            })?;
            Ok(ContentSource::Inline(inline))
        }
        ContentSource::Blob(blob) => {
            let path = "content.blob";
            let loaded = load::text(services, path, blob, scope).await?;
            let bytes = loaded.bytes;
            let checked = services
                .pool
                .run(&scope.cancellation(), move |_| text::check(&bytes).map(|_| ()))
                .await?;
            checked.value.map_err(|source| Error::Text { path, source })?;
            Ok(ContentSource::Blob(loaded.blob))
        }
    }
}

async fn usable_lines(
    services: &Services,
    content: ContentSource,
    scope: &Scope,
) -> Result<(ContentSource, i32), Error> {
    let mut count = Count::default();
    match content {
        ContentSource::Inline(inline) => {
            count.take(inline.as_bytes())?;
            Ok((ContentSource::Inline(inline), count.finish()?))
        }
        ContentSource::Blob(blob) => {
            let blob = count_lines(services, blob, &mut count, scope).await?;
            Ok((ContentSource::Blob(blob), count.finish()?))
        }
    }
}

/// Reads a file to its end, so that its hash is checked, holding no more than a line of it.
async fn count_lines(
    services: &Services,
    blob: BlobRef,
    count: &mut Count,
    scope: &Scope,
) -> Result<BlobRef, Error> {
    let failed = |source| Error::Reference {
        path: "items",
        source,
    };
    let mut reader = services.store.read(&blob).await.map_err(failed)?;
    while let Some(piece) = reader.next().await.map_err(failed)? {
        services.metrics.read(piece.len());
        count.take(&piece)?;
        proceed(scope, "lines", count.lines)?;
    }
    Ok(load::described(blob, reader.size_bytes(), reader.sha256()))
}

/// The lines of a file that are not blank.
struct Count {
    splitter: Splitter,
    lines: u64,
    usable: u64,
    bytes: u64,
    first_problem: Option<(u64, documents::jsonl::Problem)>,
    names: Names,
    /// Lines with an id that an earlier line has, after that line.
    clashes: Vec<(u64, u64)>,
}

impl Default for Count {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(MAX_LINE_BYTES),
            lines: 0,
            usable: 0,
            bytes: 0,
            first_problem: None,
            names: Names::new(),
            clashes: Vec::new(),
        }
    }
}

impl Count {
    fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        if let Some(at) = piece.iter().position(|byte| *byte == 0) {
            let offset = self.bytes + at as u64;
            let message =
                format!("is binary or UTF-16: NUL byte at offset {offset}; give a JSONL file in UTF-8");
            return Err(Problems::one("items", message).into());
        }
        self.bytes += piece.len() as u64;
        self.splitter.push(piece);
        self.drain();
        Ok(())
    }

    fn drain(&mut self) {
        while let Some(line) = self.splitter.next_line() {
            self.name(&line);
            self.lines += 1;
            match line.text {
                Ok(_) => self.usable += 1,
                Err(problem) => {
                    self.first_problem.get_or_insert((line.number, problem));
                }
            }
        }
    }

    /// Looks whether another line has the name by which this one's result will go.
    fn name(&mut self, line: &Line) {
        let position = || i32::try_from(self.lines).ok().map(position_id);
        let Some(name) = given_id(line).or_else(position) else {
            return;
        };
        if let Some(earlier) = self.names.claim(&name, line.number)
            && self.clashes.len() < MOST_CLASHES
        {
            self.clashes.push((earlier, line.number));
        }
    }

    fn finish(mut self) -> Result<i32, Error> {
        self.splitter.finish();
        self.drain();
        let message = match (self.usable, self.first_problem) {
            (0, Some((number, problem))) => format!("holds no usable line; line {number}: {problem}"),
            (0, None) => "holds nothing but blank lines; give one JSON object a line".to_owned(),
            (_, _) => match i32::try_from(self.lines) {
                Ok(lines) => return distinct(&self.clashes).or(lines).map_err(Error::from),
                Err(_) => format!(
                    "has {} lines, above the limit of {}; split the file",
                    self.lines,
                    i32::MAX
                ),
            },
        };
        Err(Problems::one("items", message).into())
    }
}

/// Says which lines have one id, each pair by itself.
fn distinct(clashes: &[(u64, u64)]) -> Problems {
    let mut problems = Problems::new();
    for (earlier, later) in clashes {
        let message = format!(
            "lines {earlier} and {later} have the same id; give each item an id of its own \
             (an item without one has its position in the file, counted from 1)"
        );
        problems.at("items", message);
    }
    problems
}

#[cfg(test)]
mod tests;
