//! How one line of a batch file is run: a pure function of the line and the defaults.
//!
//! Fields that the contract doesn't know are reported here, unlike elsewhere in a worker: a person wrote this file, and
//! a misspelt `instrucion` would otherwise cost a call for each line and be noticed in the answers, if ever.

use blob_store::{StagePrefix, StagedPath};
use documents::jsonl::Line;
use workflow_types::{
    batch,
    failure::FailureCode,
    placement::place,
    problem::Problems,
    proto::{
        BlobRef, Content, FailureDetails, LineRef, LlmBatchItem, LlmPipelineInput, ManifestItem, Placement,
        Problem, content::Source, manifest_item::Route,
    },
    request::{INLINE_LIMIT_BYTES, PipelineRequest},
    wire::parse_json_strictly,
};

use crate::{Error, stage};

/// The longest name of an item.
const ID_LIMIT_BYTES: usize = 256;
/// The most problems that are told of one line.
const MOST_PROBLEMS: usize = 16;
/// The longest part of a problem's path or message.
const PROBLEM_LIMIT_BYTES: usize = 300;
/// What a reference to staged text adds to an item.
const REFERENCE_BYTES: usize = 256;

/// What the items of a page have in common.
pub(crate) struct Plan {
    pub(crate) file: BlobRef,
    pub(crate) prefix: StagePrefix,
    pub(crate) defaults: LlmPipelineInput,
    pub(crate) first_index: i32,
}

/// An item, and its text where that has to be staged first.
pub(crate) struct Planned {
    pub(crate) item: ManifestItem,
    pub(crate) text: Option<(StagedPath, String)>,
}

impl Planned {
    /// Gives about what the item takes in the activity's result.
    pub(crate) fn encoded_bytes(&self) -> Result<usize, Error> {
        let bytes = serde_json::to_vec(&self.item).map_err(Error::Encode)?.len();
        Ok(bytes + self.text.as_ref().map_or(0, |_| REFERENCE_BYTES))
    }
}

impl Plan {
    /// Decides how the page's item at `position` is run.
    pub(crate) fn item(&self, line: &Line, position: usize) -> Result<Planned, Error> {
        let index = i32::try_from(position)
            .ok()
            .and_then(|position| self.first_index.checked_add(position));
        let index = index
            .ok_or_else(|| Problems::one("items", "has more items than can be counted; split the file"))?;
        let id = given_id(line).unwrap_or_else(|| position_id(index));
        let route = match parsed(line) {
            Ok(item) => self.route(line, index, item)?,
            Err(problems) => Err(problems),
        };
        let (route, text) = route.unwrap_or_else(|problems| (Route::Invalid(invalid(problems)), None));
        Ok(Planned {
            item: ManifestItem {
                index,
                id,
                route: Some(route),
            },
            text,
        })
    }

    fn route(&self, line: &Line, index: i32, item: LlmBatchItem) -> Result<Result<Routed, Problems>, Error> {
        let mut problems = Problems::new();
        if item
            .id
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.len() > ID_LIMIT_BYTES)
        {
            problems.at("id", format!("must be 1 to {ID_LIMIT_BYTES} bytes"));
        }
        if item.text.is_some() && item.content.is_some() {
            problems.at("text", "is given beside content; give one of them");
        }
        let mut request = batch::resolve(&self.defaults, item);
        let path = stage::path(&self.prefix, &stage::item(index))?;
        // What is above the inline limit is taken too, because it is staged and not sent.
        let text = staged_text(&mut request, &path, |bytes| bytes > INLINE_LIMIT_BYTES);
        let short = match PipelineRequest::parse(request.clone()) {
            // What waits for a person has to be found and answered by itself, so it is a run of its own.
            Ok(parsed) => parsed.review.is_none() && place(&parsed) == Placement::AiWorker,
            Err(found) => {
                problems.extend(found);
                false
            }
        };
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        if short {
            return Ok(Ok((Route::Line(self.line(line)), None)));
        }
        let text = text.or_else(|| staged_text(&mut request, &path, |_| true));
        // The answer's place is known then, and nothing but its reference comes back to the batch.
        request.output.get_or_insert_default().store = Some(true);
        Ok(Ok((Route::Child(request), text.map(|text| (path, text)))))
    }

    fn line(&self, line: &Line) -> LineRef {
        LineRef {
            file: Some(self.file.clone()),
            offset_bytes: i64::try_from(line.offset).unwrap_or(i64::MAX),
            length_bytes: i32::try_from(line.length).unwrap_or(i32::MAX),
        }
    }
}

fn parsed(line: &Line) -> Result<LlmBatchItem, Problems> {
    match &line.text {
        Ok(text) => parse_json_strictly(text.as_bytes()),
        Err(problem) => Err(Problems::one("$", problem.to_string())),
    }
}

/// Gives the id that a line gives itself, also a line that can't be used, because by it the caller finds what failed.
pub(crate) fn given_id(line: &Line) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }

    let named: Named = serde_json::from_str(line.text.as_ref().ok()?).ok()?;
    Some(named.id).filter(|id| !id.is_empty() && id.len() <= ID_LIMIT_BYTES)
}

/// Gives the id of the item at an index when its line gives none.
pub(crate) fn position_id(index: i32) -> String {
    (i64::from(index) + 1).to_string()
}

type Routed = (Route, Option<(StagedPath, String)>);

/// Takes inline text of a size out of a request and leaves the address where it will be.
fn staged_text(
    request: &mut LlmPipelineInput,
    path: &StagedPath,
    wanted: impl Fn(usize) -> bool,
) -> Option<String> {
    let source = request.content.as_mut()?.source.take()?;
    let (kept, text) = match source {
        Source::Text(text) if wanted(text.len()) => (
            Source::Blob(BlobRef {
                uri: path.uri(),
                ..BlobRef::default()
            }),
            Some(text),
        ),
        other @ (Source::Text(_) | Source::Blob(_)) => (other, None),
    };
    request.content = Some(Content { source: Some(kept) });
    text
}

fn invalid(problems: Problems) -> FailureDetails {
    let problems = problems.into_vec().into_iter().take(MOST_PROBLEMS);
    FailureDetails {
        code: FailureCode::InvalidInput.as_str().to_owned(),
        problems: problems
            .map(|problem| Problem {
                path: shortened(&problem.path),
                message: shortened(&unquoted(&problem.message)),
            })
            .collect(),
        ..FailureDetails::default()
    }
}

/// Takes the line's own words out of a parser's message: `invalid type: string "…", expected i32`.
fn unquoted(message: &str) -> String {
    let quote = message.split_once("string \"").zip(message.rfind("\", expected"));
    match quote {
        Some(((before, _), end)) if end > before.len() => format!("{before}string{}", &message[end + 1..]),
        Some(_) | None => message.to_owned(),
    }
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(PROBLEM_LIMIT_BYTES);
    if end == text.len() {
        text.to_owned()
    } else {
        format!("{}…", &text[..end])
    }
}

#[cfg(test)]
mod tests;
