//! Request and response of one generation, as they are digested, stored and replayed.
//!
//! Both are plain data. Their `Debug` output leaves prompts and answers out, because a `Debug` of a whole request
//! ends up in a log sooner or later; a lint could not find that place, a type can.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::LimitHeaders;

/// One request for an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// The model's name without its provider.
    pub model: String,
    /// The conversation, oldest message first.
    pub messages: Vec<Message>,
    /// The most tokens the answer may have.
    pub max_output_tokens: u32,
    /// Sampling temperature; the provider's default if absent.
    pub temperature: Option<f64>,
    /// Nucleus sampling: the share of probability that is sampled from; the provider's default if absent.
    pub top_p: Option<f64>,
    /// Seed of the sampling, for providers that honour one.
    pub seed: Option<i64>,
    /// Texts that end the answer where they appear.
    pub stop: Vec<String>,
    /// The form of the answer.
    pub response_format: ResponseFormat,
}

impl GenerateRequest {
    /// Gives the request's canonical JSON: one line, keys of every object in byte order, absent options as `null`.
    ///
    /// Equal requests give equal bytes in every build, so a digest of them identifies the request. Serde alone
    /// would not do: whether an object inside a schema keeps its order depends on the features that other crates
    /// of the build switch on.
    pub fn canonical_json(&self) -> String {
        let mut out = String::new();
        // A request has string keys only, so its conversion to a value has no way to fail.
        write_canonical(&serde_json::to_value(self).unwrap_or_default(), &mut out);
        out
    }
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|left, right| left.0.cmp(right.0));
            out.push('{');
            for (index, (key, field)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(field, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role)
            .field("content_bytes", &self.content.len())
            .finish()
    }
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand above the conversation.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// The form an answer must have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "schema", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Free text.
    #[default]
    Text,
    /// JSON that satisfies this JSON Schema, as far as the provider can hold the model to it.
    JsonSchema(Value),
}

/// One finished answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateResponse {
    /// The answer's text.
    pub text: String,
    /// Why the answer ended.
    pub finish: Finish,
    /// Tokens used.
    pub usage: Usage,
    /// Where the numbers in `usage` come from.
    pub usage_source: UsageSource,
    /// The model that answered, as the provider names it; may be more exact than the requested name.
    pub served_model: String,
    /// The provider's own id of the response.
    pub response_id: Option<String>,
    /// The provider's own id of the exchange, for asking there about it; not the same as `response_id`.
    #[serde(default)]
    pub request_id: Option<String>,
    /// What the answer's headers say about limits. Not kept with the response: it is true for the moment only.
    #[serde(skip)]
    pub limits: LimitHeaders,
    /// Milliseconds from the start of the call to the first piece of text, or to the end of the answer where it
    /// comes in one piece.
    pub first_token_ms: u64,
    /// Milliseconds from the start of the call to its end.
    pub total_ms: u64,
}

impl fmt::Debug for GenerateResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateResponse")
            .field("text_bytes", &self.text.len())
            .field("finish", &self.finish)
            .field("usage", &self.usage)
            .field("usage_source", &self.usage_source)
            .field("served_model", &self.served_model)
            .field("response_id", &self.response_id)
            .field("request_id", &self.request_id)
            .field("limits", &self.limits)
            .field("first_token_ms", &self.first_token_ms)
            .field("total_ms", &self.total_ms)
            .finish()
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "reason", rename_all = "snake_case")]
pub enum Finish {
    /// The model had said all, or met a stop text.
    Stop,
    /// The answer was cut at the limit of output tokens or of the context window.
    Length,
    /// The provider's content filter cut the answer.
    ContentFilter,
    /// Another reason, as the provider names it.
    Other(String),
}

/// Tokens that one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of input, those included that were cached or written to the cache.
    pub input_tokens: u32,
    /// Those of the input tokens that the provider had cached.
    pub cached_input_tokens: u32,
    /// Those of the input tokens that the provider wrote to its cache.
    #[serde(default)]
    pub cache_write_input_tokens: u32,
    /// Tokens of output, reasoning included.
    pub output_tokens: u32,
    /// Those of the output tokens that were spent on reasoning that is not part of the text.
    pub reasoning_tokens: u32,
}

/// Where the numbers of a [`Usage`] come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider counted.
    Reported,
    /// They are an estimate of ours.
    Estimated,
    /// Nobody counted: the numbers are zero and mean nothing.
    Missing,
}

#[cfg(test)]
mod tests;
