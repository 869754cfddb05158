//! An answer in the words of the Messages API.

use serde_json::{Value, json};

use super::{Tokens, Told};
use crate::script::Finish;

/// The whole answer.
pub(super) fn whole(told: &Told) -> Value {
    let text = told.text();
    let block = match &told.tool {
        None => json!({"type": "text", "text": text}),
        Some(tool) => {
            // What a limit tore is no input; the real one then has what could be read, which may be nothing.
            let input = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
            json!({"type": "tool_use", "id": tool_id(told), "name": tool.name, "input": input})
        }
    };
    let mut whole = message(told, &json!([block]), Some(reason(told)));
    if let Some(tokens) = told.usage {
        whole["usage"] = usage(tokens);
    }
    whole
}

/// The events before the first token.
pub(super) fn opening(told: &Told) -> Vec<String> {
    let mut started = message(told, &json!([]), None);
    if let Some(tokens) = told.usage {
        let completion = tokens.completion.min(1);
        started["usage"] = usage(Tokens { completion, ..tokens });
    }
    let block = match &told.tool {
        None => json!({"type": "text", "text": ""}),
        Some(tool) => json!({"type": "tool_use", "id": tool_id(told), "name": tool.name, "input": {}}),
    };
    vec![
        named("message_start", json!({"message": started})),
        named("content_block_start", json!({"index": 0, "content_block": block})),
        named("ping", json!({})),
    ]
}

/// The event that carries one token.
pub(super) fn event(told: &Told, token: &str) -> String {
    let delta = match &told.tool {
        None => json!({"type": "text_delta", "text": token}),
        Some(_) => json!({"type": "input_json_delta", "partial_json": token}),
    };
    named("content_block_delta", json!({"index": 0, "delta": delta}))
}

/// The events after the last token.
pub(super) fn ending(told: &Told) -> Vec<String> {
    let mut ended = json!({"delta": {"stop_reason": reason(told), "stop_sequence": null}});
    if let Some(tokens) = told.usage {
        ended["usage"] = usage(tokens);
    }
    vec![
        named("content_block_stop", json!({"index": 0})),
        named("message_delta", ended),
        named("message_stop", json!({})),
    ]
}

/// An event with its name, which stands in its data too.
pub(super) fn named(name: &str, mut data: Value) -> String {
    data["type"] = name.into();
    format!("event: {name}\ndata: {data}\n\n")
}

fn message(told: &Told, content: &Value, reason: Option<&str>) -> Value {
    json!({
        "id": told.id, "type": "message", "role": "assistant", "model": told.model,
        "content": content, "stop_reason": reason, "stop_sequence": null,
    })
}

fn tool_id(told: &Told) -> String {
    format!("toolu_{}", told.seq)
}

fn reason(told: &Told) -> &'static str {
    match (told.finish, &told.tool) {
        (Finish::Stop, None) => "end_turn",
        (Finish::Stop, Some(_)) => "tool_use",
        (Finish::Length, _) => "max_tokens",
        (Finish::ContentFilter, _) => "refusal",
    }
}

/// The counts as this protocol has them: tokens of the cache are not among those of the input.
fn usage(tokens: Tokens) -> Value {
    json!({
        "input_tokens": tokens.fresh(),
        "cache_creation_input_tokens": tokens.written,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.completion,
    })
}
