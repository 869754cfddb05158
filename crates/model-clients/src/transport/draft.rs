//! An answer in the making, as far as it is the same in every protocol.
//!
//! The text, its way to whoever reads along, the time of its first piece and the errors that an answer can turn into
//! are no matter of the protocol; which field of which event holds what, is.

use crate::provider::{
    Deltas, Error, ErrorKind, Finish, GenerateRequest, GenerateResponse, Usage, UsageSource,
};
use crate::quoted::Confidential;
use crate::refusal::{Complaint, Progressed};
use crate::transport::Flight;

/// The most characters of a response's id or a model's name that are kept.
const MAX_NAME_CHARS: usize = 256;

/// An answer in the making.
pub(crate) struct Draft<'c> {
    flight: &'c Flight,
    confidential: Confidential<'c>,
    deltas: Option<&'c Deltas>,
    text: String,
    pieces: u32,
    first_token_ms: Option<u64>,
}

/// What is known of an answer at its end beside its text.
pub(crate) struct Ending {
    pub(crate) finish: Finish,
    pub(crate) usage: (Usage, UsageSource),
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
}

impl<'c> Draft<'c> {
    pub(crate) fn new(
        flight: &'c Flight,
        confidential: Confidential<'c>,
        deltas: Option<&'c Deltas>,
    ) -> Self {
        Self {
            flight,
            confidential,
            deltas,
            text: String::new(),
            pieces: 0,
            first_token_ms: None,
        }
    }

    /// Notes that a piece of output came, be it part of the text or not.
    pub(crate) fn note_piece(&mut self) {
        self.first_token_ms
            .get_or_insert_with(|| self.flight.elapsed_ms());
        self.pieces = self.pieces.saturating_add(1);
    }

    /// Adds to the text and tells whoever reads along.
    pub(crate) fn append(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        self.text.push_str(piece);
        if let Some(deltas) = self.deltas {
            // A reader that has gone away is no reason to lose the answer.
            deltas.send(piece.to_owned()).ok();
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Pieces of output so far.
    pub(crate) fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Makes the error of an answer that cannot be read.
    pub(crate) fn unreadable(&self, message: impl Into<String>) -> Error {
        self.flight.error(ErrorKind::StreamBroken, message)
    }

    /// Makes an error of another kind.
    pub(crate) fn error(&self, kind: ErrorKind, message: &str) -> Error {
        self.flight.error(kind, message)
    }

    /// Makes the error that the provider reports inside its answer.
    pub(crate) fn complain(&self, complaint: &Complaint, is_accepted: bool) -> Error {
        let progressed = match (self.pieces > 0, is_accepted) {
            (true, _) => Progressed::Text,
            (false, true) => Progressed::Accepted,
            (false, false) => Progressed::Nothing,
        };
        complaint.after_success(progressed, self.confidential)
    }

    /// Gives the finished answer to `request`.
    pub(crate) fn into_response(self, ending: Ending, request: &GenerateRequest) -> GenerateResponse {
        let total_ms = self.flight.elapsed_ms();
        let heard = self.flight.heard();
        let short = |name: String| name.chars().take(MAX_NAME_CHARS).collect::<String>();
        let (usage, usage_source) = ending.usage;
        GenerateResponse {
            text: self.text,
            finish: ending.finish,
            usage,
            usage_source,
            served_model: ending.model.map_or_else(|| request.model.clone(), short),
            response_id: ending.id.filter(|id| !id.is_empty()).map(short),
            request_id: heard.request_id,
            limits: heard.limits,
            first_token_ms: self.first_token_ms.unwrap_or(total_ms),
            total_ms,
        }
    }
}
