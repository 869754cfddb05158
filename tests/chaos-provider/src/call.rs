//! What a request asks, read from the body of either protocol into one form.
//!
//! Tokens are the pieces between spaces. A real tokenizer would make the counts look truer, but a test would have to
//! run it too to know what to expect; with these, the right count of any text is plain.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Counts the tokens of a text as this provider does.
pub fn count_tokens(text: &str) -> u32 {
    u32::try_from(pieces(text).count()).unwrap_or(u32::MAX)
}

/// Gives the normal answer to a conversation, from the text of its messages; a system prompt is the first of them.
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

/// The protocol that a request is made in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Chat completions.
    #[default]
    OpenAi,
    /// Messages.
    Anthropic,
}

/// The form that an answer shall have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Form {
    /// Any text.
    #[default]
    Text,
    /// Some JSON object.
    AnyJson,
    /// JSON of this schema.
    Schema(Value),
    /// The call of a tool whose input has this schema.
    Tool(Tool),
}

/// A tool that has to be called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
    /// The request names it, rather than leaving the choice.
    pub(crate) is_named: bool,
}

/// A beginning of the prompt that may be in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) tokens: u32,
    pub(crate) digest: String,
}

/// One request for an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) protocol: Protocol,
    pub(crate) model: String,
    pub(crate) messages: Vec<String>,
    pub(crate) stream: bool,
    pub(crate) wants_usage: bool,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) marker: Option<String>,
    pub(crate) form: Form,
    /// The beginnings of the prompt up to the last cache mark, one for each block; empty without a mark.
    pub(crate) prefixes: Vec<Prefix>,
}

/// The fields of both protocols; those of the other one are ignored.
#[derive(Deserialize)]
struct Body {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    system: Value,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<u32>,
    #[serde(default)]
    cache_control: Value,
    #[serde(default)]
    response_format: Value,
    #[serde(default)]
    output_config: Value,
    #[serde(default)]
    output_format: Value,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    tool_choice: Value,
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

impl Call {
    /// Reads the body of a request; none when it is no request of the protocol.
    pub(crate) fn read(protocol: Protocol, body: &[u8], marker: Option<String>) -> Option<Self> {
        let body: Body = serde_json::from_slice(body).ok()?;
        let is_anthropic = protocol == Protocol::Anthropic;
        if is_anthropic && body.max_tokens.is_none() {
            return None;
        }
        let system = Some(&body.system).filter(|system| is_anthropic && !system.is_null());
        let contents: Vec<&Value> = system
            .into_iter()
            .chain(body.messages.iter().map(|message| &message.content))
            .collect();
        let messages = contents.iter().map(|content| text_of(content)).collect();
        let prefixes = if is_anthropic {
            prefixes(&contents, !body.cache_control.is_null())
        } else {
            Vec::new()
        };
        Some(Self {
            protocol,
            messages,
            form: if is_anthropic {
                body.anthropic_form()
            } else {
                body.openai_form()
            },
            prefixes,
            model: body.model,
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

impl Body {
    fn openai_form(&self) -> Form {
        let function = |tool: &Value| tool["function"].clone();
        let named = self.tool_choice["function"]["name"].as_str();
        if named.is_some() || self.tool_choice == "required" {
            return self.tool(named, "parameters", function);
        }
        match self.response_format["type"].as_str() {
            Some("json_schema") => Form::Schema(self.response_format["json_schema"]["schema"].clone()),
            Some("json_object") => Form::AnyJson,
            Some(_) | None => Form::Text,
        }
    }

    fn anthropic_form(&self) -> Form {
        let named = self.tool_choice["name"].as_str();
        if named.is_some() || self.tool_choice["type"] == "any" {
            return self.tool(named, "input_schema", Value::clone);
        }
        let formats = [&self.output_config["format"], &self.output_format];
        let schema = formats.into_iter().find(|format| format["type"] == "json_schema");
        schema.map_or(Form::Text, |format| Form::Schema(format["schema"].clone()))
    }

    /// The tool of this name, or the first one.
    fn tool(&self, named: Option<&str>, schema: &str, inner: impl Fn(&Value) -> Value) -> Form {
        let mut tools = self.tools.as_array().into_iter().flatten().map(inner);
        let wanted = |tool: &Value| named.is_none_or(|name| tool["name"] == name);
        let Some(tool) = tools.find(wanted) else {
            return Form::Text;
        };
        Form::Tool(Tool {
            name: tool["name"].as_str().unwrap_or_default().to_owned(),
            schema: tool[schema].clone(),
            is_named: named.is_some(),
        })
    }
}

/// The text of a content that is a string, or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(part_text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// The text of a part, or of the tool's result that it is.
fn part_text(part: &Value) -> String {
    part["text"]
        .as_str()
        .map_or_else(|| text_of(&part["content"]), str::to_owned)
}

/// The beginnings of a prompt that end with a block, up to the last that is marked for the cache.
fn prefixes(contents: &[&Value], is_marked: bool) -> Vec<Prefix> {
    let mut found = Vec::new();
    let mut marked = 0;
    let (mut text, mut tokens) = (Sha256::new(), 0_u32);
    for content in contents {
        let whole = [Value::clone(content)];
        let blocks = content.as_array().map_or(whole.as_slice(), Vec::as_slice);
        for block in blocks {
            let piece = if block.is_string() {
                text_of(block)
            } else {
                part_text(block)
            };
            tokens = tokens.saturating_add(count_tokens(&piece));
            text.update(piece.as_bytes());
            text.update([0]);
            let digest = sha256_hex(&text.clone().finalize());
            found.push(Prefix { tokens, digest });
            if is_marked || !block["cache_control"].is_null() {
                marked = found.len();
            }
        }
    }
    found.truncate(marked);
    found
}

#[cfg(test)]
mod tests;
