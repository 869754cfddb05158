//! The JSON of the Messages API: what is sent, and the parts of an answer that are read.
//!
//! Only fields that this client uses are named; whatever else a server adds is ignored. A count that is absent stays
//! absent here, because a zero in its place would be taken for a free call.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::options::{ModelOptions, Options, StructuredOutput};
use crate::provider::{Finish, GenerateRequest, Message, ResponseFormat, Role, Usage, UsageSource};

/// The longest reason for an ending that is kept, in characters.
const MAX_REASON_CHARS: usize = 64;
/// The tool that an answer of a given form is put into.
const TOOL: &str = "answer";

/// Gives the way in which this request's form is asked for; none where any text will do.
pub(super) fn way(model: &ModelOptions, request: &GenerateRequest) -> Option<StructuredOutput> {
    match request.response_format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonSchema(_) => Some(model.structured_output),
    }
}

/// Gives the body of the request.
pub(super) fn body(
    options: &Options,
    model: &ModelOptions,
    request: &GenerateRequest,
) -> serde_json::Result<Vec<u8>> {
    let is_system = |message: &&Message| message.role == Role::System;
    let system: Vec<&str> = request
        .messages
        .iter()
        .filter(is_system)
        .map(|message| message.content.as_str())
        .collect();
    let turns: Vec<&Message> = request
        .messages
        .iter()
        .filter(|message| !is_system(message))
        .collect();
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("max_tokens".into(), request.max_output_tokens.into());
    body.insert("messages".into(), serde_json::to_value(turns)?);
    let mut optional = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.into(), value);
        }
    };
    optional("system", (!system.is_empty()).then(|| system.join("\n\n").into()));
    let sampling = |value: Option<f64>| value.filter(|_| !model.omit_sampling).map(Value::from);
    optional("temperature", sampling(request.temperature));
    optional("top_p", sampling(request.top_p));
    optional(
        "stop_sequences",
        (!request.stop.is_empty()).then(|| request.stop.clone().into()),
    );
    optional(
        "cache_control",
        options.prompt_caching.then(|| json!({"type": "ephemeral"})),
    );
    optional("stream", options.streaming.then_some(true.into()));
    if let ResponseFormat::JsonSchema(schema) = &request.response_format {
        let format = json!({"type": "json_schema", "schema": schema});
        match model.structured_output {
            StructuredOutput::JsonSchema => optional("output_config", Some(json!({"format": format}))),
            StructuredOutput::OutputFormat => optional("output_format", Some(format)),
            StructuredOutput::ForcedTool => {
                let tool = json!({"name": TOOL, "description": "Takes the answer.", "input_schema": schema});
                optional("tools", Some(json!([tool])));
                optional("tool_choice", Some(json!({"type": "tool", "name": TOOL})));
            }
            StructuredOutput::None => {}
        }
    }
    serde_json::to_vec(&body)
}

/// A whole answer, or the beginning of a streamed one.
#[derive(Deserialize)]
pub(super) struct WholeMessage {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) content: Vec<Block>,
    pub(super) stop_reason: Option<String>,
    pub(super) usage: Option<Counts>,
}

/// A part of an answer, or the beginning of one.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    /// Text of the answer.
    Text {
        #[serde(default)]
        text: String,
    },
    /// The call of a tool; in a stream its input is empty here.
    ToolUse {
        #[serde(default)]
        input: Value,
    },
    /// Anything else, such as thinking.
    #[serde(other)]
    Other,
}

/// One event of a stream.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event {
    /// The answer begins; how much was read is known.
    MessageStart { message: WholeMessage },
    /// A part begins.
    ContentBlockStart { content_block: Block },
    /// A part grows.
    ContentBlockDelta { delta: Delta },
    /// The answer ends, with its reason and its counts.
    MessageDelta {
        delta: Option<End>,
        usage: Option<Counts>,
    },
    /// Nothing follows.
    MessageStop,
    /// It went wrong in the middle.
    Error { error: Value },
    /// Anything else: pings, ends of parts, what is yet to be invented.
    #[serde(other)]
    Other,
}

/// What a part grows by.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum Delta {
    /// Text of the answer.
    #[serde(rename = "text_delta")]
    Text { text: String },
    /// A piece of the JSON of a tool's input.
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    /// Anything else, such as thinking.
    #[serde(other)]
    Other,
}

/// Why an answer ended.
#[derive(Deserialize)]
pub(super) struct End {
    pub(super) stop_reason: Option<String>,
}

/// Token counts as they are reported; later ones of a stream replace earlier ones.
#[derive(Deserialize, Clone, Copy, Default)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Clone, Copy)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// Leaves out the count of output: that of a stream's beginning is only a first token or so.
    pub(super) fn of_input_alone(self) -> Self {
        Self {
            output_tokens: None,
            output_tokens_details: None,
            ..self
        }
    }

    /// Takes what `later` says, and the rest from here.
    pub(super) fn replaced_by(self, later: Self) -> Self {
        Self {
            input_tokens: later.input_tokens.or(self.input_tokens),
            cache_creation_input_tokens: later
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
            output_tokens_details: later.output_tokens_details.or(self.output_tokens_details),
        }
    }
}

/// Gives the usage and whether it was counted.
///
/// The interface counts input in three parts, of which the first leaves out what was cached; here the input is all of
/// it. A count of zero for a prompt or for text that is there is no count: some gateways fill in zeros.
pub(super) fn usage(counts: Counts, has_text: bool) -> (Usage, UsageSource) {
    let missing = (Usage::default(), UsageSource::Missing);
    let (Some(fresh), Some(output)) = (counts.input_tokens, counts.output_tokens) else {
        return missing;
    };
    let cached = counts.cache_read_input_tokens.unwrap_or(0);
    let written = counts.cache_creation_input_tokens.unwrap_or(0);
    let input = fresh.saturating_add(cached).saturating_add(written);
    if input == 0 || (output == 0 && has_text) {
        return missing;
    }
    let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let thinking = counts
        .output_tokens_details
        .and_then(|details| details.thinking_tokens);
    let usage = Usage {
        input_tokens: narrow(input),
        cached_input_tokens: narrow(cached),
        cache_write_input_tokens: narrow(written),
        output_tokens: narrow(output),
        reasoning_tokens: narrow(thinking.unwrap_or(0).min(output)),
    };
    (usage, UsageSource::Reported)
}

/// Reads the reason for an ending; `from_tool` says that a call of the tool is the answer.
pub(super) fn finish(reason: &str, from_tool: bool) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "tool_use" if from_tool => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        // The provider's own classifiers stopped it; what there is of a text is not the answer.
        "refusal" => Finish::ContentFilter,
        other => Finish::Other(other.chars().take(MAX_REASON_CHARS).collect()),
    }
}

#[cfg(test)]
mod tests;
