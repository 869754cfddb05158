//! What a run's history says of model calls: which effect got which response, and what the run gave in the end.
//!
//! The history is read as the server keeps it and not through the product's own description of a run, so that the two
//! can disagree.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "Temporal has sixty kinds of events and these are about model calls"
)]

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use temporalio_common::protos::temporal::api::{
    common::v1::Payloads,
    history::v1::{History, history_event::Attributes},
};
use workflow_types::{
    names,
    proto::{
        GenerateTextInput, GenerateTextOutput, LlmPipelineOutput, ReviewVerdict, generate_text_output,
        llm_pipeline_output,
    },
    wire::{self, Message},
};

/// One answer that an activity gave to its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The effect's key.
    pub key: String,
    /// The provider's own id of the response.
    pub response_id: Option<String>,
    /// The answer came from the journal.
    pub replayed: bool,
    /// The SHA-256 of the answer's text in hexadecimal digits, where it is inline.
    pub sha256: Option<String>,
}

/// What one run's history says of model calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The workflow id.
    pub workflow_id: String,
    /// What activities answered, in order.
    pub told: Vec<Told>,
    /// What the run gave in the end, of a pipeline that gave what a model said.
    pub result: Option<Told>,
    /// Effects that were asked for.
    pub asked: Vec<String>,
    /// Payloads that could not be read, as on a server with a codec.
    pub unread: Vec<String>,
}

/// Reads a run's history.
pub(crate) fn read(history: &History) -> Run {
    let mut reader = Reader::default();
    for event in &history.events {
        if let Some(attributes) = &event.attributes {
            reader.take(event.event_id, attributes);
        }
    }
    reader.run
}

#[derive(Default)]
struct Reader {
    run: Run,
    workflow_type: String,
    /// The effect of each scheduled call.
    scheduled: BTreeMap<i64, String>,
}

impl Reader {
    fn take(&mut self, event: i64, attributes: &Attributes) {
        match attributes {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                self.run.workflow_id.clone_from(&started.workflow_id);
                self.workflow_type = started.workflow_type.clone().unwrap_or_default().name;
            }
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                let name = scheduled.activity_type.clone().unwrap_or_default().name;
                if name != names::GENERATE_TEXT {
                    return;
                }
                let input: Option<GenerateTextInput> = self.message(event, scheduled.input.as_ref());
                if let Some(input) = input {
                    self.run.asked.push(input.effect_key.clone());
                    self.scheduled.insert(event, input.effect_key);
                }
            }
            Attributes::ActivityTaskCompletedEventAttributes(completed) => {
                let Some(key) = self.scheduled.get(&completed.scheduled_event_id).cloned() else {
                    return;
                };
                let output: Option<GenerateTextOutput> = self.message(event, completed.result.as_ref());
                // A prompt that doesn't fit was not sent to anybody.
                if let Some(output) = output.filter(|output| output.too_long.is_none()) {
                    self.run.told.push(told(key, output));
                }
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(completed)
                if self.workflow_type == names::LLM_PIPELINE =>
            {
                let output: Option<LlmPipelineOutput> = self.message(event, completed.result.as_ref());
                self.run.result = output.and_then(result);
            }
            _ => {}
        }
    }

    fn message<T: Message>(&mut self, event: i64, payloads: Option<&Payloads>) -> Option<T> {
        let payload = payloads.and_then(|payloads| payloads.payloads.first())?;
        let message = wire::parse_json(&payload.data);
        if message.is_err() {
            let place = format!("{}, event {event}", self.run.workflow_id);
            self.run.unread.push(place);
        }
        message.ok()
    }
}

fn told(key: String, output: GenerateTextOutput) -> Told {
    let text = match output.answer {
        Some(generate_text_output::Answer::Text(text)) => Some(text),
        Some(generate_text_output::Answer::Json(_) | generate_text_output::Answer::Blob(_)) | None => None,
    };
    Told {
        key,
        response_id: output.served_by.and_then(|served| served.response_id),
        replayed: output.replayed,
        sha256: text.as_deref().map(sha256),
    }
}

/// Gives what a pipeline passed on; nothing when a person wrote it, or withheld it.
fn result(output: LlmPipelineOutput) -> Option<Told> {
    let verdict = output
        .review
        .as_ref()
        .map(workflow_types::proto::ReviewRecord::verdict);
    if matches!(verdict, Some(ReviewVerdict::Edit | ReviewVerdict::Reject)) {
        return None;
    }
    let text = match output.answer {
        Some(llm_pipeline_output::Answer::Text(text)) => Some(text),
        Some(llm_pipeline_output::Answer::Json(_) | llm_pipeline_output::Answer::Blob(_)) | None => None,
    };
    Some(Told {
        key: String::new(),
        response_id: output.served_by.and_then(|served| served.response_id),
        replayed: false,
        sha256: text.as_deref().map(sha256),
    })
}

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a String can't fail.
        let _written = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests;
