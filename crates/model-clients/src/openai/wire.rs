//! The JSON of chat completions: what is sent, and the parts of an answer that are read.
//!
//! Only fields that this client uses are named; whatever else a server adds is ignored. A count that is absent
//! stays absent here, because a zero in its place would be taken for a free call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::options::{Options, StructuredOutput};
use crate::provider::{Finish, GenerateRequest, ResponseFormat, Usage, UsageSource};

/// The longest reason for an ending that is kept, in characters.
const MAX_REASON_CHARS: usize = 64;

/// Gives the body of the request.
pub(super) fn body(options: &Options, request: &GenerateRequest) -> serde_json::Result<Vec<u8>> {
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("messages".into(), serde_json::to_value(&request.messages)?);
    body.insert(
        options.max_tokens_field.key().into(),
        request.max_output_tokens.into(),
    );
    let mut optional = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.into(), value);
        }
    };
    let omit_sampling = options
        .models
        .get(&request.model)
        .is_some_and(|model| model.omit_sampling);
    let sampling = |value: Option<f64>| value.filter(|_| !omit_sampling).map(Value::from);
    optional("temperature", sampling(request.temperature));
    optional("top_p", sampling(request.top_p));
    optional("seed", request.seed.map(Value::from));
    optional(
        "stop",
        (!request.stop.is_empty()).then(|| request.stop.clone().into()),
    );
    optional(
        "response_format",
        response_format(options, &request.response_format),
    );
    if options.streaming {
        optional("stream", Some(true.into()));
        optional(
            "stream_options",
            options.stream_usage.then(|| json!({"include_usage": true})),
        );
    }
    serde_json::to_vec(&body)
}

fn response_format(options: &Options, format: &ResponseFormat) -> Option<Value> {
    let schema = match format {
        ResponseFormat::Text => return None,
        ResponseFormat::JsonSchema(schema) => schema,
    };
    let with_schema = |strict: bool| {
        json!({
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": strict, "schema": schema},
        })
    };
    match options.structured_output {
        StructuredOutput::JsonSchema => Some(with_schema(true)),
        StructuredOutput::LooseJsonSchema => Some(with_schema(false)),
        StructuredOutput::JsonObject => Some(json!({"type": "json_object"})),
        StructuredOutput::None => None,
    }
}

/// A whole answer, or one chunk of a stream.
#[derive(Deserialize)]
pub(super) struct Chunk {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) choices: Option<Vec<Choice>>,
    pub(super) usage: Option<Counts>,
    pub(super) error: Option<Value>,
}

/// One alternative of an answer; only the first is asked for.
#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) index: u32,
    /// `delta` in a stream, `message` in a whole answer.
    #[serde(alias = "delta")]
    pub(super) message: Option<Text>,
    pub(super) finish_reason: Option<String>,
}

/// The text of a choice.
#[derive(Deserialize)]
pub(super) struct Text {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
}

/// Token counts as they are reported.
#[derive(Deserialize, Serialize, Clone, Copy)]
pub(super) struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize, Serialize, Clone, Copy)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    /// Named in two ways by the servers that bill it.
    #[serde(alias = "cache_creation_tokens")]
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Serialize, Clone, Copy)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// Gives the usage and whether it was counted.
///
/// A count of zero for a prompt or for text that is there is no count: some gateways fill in zeros.
pub(super) fn usage(counts: Option<Counts>, has_text: bool) -> (Usage, UsageSource) {
    let missing = (Usage::default(), UsageSource::Missing);
    let Some(counts) = counts else { return missing };
    let (Some(input), Some(output)) = (counts.prompt_tokens, counts.completion_tokens) else {
        return missing;
    };
    if input == 0 || (output == 0 && has_text) {
        return missing;
    }
    let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let cached = counts
        .prompt_tokens_details
        .and_then(|details| details.cached_tokens);
    let reasoning = counts
        .completion_tokens_details
        .and_then(|details| details.reasoning_tokens);
    let cached = cached.unwrap_or(0).min(input);
    let written = counts
        .prompt_tokens_details
        .and_then(|details| details.cache_write_tokens);
    let usage = Usage {
        input_tokens: narrow(input),
        cached_input_tokens: narrow(cached),
        cache_write_input_tokens: narrow(written.unwrap_or(0).min(input - cached)),
        output_tokens: narrow(output),
        reasoning_tokens: narrow(reasoning.unwrap_or(0).min(output)),
    };
    (usage, UsageSource::Reported)
}

/// Reads the reason for an ending.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "stop" => Finish::Stop,
        "length" | "max_tokens" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        other => Finish::Other(other.chars().take(MAX_REASON_CHARS).collect()),
    }
}

#[cfg(test)]
mod tests;
