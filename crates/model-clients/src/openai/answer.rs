//! Puts an answer together from the chunks of a stream or from one chat completion.

use super::wire::{self, Chunk};
use crate::provider::{Error, Finish, GenerateRequest, GenerateResponse};
use crate::refusal::Complaint;
use crate::sse::Event;
use crate::transport::draft::{Draft, Ending};
use crate::transport::{Assembly, Next};

/// An answer in the making.
pub(super) struct Answer<'c> {
    draft: Draft<'c>,
    /// Held back: it is the answer only where there is no other text.
    refusal: String,
    finish: Option<Finish>,
    counts: Option<wire::Counts>,
    id: Option<String>,
    model: Option<String>,
}

impl<'c> Answer<'c> {
    pub(super) fn new(draft: Draft<'c>) -> Self {
        Self {
            draft,
            refusal: String::new(),
            finish: None,
            counts: None,
            id: None,
            model: None,
        }
    }

    /// The mark of the end without a reason: the server says that this is all.
    fn end_without_reason(&mut self) {
        self.finish
            .get_or_insert_with(|| Finish::Other("missing".to_owned()));
    }

    fn take(&mut self, json: &str) -> Result<(), Error> {
        // The parser's error is not kept: it may show a piece of the answer.
        let chunk: Chunk = serde_json::from_str(json).map_err(|_| {
            self.draft
                .unreadable("the answer is not the JSON of a chat completion")
        })?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null())
            && self.finish.is_none()
        {
            return Err(self.draft.complain(&Complaint::from_value(&error), false));
        }
        if chunk.choices.is_none() && chunk.usage.is_none() {
            return Err(self
                .draft
                .unreadable("the answer is JSON, but no chat completion"));
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
        self.draft.note_piece();
        self.draft.append(&content);
        self.refusal.push_str(&refusal);
    }
}

impl Assembly for Answer<'_> {
    fn document(&mut self, json: &str) -> Result<(), Error> {
        self.take(json)?;
        self.end_without_reason();
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<Next, Error> {
        let data = event.data.trim();
        if data == "[DONE]" {
            self.end_without_reason();
            return Ok(Next::Done);
        }
        if event.name == "error" && self.finish.is_none() {
            return Err(self.draft.complain(&Complaint::from_body(data.as_bytes()), false));
        }
        self.take(data)?;
        Ok(Next::Read)
    }

    fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    fn draft(&self) -> &Draft<'_> {
        &self.draft
    }

    fn finish(mut self, request: &GenerateRequest) -> GenerateResponse {
        let is_refused = self.draft.text().is_empty() && !self.refusal.is_empty();
        let finish = if is_refused {
            self.draft.append(&self.refusal);
            Finish::Other("refusal".to_owned())
        } else {
            self.finish.unwrap_or(Finish::Stop)
        };
        let ending = Ending {
            finish,
            usage: wire::usage(self.counts, !self.draft.text().is_empty()),
            id: self.id,
            model: self.model,
        };
        self.draft.into_response(ending, request)
    }
}
