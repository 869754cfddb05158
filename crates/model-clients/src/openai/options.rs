//! The settings of an OpenAI-compatible endpoint.
//!
//! Servers that call themselves compatible differ in a few fields, so each difference is a setting of its own; a
//! list of known products would be out of date with every release of theirs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::header::HeaderValue;
use schemars::{JsonSchema, Schema};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::limits::ModelLimits;
use crate::prices::Prices;
use crate::provider::{Billing, TokenizerSpec};
use crate::settings::{Problem, Timeouts, redacted, redacted_values, required};
use crate::setup::{EndpointName, Model, price_problems};
use crate::transport::endpoint::{Common, KeyHeader};

/// Headers that this client sets itself.
const OWN_HEADERS: [&str; 1] = ["openai-organization"];

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
    /// A name for the key that may be shown: limits are counted for each name, provider and model.
    pub key_name: String,
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
            key_name: "default".to_owned(),
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
    /// What a call costs. A model that neither this nor the price tables know is refused at start-up, because a price that is
    /// forgotten would pass for free.
    #[schemars(extend("x-unset" = "what the price tables say"))]
    pub billing: Option<Billing>,
    /// Leaves `temperature` and `top_p` out of requests: reasoning models refuse them.
    pub omit_sampling: bool,
    /// How much the provider lets through for this model.
    pub limits: ModelLimits,
}

fn model_requirements(schema: &mut Schema) {
    required(schema, &["context_window"]);
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
        self.common().files(self.described())
    }

    /// Reports everything that is wrong, each with the path of its key; prices are a matter of
    /// [`price_problems`](Self::price_problems).
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = self.common().problems();
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
        if self.models.is_empty() {
            problems.push(Problem::new(
                "models",
                "is empty; add a table for each model that may be called",
            ));
        }
        problems.extend(self.described().flat_map(|model| model.problems()));
        problems
    }

    /// Reports the models whose price nobody knows: neither their `billing` nor these tables.
    pub fn price_problems(&self, prices: &Prices) -> Vec<Problem> {
        price_problems(self.endpoint_name(), self.described(), prices)
    }

    pub(crate) fn endpoint_name(&self) -> EndpointName<'_> {
        EndpointName {
            provider: &self.name,
            protocol: super::PROTOCOL,
            key_name: &self.key_name,
        }
    }

    /// Gives what is common to all protocols of each model.
    pub(crate) fn described(&self) -> impl Iterator<Item = Model<'_>> {
        self.models.iter().map(|(name, model)| Model {
            name,
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            tokenizer: &model.tokenizer,
            billing: model.billing,
            limits: model.limits,
            constrained_json: self.structured_output == StructuredOutput::JsonSchema,
        })
    }

    /// Gives what is common to all protocols of the endpoint.
    pub(crate) fn common(&self) -> Common<'_> {
        Common {
            name: &self.name,
            base_url: &self.base_url,
            path: &["chat", "completions"],
            allow_plain_http: self.allow_plain_http,
            api_key_file: self.api_key_file.as_deref(),
            api_key: self.api_key.as_ref(),
            key_header: KeyHeader::Bearer,
            key_name: &self.key_name,
            extra_headers: &self.extra_headers,
            own_headers: &OWN_HEADERS,
            proxy: self.proxy.as_ref(),
            ca_file: self.ca_file.as_deref(),
            streaming: self.streaming,
            timeouts: self.timeouts,
            max_response_bytes: self.max_response_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
