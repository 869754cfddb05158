//! The prompt: what the model is told, and how many tokens that is.

use documents::tokens::TokenCounter;
use model_clients::provider::{GenerateRequest, Message, ModelInfo, ResponseFormat, Role};
use workflow_types::request::Format;

use super::source::{Ask, Correction};

/// Tokens that a chat template may add around a message, and in all; the latter holds a template's own system prompt. What
/// preprocessing sets aside is more, so that what it cut fits.
const TOKENS_PER_MESSAGE: usize = 8;
const TOKENS_PER_PROMPT: usize = 48;

/// Composes the request to the provider.
pub(super) fn compose(ask: &Ask, text: &str, model: &ModelInfo) -> GenerateRequest {
    let system = ask
        .system
        .iter()
        .map(|system| message(Role::System, system.clone()));
    let mut messages: Vec<Message> = system.collect();
    messages.push(message(Role::User, task(ask, text, model.constrained_json)));
    if let Some(repair) = &ask.correction {
        messages.push(message(Role::Assistant, repair.answer.clone()));
        messages.push(message(Role::User, correction(repair)));
    }
    GenerateRequest {
        model: model.name.clone(),
        messages,
        max_output_tokens: ask.parameters.max_output_tokens,
        temperature: Some(ask.parameters.temperature),
        top_p: ask.parameters.top_p,
        seed: ask.parameters.seed.map(i64::from),
        stop: ask.parameters.stop.clone(),
        response_format: match &ask.output.format {
            Format::Text => ResponseFormat::Text,
            Format::Json(form) => ResponseFormat::JsonSchema(form.schema.clone()),
        },
    }
}

/// Counts the prompt's tokens: the content's, those of everything around it, and what a template may add.
pub(super) fn tokens(ask: &Ask, content_tokens: usize, constrained: bool, counter: &TokenCounter) -> u32 {
    let system = ask.system.as_deref().map_or(0, |system| counter.count(system));
    let around = counter.count(&task(ask, "", constrained));
    let repair = ask.correction.as_ref();
    let again = repair.map_or(0, |repair| {
        counter.count(&repair.answer) + counter.count(&correction(repair))
    });
    let messages = 1 + usize::from(ask.system.is_some()) + 2 * usize::from(repair.is_some());
    let total = content_tokens + system + around + again + messages * TOKENS_PER_MESSAGE + TOKENS_PER_PROMPT;
    u32::try_from(total).unwrap_or(u32::MAX)
}

/// Counts the tokens of a schema that goes beside the prompt; providers may put it into the prompt themselves.
pub(super) fn form_tokens(ask: &Ask, constrained: bool, counter: &TokenCounter) -> u32 {
    match &ask.output.format {
        Format::Json(form) if constrained => {
            let tokens = counter.count(&form.schema.to_string()) + TOKENS_PER_PROMPT;
            u32::try_from(tokens).unwrap_or(u32::MAX)
        }
        Format::Json(_) | Format::Text => 0,
    }
}

/// A model that is held to a schema while it writes needs no description of it.
fn task(ask: &Ask, text: &str, constrained: bool) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(ask.instruction.clone());
    if let (Format::Json(form), false) = (&ask.output.format, constrained) {
        parts.push(format!(
            "Answer with JSON only, matching this JSON Schema:\n{}",
            form.schema
        ));
    }
    parts.push(text.to_owned());
    parts.join("\n\n")
}

fn correction(repair: &Correction) -> String {
    let problems: Vec<String> = repair
        .problems
        .iter()
        .map(|problem| format!("- {}: {}", problem.path, problem.message))
        .collect();
    format!(
        "That does not match the JSON Schema:\n{}\nAnswer again with the corrected JSON only.",
        problems.join("\n")
    )
}

fn message(role: Role, content: String) -> Message {
    Message { role, content }
}

/// Fits a count into a contract's field.
pub(super) fn count<N: TryInto<i32>>(number: N) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
