//! `buildManifest`: one page of a JSONL file, checked line by line.
//!
//! A page is read from where it starts and no further than it goes, so a file of any size costs each page only itself.
//! Three bounds end it: the items asked for, the bytes of text held in memory, and the bytes of the result, since that
//! goes into the workflow's history. What is left for the next page is found by reading on to the next line that is
//! not blank; therefore `end` is exact and no page is ever empty except the last of a file that ends here.

use blob_store::StagePrefix;
use documents::jsonl::{Line, Splitter};
use futures::{StreamExt, TryStreamExt, stream};
use workflow_types::{
    problem::Problems,
    proto::{
        BlobRef, BuildManifestInput, BuildManifestOutput, Content, LlmPipelineInput, ManifestItem,
        content::Source, manifest_item::Route,
    },
    request::parse_blob,
    wire::Wire,
};

use crate::{
    Error,
    manifest::plan::{Plan, Planned},
    services::{Scope, Services, proceed},
    stage,
};

mod plan;

pub(crate) use plan::{given_id, position_id};

/// The longest line that is read; longer text is passed by reference.
pub(crate) const MAX_LINE_BYTES: usize = 1024 * 1024;
/// The most items of a page.
const MOST_ITEMS: i32 = 500;
/// The most text that a page holds in memory, lest 500 lines of a megabyte be held at once.
const PAGE_TEXT_BYTES: usize = 16 * 1024 * 1024;
/// What the items of a page may take in the activity's result.
const RESULT_BYTES: usize = 512 * 1024;
/// Texts that are written at once.
const WRITES: usize = 8;

/// Reads a page and decides how each of its items is run.
pub(crate) async fn run(
    services: &Services,
    input: Wire<BuildManifestInput>,
    scope: &Scope,
) -> Result<BuildManifestOutput, Error> {
    let request = Request::parse(input.into_message()?)?;
    let page = read_page(services, &request, scope).await?;
    let prefix = stage::prefix(&request.stage_prefix)?;
    let plan = Plan {
        file: request.file,
        prefix: prefix.clone(),
        defaults: request.defaults.clone(),
        first_index: request.first_index,
    };
    let (lines, page_end) = (page.lines, (page.next_offset, page.end));
    let planned = services
        .pool
        .run(&scope.cancellation(), move |_| plan_page(&plan, &lines, page_end))
        .await?;
    let (planned, (next_offset, end)) = planned.value?;

    let staged = stream::iter(planned)
        .map(|planned| stage_item(services, planned, scope))
        .buffered(WRITES);
    let items: Vec<_> = staged.try_collect().await?;
    for item in &items {
        services.metrics.item(match &item.route {
            Some(Route::Line(_)) => "line",
            Some(Route::Child(_)) => "child",
            Some(Route::Invalid(_)) | None => "invalid",
        });
    }
    let shortcut = items
        .iter()
        .any(|item| matches!(item.route, Some(Route::Line(_))));
    let defaults = if shortcut {
        Some(stage_defaults(services, &prefix, &request.defaults).await?)
    } else {
        None
    };
    Ok(BuildManifestOutput {
        items,
        defaults,
        next_offset_bytes: i64::try_from(next_offset).unwrap_or(i64::MAX),
        end,
    })
}

/// A page to be read.
struct Request {
    file: BlobRef,
    offset: u64,
    first_index: i32,
    max_items: usize,
    defaults: LlmPipelineInput,
    stage_prefix: String,
}

impl Request {
    fn parse(input: BuildManifestInput) -> Result<Self, Error> {
        let mut problems = Problems::new();
        let file = input.file.unwrap_or_default();
        if let Err(found) = parse_blob(file.clone()) {
            problems.extend_below("items", found);
        }
        let offset = u64::try_from(input.offset_bytes).unwrap_or_else(|_| {
            problems.at("offsetBytes", "must not be negative");
            0
        });
        if input.first_index < 0 {
            problems.at("firstIndex", "must not be negative");
        }
        if !(1..=MOST_ITEMS).contains(&input.max_items) {
            problems.at("maxItems", format!("must be 1 to {MOST_ITEMS}"));
        }
        let request = Self {
            file,
            offset,
            first_index: input.first_index,
            max_items: usize::try_from(input.max_items).unwrap_or(1),
            defaults: input.defaults.unwrap_or_default(),
            stage_prefix: input.stage_prefix,
        };
        problems.or(request).map_err(Error::from)
    }
}

/// Lines that are not blank, and where the next one begins.
struct Page {
    lines: Vec<Line>,
    next_offset: u64,
    end: bool,
}

async fn read_page(services: &Services, request: &Request, scope: &Scope) -> Result<Page, Error> {
    let failed = |source| Error::Reference {
        path: "items",
        source,
    };
    let mut reader = services
        .store
        .read_from(&request.file, request.offset)
        .await
        .map_err(failed)?;
    // The line's number in the file is not known here, nor needed: an item is known by its index.
    let mut splitter = Splitter::starting_at(MAX_LINE_BYTES, 1, request.offset);
    let (mut lines, mut text_bytes) = (Vec::new(), 0);
    loop {
        let piece = reader.next().await.map_err(failed)?;
        match &piece {
            Some(piece) => {
                services.metrics.read(piece.len());
                splitter.push(piece);
            }
            None => splitter.finish(),
        }
        while let Some(line) = splitter.next_line() {
            if lines.len() == request.max_items || text_bytes >= PAGE_TEXT_BYTES {
                return Ok(Page {
                    lines,
                    next_offset: line.offset,
                    end: false,
                });
            }
            text_bytes += line.text.as_ref().map_or(0, String::len);
            lines.push(line);
        }
        proceed(scope, "lines", lines.len() as u64)?;
        if piece.is_none() {
            return Ok(Page {
                lines,
                next_offset: reader.size_bytes(),
                end: true,
            });
        }
    }
}

/// Plans the items of a page until they would make the result too large; the first always fits.
fn plan_page(
    plan: &Plan,
    lines: &[Line],
    page_end: (u64, bool),
) -> Result<(Vec<Planned>, (u64, bool)), Error> {
    let mut planned: Vec<Planned> = Vec::with_capacity(lines.len());
    let mut result_bytes = 0;
    for line in lines {
        let item = plan.item(line, planned.len())?;
        result_bytes += item.encoded_bytes()?;
        if result_bytes > RESULT_BYTES && !planned.is_empty() {
            return Ok((planned, (line.offset, false)));
        }
        planned.push(item);
    }
    Ok((planned, page_end))
}

/// Writes what the lines don't say themselves once for all of them; every page writes the same.
async fn stage_defaults(
    services: &Services,
    prefix: &StagePrefix,
    defaults: &LlmPipelineInput,
) -> Result<BlobRef, Error> {
    let path = stage::path(prefix, stage::DEFAULTS)?;
    let json = stage::json(serde_json::to_value(defaults).map_err(Error::Encode)?, "")?;
    services
        .store
        .put(&path, &json, stage::JSON)
        .await
        .map_err(Error::Staged)
}

/// Writes the text of an item that is too large to travel, and puts the reference in its place.
async fn stage_item(services: &Services, planned: Planned, scope: &Scope) -> Result<ManifestItem, Error> {
    let Planned { mut item, text } = planned;
    let Some((path, text)) = text else { return Ok(item) };
    let blob = services
        .store
        .put(&path, text.as_bytes(), stage::TEXT)
        .await
        .map_err(Error::Staged)?;
    if let Some(Route::Child(child)) = &mut item.route {
        child.content = Some(Content {
            source: Some(Source::Blob(blob)),
        });
    }
    proceed(scope, "items", item.index.unsigned_abs().into())?;
    Ok(item)
}

#[cfg(test)]
mod tests;
