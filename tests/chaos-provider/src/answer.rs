//! What a chat request asks and what a good answer to it says.
//!
//! Tokens are the pieces between spaces. A real tokenizer would make the counts look truer, but a test would have to
//! run it too to know what to expect; with these, the right count of any text is plain.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::script::{Answer, Finish, Text, UsageReport};

/// Counts the tokens of a text as this provider does.
pub fn count_tokens(text: &str) -> u32 {
    u32::try_from(pieces(text).count()).unwrap_or(u32::MAX)
}

/// Gives the normal answer to a conversation, from the text of its messages.
pub fn summary_of<'a>(messages: impl IntoIterator<Item = &'a str>) -> String {
    let prompt: String = messages.into_iter().flat_map(|message| [message, "\n"]).collect();
    format!("summary of {}", &sha256_hex(prompt.as_bytes())[..8])
}

/// Cuts a text into its tokens; together they are the text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// Gives the SHA-256 of some bytes in hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    Sha256::digest(bytes).into_iter().flat_map(digits).collect()
}

/// One request for a completion.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) model: String,
    pub(crate) messages: Vec<String>,
    pub(crate) stream: bool,
    pub(crate) wants_usage: bool,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) marker: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
}

impl Message {
    /// The text of a message whose content is a string, or a list of parts.
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
        }
    }
}

impl Call {
    /// Reads the body of a request; none when it is no chat request.
    pub(crate) fn read(body: &[u8], marker: Option<String>) -> Option<Self> {
        let body: Body = serde_json::from_slice(body).ok()?;
        Some(Self {
            model: body.model,
            messages: body.messages.iter().map(Message::text).collect(),
            stream: body.stream,
            wants_usage: body.stream_options.is_some_and(|options| options.include_usage),
            max_tokens: body.max_tokens,
            marker,
        })
    }

    pub(crate) fn prompt_tokens(&self) -> u32 {
        self.messages.iter().map(|message| count_tokens(message)).sum()
    }
}

/// An answer made out: its tokens, its ending, and what it reports.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) tokens: Vec<String>,
    pub(crate) finish: Finish,
    pub(crate) usage: Option<Value>,
    id: String,
    model: String,
}

impl Told {
    /// Makes out the answer to a call.
    pub(crate) fn new(seq: u64, call: &Call, answer: &Answer) -> Self {
        let cut = |text: &str| pieces(text).map(Into::into).collect();
        let mut tokens: Vec<String> = match &answer.text {
            Text::Digest => cut(&summary_of(call.messages.iter().map(String::as_str))),
            Text::Fixed(text) => cut(text),
            Text::Words(count) => (1..=*count).map(|word| format!("word{word} ")).collect(),
        };
        let mut finish = answer.finish;
        let limit = call.max_tokens.and_then(|limit| usize::try_from(limit).ok());
        if let Some(limit) = limit.filter(|limit| *limit < tokens.len()) {
            tokens.truncate(limit);
            finish = Finish::Length;
        }
        let usage = usage(call.prompt_tokens(), tokens.len(), answer.usage);
        Self {
            tokens,
            finish,
            usage,
            id: format!("chatcmpl-{seq}"),
            model: call.model.clone(),
        }
    }

    /// The whole answer as one JSON value.
    pub(crate) fn whole(&self) -> Value {
        let message = json!({"role": "assistant", "content": self.tokens.concat(), "refusal": null});
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish.word()});
        self.envelope("chat.completion", &json!([choice]), self.usage.as_ref())
    }

    /// The chunk of a stream that carries one token; the first also says who speaks.
    pub(crate) fn chunk(&self, token: &str, first: bool) -> Value {
        let delta = if first {
            json!({"role": "assistant", "content": token})
        } else {
            json!({"content": token})
        };
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        self.envelope("chat.completion.chunk", &json!([choice]), None)
    }

    /// The chunk that ends the text.
    pub(crate) fn last_chunk(&self) -> Value {
        let choice = json!({"index": 0, "delta": {}, "finish_reason": self.finish.word()});
        self.envelope("chat.completion.chunk", &json!([choice]), None)
    }

    /// The chunk that reports the cost.
    pub(crate) fn usage_chunk(&self) -> Option<Value> {
        let usage = self.usage.as_ref()?;
        Some(self.envelope("chat.completion.chunk", &json!([]), Some(usage)))
    }

    fn envelope(&self, object: &str, choices: &Value, usage: Option<&Value>) -> Value {
        let mut envelope =
            json!({"id": self.id, "object": object, "created": 0, "model": self.model, "choices": choices});
        if let Some(usage) = usage {
            envelope["usage"] = usage.clone();
        }
        envelope
    }
}

fn usage(prompt: u32, completion: usize, report: UsageReport) -> Option<Value> {
    let of = |prompt: u64, completion: u64| json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion});
    match report {
        UsageReport::Right => Some(of(prompt.into(), u64::try_from(completion).unwrap_or(u64::MAX))),
        UsageReport::Missing => None,
        UsageReport::Zero => Some(of(0, 0)),
    }
}

/// The body of a refusal.
pub(crate) fn refusal(status: u16, code: Option<&str>) -> Value {
    let (kind, usual, message) = match status {
        400 => (
            "invalid_request_error",
            "invalid_request",
            "The request is not valid.",
        ),
        401 => ("authentication_error", "invalid_api_key", "The key is not valid."),
        403 => ("permission_error", "forbidden", "The key may not use this model."),
        404 => (
            "invalid_request_error",
            "model_not_found",
            "The model does not exist.",
        ),
        429 => ("rate_limit_error", "rate_limit_exceeded", "Too many requests."),
        503 | 529 => ("overloaded_error", "overloaded", "The provider is overloaded."),
        _ => ("server_error", "internal_error", "The provider failed."),
    };
    let (kind, message) = match code {
        Some("insufficient_quota") => ("insufficient_quota", "The account has no quota left."),
        Some("context_length_exceeded") => (kind, "The prompt is longer than the model's context window."),
        Some(_) | None => (kind, message),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code.unwrap_or(usual)}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prompts_have_equal_answers_and_others_do_not() {
        assert_eq!(summary_of(["a", "b"]), summary_of(["a", "b"]));
        assert_ne!(summary_of(["a", "b"]), summary_of(["ab"]));
        assert_eq!(summary_of(["a"]).len(), "summary of ".len() + 8);
    }

    #[test]
    fn the_limit_of_a_request_cuts_the_answer_and_counts_what_is_left() {
        let call = Call {
            messages: vec!["one two three".into()],
            max_tokens: Some(2),
            ..Call::default()
        };
        let told = Told::new(
            1,
            &call,
            &Answer {
                text: Text::Words(5),
                ..Answer::default()
            },
        );
        assert_eq!(told.tokens.concat(), "word1 word2 ");
        assert_eq!(told.finish, Finish::Length);
        let usage = told.whole()["usage"].clone();
        assert_eq!(
            usage,
            json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
        );
    }

    #[test]
    fn content_in_parts_is_read_like_content_in_one_string() {
        let body = br#"{"model":"m","messages":[{"content":[{"type":"text","text":"a b"}]},{"content":null}],
            "max_completion_tokens":7}"#;
        let call = Call::read(body, None).unwrap();
        assert_eq!(call.messages, ["a b", ""]);
        assert_eq!(call.max_tokens, Some(7));
        assert!(Call::read(b"{\"model\":1}", None).is_none());
    }

    #[test]
    fn an_exhausted_quota_is_told_from_a_fast_pace_by_its_code() {
        assert_eq!(refusal(429, None)["error"]["code"], "rate_limit_exceeded");
        assert_eq!(
            refusal(429, Some("insufficient_quota"))["error"]["type"],
            "insufficient_quota"
        );
    }
}
