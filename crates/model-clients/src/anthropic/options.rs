//! The settings of a Messages endpoint.
//!
//! What is asked for in which way depends on the model here, not on the endpoint: one endpoint serves models that hold
//! to a schema by themselves, models that only do so through a tool, and models that refuse a temperature.

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
const OWN_HEADERS: [&str; 1] = ["anthropic-version"];

/// One Messages endpoint.
///
/// As TOML, where only `base_url` and the models have no default:
///
/// ```toml
/// base_url = "https://models.example/v1"
/// api_key_file = "/run/secrets/models-key"
///
/// [models.claude-haiku-4-5]
/// context_window = 200000
/// max_output_tokens = 64000
/// ```
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = requirements)]
pub struct Options {
    /// The provider's name in model references, the part before `/`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The URL that `/messages` is appended to; a query is kept.
    #[schemars(extend("examples" = ["https://models.example/v1"]))]
    pub base_url: String,
    /// Allows `http://` to other machines than this one; keys and prompts then travel in the clear.
    pub allow_plain_http: bool,
    /// A file that holds the key; read for every call, so a key can be rotated.
    #[schemars(extend(
        "format" = "path",
        "x-unset" = "`api_key`, or no key at all",
        "examples" = ["/run/secrets/models-key"]
    ))]
    pub api_key_file: Option<PathBuf>,
    /// The key itself. Meant for a value from the environment; never shown.
    #[serde(serialize_with = "redacted")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true, "x-unset" = "`api_key_file`, or no key at all"))]
    pub api_key: Option<SecretString>,
    /// The header that the key travels in.
    pub key_scheme: KeyScheme,
    /// A name for the key that may be shown: limits are counted for each name, provider and model.
    pub key_name: String,
    /// The version of the interface (`anthropic-version`).
    pub api_version: String,
    /// Headers to add to each call. Their values are treated as secrets.
    #[serde(serialize_with = "redacted_values")]
    #[schemars(
        with = "BTreeMap<String, String>",
        extend("writeOnly" = true, "x-unset" = "no headers", "examples" = [{"x-team": "search"}])
    )]
    pub extra_headers: BTreeMap<String, SecretString>,
    /// A proxy's URL; without it there is no proxy, whatever the environment says.
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
    /// Asks the provider to keep the prompt in its cache for later requests that begin alike; writing costs more than
    /// other input, reading less.
    pub prompt_caching: bool,
    /// The time limits of one call.
    pub timeouts: Timeouts,
    /// The most bytes of an answer's body that are read.
    #[schemars(range(min = 1))]
    pub max_response_bytes: u64,
}

fn requirements(schema: &mut Schema) {
    required(schema, &["base_url", "models"]);
}

fn model_requirements(schema: &mut Schema) {
    required(schema, &["context_window"]);
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "anthropic".to_owned(),
            base_url: String::new(),
            allow_plain_http: false,
            api_key_file: None,
            api_key: None,
            key_scheme: KeyScheme::XApiKey,
            key_name: "default".to_owned(),
            api_version: "2023-06-01".to_owned(),
            extra_headers: BTreeMap::new(),
            proxy: None,
            ca_file: None,
            models: BTreeMap::new(),
            streaming: true,
            prompt_caching: false,
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
    #[schemars(range(min = 1), extend("examples" = [200_000]))]
    pub context_window: u32,
    /// The most tokens of one answer, if it is limited below the context window.
    #[schemars(range(min = 1), extend("x-unset" = "the context window alone is the limit", "examples" = [64_000]))]
    pub max_output_tokens: Option<u32>,
    /// How the tokens of a text are counted.
    pub tokenizer: TokenizerSpec,
    /// What a call costs. A model that neither this nor a price table knows the price of is refused at start-up, because
    /// a price that is forgotten would pass for free.
    #[schemars(extend("x-unset" = "what the price tables say"))]
    pub billing: Option<Billing>,
    /// How an answer of a given form is asked for.
    pub structured_output: StructuredOutput,
    /// Leaves `temperature` and `top_p` out of requests: newer models refuse them.
    pub omit_sampling: bool,
    /// How much the provider lets through for this model.
    pub limits: ModelLimits,
}

/// How an answer of a given form is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// `output_config.format` of type `json_schema`: the endpoint holds the model to the schema, and may refuse a
    /// schema outside of what it supports.
    #[default]
    JsonSchema,
    /// `output_format` with its beta header, as the same was called at first; for endpoints that still know it only so.
    OutputFormat,
    /// A tool that the model has to call and whose input has the schema: for older models. Newer ones refuse it.
    ForcedTool,
    /// Not at all: the prompt has to ask for it.
    None,
}

impl StructuredOutput {
    /// Says whether the endpoint holds the model to the schema.
    fn is_held_to(self) -> bool {
        matches!(self, Self::JsonSchema | Self::OutputFormat)
    }
}

/// The header that a key travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyScheme {
    /// `x-api-key`, as the vendor's own endpoint wants it.
    XApiKey,
    /// `authorization: Bearer`, as many gateways want it.
    Bearer,
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
        if self.api_version.is_empty() || HeaderValue::from_str(&self.api_version).is_err() {
            problems.push(Problem::new(
                "api_version",
                "must be a version of the interface, such as 2023-06-01",
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
            constrained_json: model.structured_output.is_held_to(),
        })
    }

    /// Gives what is common to all protocols of the endpoint.
    pub(crate) fn common(&self) -> Common<'_> {
        Common {
            name: &self.name,
            base_url: &self.base_url,
            path: &["messages"],
            allow_plain_http: self.allow_plain_http,
            api_key_file: self.api_key_file.as_deref(),
            api_key: self.api_key.as_ref(),
            key_header: match self.key_scheme {
                KeyScheme::XApiKey => KeyHeader::XApiKey,
                KeyScheme::Bearer => KeyHeader::Bearer,
            },
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
mod tests {
    use super::{ModelOptions, Options, StructuredOutput};
    use crate::prices::Prices;

    #[test]
    fn the_documented_example_is_enough() {
        let options: Options = toml::from_str(
            "base_url = \"https://models.example/v1\"\napi_key_file = \"/run/secrets/models-key\"\n\
             [models.claude-haiku-4-5]\ncontext_window = 200000\nmax_output_tokens = 64000\n",
        )
        .unwrap();
        assert_eq!(options.validate(), []);
        assert_eq!(options.price_problems(&Prices::shipped().unwrap()), []);
        assert_eq!(
            options.common().url().unwrap().as_str(),
            "https://models.example/v1/messages"
        );
        assert_eq!(
            options.models["claude-haiku-4-5"].structured_output,
            StructuredOutput::JsonSchema
        );
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_paths() {
        let mut options: Options = serde_json::from_value(serde_json::json!({
            "api_version": "a\nb",
            "key_name": "",
            "api_key": "k",
            "extra_headers": {"X-API-Key": "x", "Anthropic-Version": "x", "authorization": "x"},
            "models": {"m": {"limits": {"requests_per_minute": 0}}},
        }))
        .unwrap();
        let paths: Vec<_> = options
            .validate()
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(
            paths,
            [
                "base_url",
                "key_name",
                "extra_headers.Anthropic-Version",
                "extra_headers.X-API-Key",
                "api_version",
                "models.m.context_window",
                "models.m.limits.requests_per_minute",
            ]
        );
        options.models.clear();
        assert!(options.validate().iter().any(|problem| problem.path == "models"));
        options
            .models
            .insert("nobody-knows-this".into(), ModelOptions::default());
        let unpriced = options.price_problems(&Prices::shipped().unwrap());
        assert_eq!(unpriced[0].path, "models.nobody-knows-this.billing");
    }

    #[test]
    fn secrets_show_neither_in_debug_nor_in_the_printed_configuration() {
        let options: Options = serde_json::from_value(serde_json::json!({
            "api_key": "hush1",
            "proxy": "http://u:hush2@p.test",
            "extra_headers": {"x-team": "hush3"},
        }))
        .unwrap();
        let printed = serde_json::to_string(&options).unwrap();
        assert!(!format!("{options:?} {printed}").contains("hush"));
    }
}
