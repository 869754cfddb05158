//! An answer made out: its tokens, its ending, and what it reports, before it is put into a protocol's words.

use serde_json::Value;

use crate::call::{Call, Form, Protocol, Tool, pieces, summary_of};
use crate::schema::example;
use crate::script::{Answer, Finish, Text, UsageReport};

mod anthropic;
mod openai;
pub(crate) mod refusal;

/// The tokens of a call: those of the prompt, of which some were read from the cache or written to it, and those of
/// the answer, of which some were not shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) prompt: u32,
    pub(crate) cached: u32,
    pub(crate) written: u32,
    pub(crate) completion: u32,
    pub(crate) reasoning: u32,
}

impl Tokens {
    /// The share of the prompt that has nothing to do with the cache.
    fn fresh(self) -> u32 {
        self.prompt
            .saturating_sub(self.cached)
            .saturating_sub(self.written)
    }

    fn scaled(self, percent: u32) -> Self {
        let part =
            |count: u32| u32::try_from(u64::from(count) * u64::from(percent) / 100).unwrap_or(u32::MAX);
        Self {
            prompt: part(self.prompt),
            cached: part(self.cached),
            written: part(self.written),
            completion: part(self.completion),
            reasoning: part(self.reasoning),
        }
    }
}

/// What an answer is made from.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) seq: u64,
    pub(crate) response_id: &'a str,
    pub(crate) call: &'a Call,
    /// What the request's cache marks led to.
    pub(crate) cached: u32,
    pub(crate) written: u32,
}

/// An answer made out.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) tokens: Vec<String>,
    /// What it truly costs if it is told to its end.
    pub(crate) cost: Tokens,
    finish: Finish,
    /// What it says that it costs.
    usage: Option<Tokens>,
    seq: u64,
    id: String,
    model: String,
    protocol: Protocol,
    wants_usage: bool,
    tool: Option<Tool>,
}

impl Told {
    /// Makes out the answer to a call.
    pub(crate) fn new(source: &Source<'_>, answer: &Answer, ignores_limit: bool) -> Self {
        let call = source.call;
        let mut tokens = tokens_of(call, &answer.text);
        let limit = call.max_tokens.filter(|_| !ignores_limit);
        let reasoning = answer.reasoning_tokens.min(limit.unwrap_or(u32::MAX));
        let left = limit.and_then(|limit| usize::try_from(limit - reasoning).ok());
        let mut finish = answer.finish;
        if let Some(left) = left.filter(|left| *left < tokens.len()) {
            tokens.truncate(left);
            finish = Finish::Length;
        }
        let prompt = call.prompt_tokens();
        let cached = answer.cached_tokens.unwrap_or(source.cached).min(prompt);
        let cost = Tokens {
            prompt,
            cached,
            written: answer
                .cache_write_tokens
                .unwrap_or(source.written)
                .min(prompt - cached),
            completion: u32::try_from(tokens.len())
                .unwrap_or(u32::MAX)
                .saturating_add(reasoning),
            reasoning,
        };
        let tool = match &call.form {
            Form::Tool(tool) => Some(tool.clone()),
            Form::Text | Form::AnyJson | Form::Schema(_) => None,
        };
        Self {
            tokens,
            cost,
            finish,
            usage: match answer.usage {
                UsageReport::Right => Some(cost),
                UsageReport::Missing => None,
                UsageReport::Zero => Some(Tokens::default()),
                UsageReport::Percent(percent) => Some(cost.scaled(percent)),
            },
            seq: source.seq,
            id: source.response_id.to_owned(),
            model: call.model.clone(),
            protocol: call.protocol,
            wants_usage: call.wants_usage,
            tool,
        }
    }

    /// The same answer with another text, in one piece.
    pub(crate) fn with_text(self, text: &str) -> Self {
        Self {
            tokens: vec![text.to_owned()],
            tool: None,
            ..self
        }
    }

    /// The whole answer as one JSON value.
    pub(crate) fn whole(&self) -> Value {
        match self.protocol {
            Protocol::OpenAi => openai::whole(self),
            Protocol::Anthropic => anthropic::whole(self),
        }
    }

    /// The events of a stream that come before the first token.
    pub(crate) fn opening(&self) -> Vec<String> {
        match self.protocol {
            Protocol::OpenAi => Vec::new(),
            Protocol::Anthropic => anthropic::opening(self),
        }
    }

    /// The event that carries one token.
    pub(crate) fn event(&self, token: &str, is_first: bool) -> String {
        match self.protocol {
            Protocol::OpenAi => openai::event(self, token, is_first),
            Protocol::Anthropic => anthropic::event(self, token),
        }
    }

    /// The events after the last token.
    pub(crate) fn ending(&self) -> Vec<String> {
        match self.protocol {
            Protocol::OpenAi => openai::ending(self),
            Protocol::Anthropic => anthropic::ending(self),
        }
    }

    /// The text, with what a client may trim.
    pub(crate) fn text(&self) -> String {
        self.tokens.concat()
    }
}

fn tokens_of(call: &Call, text: &Text) -> Vec<String> {
    let cut = |text: &str| pieces(text).map(Into::into).collect();
    match text {
        Text::Digest => {
            let summary = summary_of(call.messages.iter().map(String::as_str));
            match &call.form {
                Form::Text => cut(&summary),
                Form::AnyJson => cut(&serde_json::json!({"summary": summary}).to_string()),
                Form::Schema(schema) => cut(&example(schema, &summary).to_string()),
                Form::Tool(tool) => cut(&example(&tool.schema, &summary).to_string()),
            }
        }
        Text::Fixed(text) => cut(text),
        Text::Words(count) => (1..=*count).map(|word| format!("word{word} ")).collect(),
    }
}

#[cfg(test)]
mod tests;
