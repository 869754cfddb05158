//! The settings of an OpenAI-compatible endpoint.
//!
//! Servers that call themselves compatible differ in a few fields, so each difference is a setting of its own; a
//! list of known products would be out of date with every release of theirs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::header::{HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::provider::{Billing, TokenizerSpec};
use crate::settings::{Problem, Timeouts, redacted, redacted_values, required};

/// Headers that the client sets itself.
const OWN_HEADERS: [&str; 7] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "openai-organization",
    "transfer-encoding",
];

/// One OpenAI-compatible endpoint.
///
/// As TOML, where only `base_url` and the models have no default:
///
/// ```toml
/// base_url = "http://127.0.0.1:8080/v1"
///
/// [models.small]
/// context_window = 4096
/// billing = { kind = "free" }
/// ```
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = requirements)]
pub struct Options {
    /// The provider's name in model references, the part before `/`. No two endpoints may have the same.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The URL that `/chat/completions` is appended to; a query is kept.
    #[schemars(extend("examples" = ["http://127.0.0.1:8080/v1"]))]
    pub base_url: String,
    /// Allows `http://` to other machines than this one; keys and prompts then travel in the clear.
    pub allow_plain_http: bool,
    /// A file that holds the key; read for every call, so a key can be rotated.
    #[schemars(extend(
        "format" = "path",
        "x-unset" = "`api_key`, or no key at all",
        "examples" = ["/run/secrets/openai-key"]
    ))]
    pub api_key_file: Option<PathBuf>,
    /// The key itself. Meant for a value from the environment; never shown.
    #[serde(serialize_with = "redacted")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true, "x-unset" = "`api_key_file`, or no key at all"))]
    pub api_key: Option<SecretString>,
    /// The organisation that calls are made for, where an account has several.
    #[schemars(extend("x-unset" = "the account's own"))]
    pub organization: Option<String>,
    /// Headers to add to each call. Their values are treated as secrets.
    #[serde(serialize_with = "redacted_values")]
    #[schemars(
        with = "BTreeMap<String, String>",
        extend("writeOnly" = true, "x-unset" = "no headers", "examples" = [{"x-team": "search"}])
    )]
    pub extra_headers: BTreeMap<String, SecretString>,
    /// A proxy's URL, which may hold a password. The variables that other programs read a proxy from are not read.
    #[serde(serialize_with = "redacted")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true, "x-unset" = "no proxy"))]
    pub proxy: Option<SecretString>,
    /// A PEM file with root certificates that are trusted besides the system's.
    #[schemars(extend("format" = "path", "x-unset" = "the system's alone", "examples" = ["/etc/ssl/our-ca.pem"]))]
    pub ca_file: Option<PathBuf>,
    /// The models that may be called, by the name that the endpoint knows them under.
    #[schemars(extend("minProperties" = 1))]
    pub models: BTreeMap<String, ModelOptions>,
    /// Whether answers are streamed. Streaming shows progress and notices a stalled answer early.
    pub streaming: bool,
    /// Whether a stream is asked for a count of tokens (`stream_options.include_usage`); a few servers refuse it.
    pub stream_usage: bool,
    /// How an answer of a given form is asked for.
    pub structured_output: StructuredOutput,
    /// The field that limits the length of an answer.
    pub max_tokens_field: MaxTokensField,
    /// The time limits of one call.
    pub timeouts: Timeouts,
    /// The most bytes of an answer's body that are read.
    #[schemars(range(min = 1))]
    pub max_response_bytes: u64,
}

fn requirements(schema: &mut Schema) {
    required(schema, &["base_url", "models"]);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "openai".to_owned(),
            base_url: String::new(),
            allow_plain_http: false,
            api_key_file: None,
            api_key: None,
            organization: None,
            extra_headers: BTreeMap::new(),
            proxy: None,
            ca_file: None,
            models: BTreeMap::new(),
            streaming: true,
            stream_usage: true,
            structured_output: StructuredOutput::JsonSchema,
            max_tokens_field: MaxTokensField::MaxTokens,
            timeouts: Timeouts::default(),
            max_response_bytes: 8 * 1024 * 1024,
        }
    }
}

/// One model of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = model_requirements)]
pub struct ModelOptions {
    /// Tokens of prompt and answer together that fit in one call.
    #[schemars(range(min = 1), extend("examples" = [128_000]))]
    pub context_window: u32,
    /// The most tokens of one answer; at most `context_window`.
    #[schemars(range(min = 1), extend("x-unset" = "the context window alone is the limit", "examples" = [16_384]))]
    pub max_output_tokens: Option<u32>,
    /// How the tokens of a text are counted.
    pub tokenizer: TokenizerSpec,
    /// What a call costs. Has to be said, because a price that is forgotten would pass for free.
    #[schemars(with = "Billing")]
    pub billing: Option<Billing>,
}

fn model_requirements(schema: &mut Schema) {
    required(schema, &["context_window", "billing"]);
}

/// How an answer of a given form is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// `response_format` of type `json_schema`, strict: the endpoint holds the model to the schema, and may refuse
    /// a schema outside of what it supports.
    JsonSchema,
    /// `response_format` of type `json_schema`, not strict: any schema is taken, and followed as well as the
    /// endpoint can.
    LooseJsonSchema,
    /// `response_format` of type `json_object`: some JSON; the prompt has to describe it.
    JsonObject,
    /// Not at all: the prompt has to ask for it.
    None,
}

/// The field that limits the length of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which nearly every server takes.
    MaxTokens,
    /// `max_completion_tokens`, which newer hosted models insist on.
    MaxCompletionTokens,
}

impl MaxTokensField {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

impl Options {
    /// Gives the files that these options name, each under its path within them.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        let own = [("api_key_file", &self.api_key_file), ("ca_file", &self.ca_file)];
        let tokenizers = self.models.iter().filter_map(|(name, model)| {
            let file = model.tokenizer.file()?;
            Some((format!("models.{name}.tokenizer.path"), file.clone()))
        });
        own.into_iter()
            .filter_map(|(key, path)| Some((key.to_owned(), path.clone()?)))
            .chain(tokenizers)
            .collect()
    }

    /// Reports everything that is wrong, each with the path of its key.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.name.is_empty() || self.name.contains(['/', ' ']) {
            problems.push(Problem::new("name", "must not be empty or contain `/` or spaces"));
        }
        if let Err(message) = self.endpoint() {
            problems.push(Problem::new("base_url", message));
        }
        if self.api_key.is_some() && self.api_key_file.is_some() {
            problems.push(Problem::new(
                "api_key",
                "is set beside api_key_file; give one of the two",
            ));
        }
        if self
            .organization
            .as_ref()
            .is_some_and(|text| HeaderValue::from_str(text).is_err())
        {
            problems.push(Problem::new(
                "organization",
                "holds characters that a header cannot carry",
            ));
        }
        if self.max_response_bytes == 0 || usize::try_from(self.max_response_bytes).is_err() {
            problems.push(Problem::new(
                "max_response_bytes",
                "must be above 0 and fit in memory",
            ));
        }
        problems.extend(self.timeouts.validate("timeouts"));
        problems.extend(self.header_problems());
        problems.extend(self.model_problems());
        problems
    }

    fn header_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let has_key = self.api_key.is_some() || self.api_key_file.is_some();
        for (name, value) in &self.extra_headers {
            let path = format!("extra_headers.{name}");
            let lower = name.to_ascii_lowercase();
            if HeaderName::try_from(name).is_err() {
                problems.push(Problem::new(path, "is no name of a header"));
            } else if HeaderValue::from_str(value.expose_secret()).is_err() {
                problems.push(Problem::new(path, "holds characters that a header cannot carry"));
            } else if OWN_HEADERS.contains(&lower.as_str()) || (has_key && lower == "authorization") {
                problems.push(Problem::new(path, "is set by the client itself; remove it"));
            }
        }
        problems
    }

    fn model_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.models.is_empty() {
            problems.push(Problem::new(
                "models",
                "is empty; add a table for each model that may be called",
            ));
        }
        for (name, model) in &self.models {
            let path = |key: &str| format!("models.{name}.{key}");
            if model.context_window == 0 {
                problems.push(Problem::new(path("context_window"), "must be set and above 0"));
            }
            if model
                .max_output_tokens
                .is_some_and(|most| most == 0 || most > model.context_window)
            {
                problems.push(Problem::new(
                    path("max_output_tokens"),
                    "must be above 0 and at most context_window",
                ));
            }
            if model.billing.is_none() {
                problems.push(Problem::new(
                    path("billing"),
                    "must be set: { kind = \"free\" }, or { kind = \"per_token\" } with its three prices",
                ));
            }
        }
        problems
    }

    /// Gives the URL that chat completions are posted to, or what is wrong with `base_url`.
    pub(crate) fn endpoint(&self) -> Result<Url, String> {
        if self.base_url.is_empty() {
            return Err("must be set, such as http://127.0.0.1:8080/v1".to_owned());
        }
        let mut url = Url::parse(&self.base_url).map_err(|error| format!("is no URL: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user or password; use api_key_file or extra_headers".to_owned());
        }
        let is_here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" => {}
            "http" if is_here || self.allow_plain_http => {}
            "http" => {
                return Err(
                    "is plain http to another machine; use https, or set allow_plain_http".to_owned(),
                );
            }
            _ => return Err("must begin with https:// or http://".to_owned()),
        }
        url.set_fragment(None);
        url.path_segments_mut()
            .map_err(|()| "cannot be appended to".to_owned())?
            .pop_if_empty()
            .extend(["chat", "completions"]);
        Ok(url)
    }
}

#[cfg(test)]
mod tests;
