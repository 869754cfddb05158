//! Puts an answer together from the events of a stream or from one message.
//!
//! Where the answer is the input of a tool, text that comes beside it is not part of the answer: it is held back, and
//! only becomes the answer where no call of the tool came, which is how a model declines.

use super::wire::{self, Block, Counts, Delta, WholeMessage};
use crate::provider::{Error, Finish, GenerateRequest, GenerateResponse};
use crate::refusal::Complaint;
use crate::sse;
use crate::transport::draft::{Draft, Ending};
use crate::transport::{Assembly, Next};

/// An answer in the making.
pub(super) struct Answer<'c> {
    draft: Draft<'c>,
    from_tool: bool,
    is_accepted: bool,
    has_called_tool: bool,
    /// Text beside a tool's input.
    aside: String,
    finish: Option<Finish>,
    counts: Counts,
    id: Option<String>,
    model: Option<String>,
}

impl<'c> Answer<'c> {
    pub(super) fn new(draft: Draft<'c>, from_tool: bool) -> Self {
        Self {
            draft,
            from_tool,
            is_accepted: false,
            has_called_tool: false,
            aside: String::new(),
            finish: None,
            counts: Counts::default(),
            id: None,
            model: None,
        }
    }

    /// Takes what a whole message says beside its content.
    fn head(&mut self, message: &mut WholeMessage) {
        self.is_accepted = true;
        self.id = message.id.take();
        self.model = message.model.take().filter(|model| !model.is_empty());
    }

    fn end(&mut self, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.finish = Some(wire::finish(reason, self.from_tool));
        }
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.draft.note_piece();
        if self.from_tool {
            self.aside.push_str(text);
        } else {
            self.draft.append(text);
        }
    }

    fn tool(&mut self, json: &str) {
        if json.is_empty() {
            return;
        }
        self.draft.note_piece();
        if self.from_tool {
            self.draft.append(json);
        }
    }

    fn begin(&mut self, block: Block) {
        match block {
            Block::Text { text } => self.text(&text),
            Block::ToolUse { .. } => self.has_called_tool = true,
            Block::Other => {}
        }
    }

    fn take(&mut self, event: wire::Event) -> Result<Next, Error> {
        match event {
            wire::Event::MessageStart { mut message } => {
                self.head(&mut message);
                let counts = message.usage.unwrap_or_default().of_input_alone();
                self.counts = self.counts.replaced_by(counts);
            }
            wire::Event::ContentBlockStart { content_block } => self.begin(content_block),
            wire::Event::ContentBlockDelta { delta } => match delta {
                Delta::Text { text } => self.text(&text),
                Delta::InputJson { partial_json } => self.tool(&partial_json),
                Delta::Other => {}
            },
            wire::Event::MessageDelta { delta, usage } => {
                self.counts = self.counts.replaced_by(usage.unwrap_or_default());
                self.end(delta.and_then(|delta| delta.stop_reason).as_deref());
            }
            wire::Event::MessageStop => {
                self.end_without_reason();
                return Ok(Next::Done);
            }
            wire::Event::Error { error } if self.finish.is_none() => {
                return Err(self
                    .draft
                    .complain(&Complaint::from_value(&error), self.is_accepted));
            }
            wire::Event::Error { .. } | wire::Event::Other => {}
        }
        Ok(Next::Read)
    }

    /// The end without a reason: the server says that this is all.
    fn end_without_reason(&mut self) {
        self.finish
            .get_or_insert_with(|| Finish::Other("missing".to_owned()));
    }

    fn unreadable(&self) -> Error {
        self.draft
            .unreadable("the answer is not the JSON of a message of the Messages API")
    }
}

impl Assembly for Answer<'_> {
    fn document(&mut self, json: &str) -> Result<(), Error> {
        // The parser's errors are not kept: they may show a piece of the answer.
        let value: serde_json::Value = serde_json::from_str(json).map_err(|_| self.unreadable())?;
        if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
            return Err(self.draft.complain(&Complaint::from_value(error), false));
        }
        if value.get("content").is_none() {
            return Err(self.unreadable());
        }
        let mut message: WholeMessage = serde_json::from_value(value).map_err(|_| self.unreadable())?;
        self.head(&mut message);
        self.counts = message.usage.unwrap_or_default();
        for block in std::mem::take(&mut message.content) {
            if let Block::ToolUse { input } = &block {
                self.tool(&input.to_string());
            }
            self.begin(block);
        }
        self.end(message.stop_reason.as_deref());
        self.end_without_reason();
        Ok(())
    }

    fn event(&mut self, event: &sse::Event) -> Result<Next, Error> {
        let data = event.data.trim();
        // Gateways that speak both protocols close both kinds of stream, and complain in both, alike.
        if data == "[DONE]" {
            self.end_without_reason();
            return Ok(Next::Done);
        }
        if event.name == "error" && self.finish.is_none() {
            let complaint = Complaint::from_body(data.as_bytes());
            return Err(self.draft.complain(&complaint, self.is_accepted));
        }
        let event = serde_json::from_str(data).map_err(|_| self.unreadable())?;
        self.take(event)
    }

    fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    fn draft(&self) -> &Draft<'_> {
        &self.draft
    }

    fn finish(mut self, request: &GenerateRequest) -> GenerateResponse {
        if self.from_tool && self.draft.text().is_empty() {
            // A tool that is called without any input was given an empty object.
            let answer = if self.has_called_tool {
                "{}"
            } else {
                self.aside.as_str()
            };
            self.draft.append(answer);
        }
        let ending = Ending {
            usage: wire::usage(self.counts, !self.draft.text().is_empty()),
            finish: self.finish.unwrap_or(Finish::Stop),
            id: self.id,
            model: self.model,
        };
        self.draft.into_response(ending, request)
    }
}
