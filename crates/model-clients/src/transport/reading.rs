//! Reads the body of a successful answer, as a stream of events or as one document.
//!
//! An answer is complete when its reason for ending has arrived, not when the connection closes and not only at a
//! closing mark: some servers leave that mark out, and a connection that dies early closes just like one that is done.
//! What follows the reason (a count of tokens, the mark) is waited for, but its absence spoils nothing.

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use super::draft::Draft;
use super::reader::Reader;
use crate::provider::{Error, ErrorKind, GenerateRequest, GenerateResponse, Progress};
use crate::sse::{self, Event, Splitter};

/// Puts an answer together from what one protocol sends.
pub(crate) trait Assembly: Sized {
    /// Takes an answer that comes in one piece.
    fn document(&mut self, json: &str) -> Result<(), Error>;

    /// Takes the next event of a stream; says whether more are to come.
    fn event(&mut self, event: &Event) -> Result<Next, Error>;

    /// Says whether the reason for ending has arrived.
    fn is_complete(&self) -> bool;

    /// Gives what is there so far.
    fn draft(&self) -> &Draft<'_>;

    /// Gives the finished answer to `request`.
    fn finish(self, request: &GenerateRequest) -> GenerateResponse;
}

/// Whether more of a stream is to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Read,
    Done,
}

/// In which form an answer comes.
pub(super) enum Form {
    Stream,
    Document,
    Other(String),
}

impl Form {
    /// Goes by what the server says it sends: some ignore the wish for a stream, or stream without being asked.
    pub(super) fn of(response: &Response, streaming: bool) -> Self {
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase());
        match media_type.as_deref() {
            Some("text/event-stream") => Self::Stream,
            Some("application/json") => Self::Document,
            Some("text/html") => Self::Other("text/html".to_owned()),
            // Servers that label a stream as plain text, or not at all, send what they were asked for.
            Some(_) | None if streaming => Self::Stream,
            Some(_) | None => Self::Document,
        }
    }
}

/// Reads an answer that comes as one JSON document.
pub(super) async fn document(assembly: &mut impl Assembly, body: &mut Reader<'_>) -> Result<(), Error> {
    let bytes = body.read_all().await?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| assembly.draft().unreadable("the answer is not UTF-8"))?;
    assembly.document(text)
}

/// Reads an answer that comes as a stream of events, and reports its progress.
pub(super) async fn stream(
    assembly: &mut impl Assembly,
    body: &mut Reader<'_>,
    report: impl Fn(Progress),
) -> Result<(), Error> {
    let mut splitter = Splitter::new(usize::try_from(body.limit()).unwrap_or(usize::MAX));
    let mut events = Vec::new();
    loop {
        let bytes = match body.next().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) if assembly.is_complete() => return Ok(()),
            Ok(None) => {
                let message = "the stream ended before the answer was complete";
                return Err(assembly.draft().unreadable(message));
            }
            Err(error) if assembly.is_complete() && error.kind != ErrorKind::Cancelled => return Ok(()),
            Err(error) => return Err(error),
        };
        splitter
            .push(&bytes, &mut events)
            .map_err(|error| unsplittable(assembly.draft(), error))?;
        for event in events.drain(..) {
            if assembly.event(&event)? == Next::Done {
                return Ok(());
            }
        }
        report(Progress {
            output_tokens: assembly.draft().pieces(),
            bytes: body.received(),
        });
    }
}

fn unsplittable(draft: &Draft<'_>, error: sse::Error) -> Error {
    let kind = match error {
        sse::Error::TooLarge { .. } => ErrorKind::ResponseTooLarge,
        sse::Error::NotUtf8 => ErrorKind::StreamBroken,
    };
    draft
        .error(kind, "the answer's stream cannot be read")
        .with_source(error)
}
