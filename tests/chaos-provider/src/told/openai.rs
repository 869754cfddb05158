//! An answer in the words of chat completions.

use serde_json::{Value, json};

use super::{Tokens, Told};
use crate::script::Finish;

/// The whole answer.
pub(super) fn whole(told: &Told) -> Value {
    let message = match &told.tool {
        None => json!({"role": "assistant", "content": told.text(), "refusal": null}),
        Some(tool) => {
            let function = json!({"name": tool.name, "arguments": told.text()});
            let call = json!({"id": call_id(told), "type": "function", "function": function});
            json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]})
        }
    };
    let choice = json!({"index": 0, "message": message, "finish_reason": reason(told)});
    let mut whole = envelope(told, "chat.completion", &json!([choice]));
    if let Some(tokens) = told.usage {
        whole["usage"] = usage(tokens);
    }
    whole
}

/// The event that carries one token; the first also says who speaks.
pub(super) fn event(told: &Told, token: &str, is_first: bool) -> String {
    let mut delta = match &told.tool {
        None => json!({"content": token}),
        Some(tool) if is_first => {
            let function = json!({"name": tool.name, "arguments": token});
            let call = json!({"index": 0, "id": call_id(told), "type": "function", "function": function});
            json!({"content": null, "tool_calls": [call]})
        }
        Some(_) => json!({"tool_calls": [{"index": 0, "function": {"arguments": token}}]}),
    };
    if is_first {
        delta["role"] = "assistant".into();
    }
    let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
    data(&envelope(told, "chat.completion.chunk", &json!([choice])))
}

/// The reason of the ending, the cost if the request asks for it, and the mark of the end.
pub(super) fn ending(told: &Told) -> Vec<String> {
    let choice = json!({"index": 0, "delta": {}, "finish_reason": reason(told)});
    let mut events = vec![data(&envelope(told, "chat.completion.chunk", &json!([choice])))];
    // The protocol sends the cost of a stream only to who asks for it.
    if let Some(tokens) = told.usage.filter(|_| told.wants_usage) {
        let mut last = envelope(told, "chat.completion.chunk", &json!([]));
        last["usage"] = usage(tokens);
        events.push(data(&last));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn call_id(told: &Told) -> String {
    format!("call_{}", told.seq)
}

fn reason(told: &Told) -> &'static str {
    match (told.finish, &told.tool) {
        // A tool that the request names is no choice of the model, so the protocol calls it a plain stop.
        (Finish::Stop, Some(tool)) if !tool.is_named => "tool_calls",
        (Finish::Stop, _) => "stop",
        (Finish::Length, _) => "length",
        (Finish::ContentFilter, _) => "content_filter",
    }
}

fn envelope(told: &Told, object: &str, choices: &Value) -> Value {
    json!({"id": told.id, "object": object, "created": 0, "model": told.model, "choices": choices})
}

fn usage(tokens: Tokens) -> Value {
    let mut details = json!({"cached_tokens": tokens.cached});
    // Only providers that charge for writes report them.
    if tokens.written > 0 {
        details["cache_write_tokens"] = tokens.written.into();
    }
    json!({
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt.saturating_add(tokens.completion),
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    })
}
