//! Puts an answer together, from a stream of chunks or from one document.
//!
//! An answer is complete when its reason for ending has arrived, not when the connection closes and not only at
//! `[DONE]`: some servers leave that mark out, and a connection that dies early closes just like one that is done.
//! What follows the reason (a count of tokens, the mark) is waited for, but its absence spoils nothing.

use super::refusal::Complaint;
use super::wire::{self, Chunk};
use crate::provider::{Error, ErrorKind, Finish, GenerateRequest, GenerateResponse, Progress};
use crate::quoted::Confidential;
use crate::sse::{self, Splitter};
use crate::transport::{Flight, Reader};

/// The most characters of a response's id or a model's name that are kept.
const MAX_NAME_CHARS: usize = 256;

/// An answer in the making.
pub(super) struct Answer<'c> {
    flight: &'c Flight,
    confidential: Confidential<'c>,
    text: String,
    refusal: String,
    finish: Option<Finish>,
    counts: Option<wire::Counts>,
    id: Option<String>,
    model: Option<String>,
    first_token_ms: Option<u64>,
    pieces: u32,
}

/// Whether more of a stream is to be read.
#[derive(PartialEq, Eq)]
enum Next {
    Read,
    Done,
}

impl<'c> Answer<'c> {
    pub(super) fn new(flight: &'c Flight, confidential: Confidential<'c>) -> Self {
        Self {
            flight,
            confidential,
            text: String::new(),
            refusal: String::new(),
            finish: None,
            counts: None,
            id: None,
            model: None,
            first_token_ms: None,
            pieces: 0,
        }
    }

    /// Reads an answer that comes as one JSON document.
    pub(super) async fn read_document(&mut self, body: &mut Reader<'_>) -> Result<(), Error> {
        let bytes = body.read_all().await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| self.unreadable("the answer is not UTF-8"))?;
        self.take(text)?;
        if self.finish.is_none() {
            self.finish = Some(Finish::Other("missing".to_owned()));
        }
        Ok(())
    }

    /// Reads an answer that comes as a stream of events, and reports its progress.
    pub(super) async fn read_stream(
        &mut self,
        body: &mut Reader<'_>,
        event_limit: usize,
        report: impl Fn(Progress),
    ) -> Result<(), Error> {
        let mut splitter = Splitter::new(event_limit);
        let mut events = Vec::new();
        loop {
            let bytes = match body.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) if self.finish.is_some() => return Ok(()),
                Ok(None) => return Err(self.unreadable("the stream ended before the answer was complete")),
                Err(error) if self.finish.is_some() && error.kind != ErrorKind::Cancelled => return Ok(()),
                Err(error) => return Err(error),
            };
            splitter
                .push(&bytes, &mut events)
                .map_err(|error| self.unsplittable(error))?;
            for event in events.drain(..) {
                if self.event(&event)? == Next::Done {
                    return Ok(());
                }
            }
            report(Progress {
                output_tokens: self.pieces,
                bytes: body.received(),
            });
        }
    }

    fn event(&mut self, event: &sse::Event) -> Result<Next, Error> {
        let data = event.data.trim();
        if data == "[DONE]" {
            // The mark without a reason: the server says that this is all.
            self.finish
                .get_or_insert_with(|| Finish::Other("missing".to_owned()));
            return Ok(Next::Done);
        }
        if event.name == "error" && self.finish.is_none() {
            return Err(
                Complaint::from_body(data.as_bytes()).after_success(!self.text.is_empty(), self.confidential)
            );
        }
        self.take(data)?;
        Ok(Next::Read)
    }

    fn take(&mut self, json: &str) -> Result<(), Error> {
        // The parser's error is not kept: it may show a piece of the answer.
        let chunk: Chunk = serde_json::from_str(json)
            .map_err(|_| self.unreadable("the answer is not the JSON of a chat completion"))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null())
            && self.finish.is_none()
        {
            return Err(Complaint::from_value(&error).after_success(!self.text.is_empty(), self.confidential));
        }
        if chunk.choices.is_none() && chunk.usage.is_none() {
            return Err(self.unreadable("the answer is JSON, but no chat completion"));
        }
        self.id = self.id.take().or(chunk.id);
        self.model = self
            .model
            .take()
            .or(chunk.model.filter(|model| !model.is_empty()));
        self.counts = chunk.usage.or(self.counts);
        for choice in chunk
            .choices
            .unwrap_or_default()
            .into_iter()
            .filter(|choice| choice.index == 0)
        {
            if let Some(message) = choice.message {
                self.append(message);
            }
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(wire::finish(&reason));
            }
        }
        Ok(())
    }

    fn append(&mut self, message: wire::Text) {
        let content = message.content.unwrap_or_default();
        let refusal = message.refusal.unwrap_or_default();
        if content.is_empty() && refusal.is_empty() {
            return;
        }
        self.first_token_ms
            .get_or_insert_with(|| self.flight.elapsed_ms());
        self.pieces = self.pieces.saturating_add(1);
        self.text.push_str(&content);
        self.refusal.push_str(&refusal);
    }

    fn unreadable(&self, message: &str) -> Error {
        self.flight.error(ErrorKind::StreamBroken, message)
    }

    fn unsplittable(&self, error: sse::Error) -> Error {
        let kind = match error {
            sse::Error::TooLarge { .. } => ErrorKind::ResponseTooLarge,
            sse::Error::NotUtf8 => ErrorKind::StreamBroken,
        };
        self.flight
            .error(kind, "the answer's stream cannot be read")
            .with_source(error)
    }

    /// Gives the finished answer to `request`.
    pub(super) fn finish(self, request: &GenerateRequest) -> GenerateResponse {
        let total_ms = self.flight.elapsed_ms();
        let short = |name: String| name.chars().take(MAX_NAME_CHARS).collect::<String>();
        let is_refused = self.text.is_empty() && !self.refusal.is_empty();
        let (text, finish) = if is_refused {
            (self.refusal, Finish::Other("refusal".to_owned()))
        } else {
            (self.text, self.finish.unwrap_or(Finish::Stop))
        };
        let (usage, usage_source) = wire::usage(self.counts, !text.is_empty());
        GenerateResponse {
            text,
            finish,
            usage,
            usage_source,
            served_model: self.model.map_or_else(|| request.model.clone(), short),
            response_id: self.id.filter(|id| !id.is_empty()).map(short),
            first_token_ms: self.first_token_ms.unwrap_or(total_ms),
            total_ms,
        }
    }
}
