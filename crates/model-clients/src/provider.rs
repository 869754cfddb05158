//! The trait that every model provider implements, in process or behind HTTP.
//!
//! One narrow trait, so that an activity neither knows nor cares whether tokens come from a file on this
//! machine or from a paid service. Three choices follow from the effect journal that stands in front of every
//! call:
//!
//! - A request and a response are plain data with a stable JSON form. The request is digested and compared when
//!   a call is tried again; the response is stored and replayed. A trait that handed back a stream would leave
//!   nothing to replay, so progress goes out on a side channel and the answer comes back whole.
//! - An error says what became of the call ([`CallOutcome`]), not only what went wrong. From a status or a
//!   message alone the journal could not tell "nothing was sent" from "nobody knows whether it was billed".
//! - The deadline and the cancellation belong to the call. A timeout around the future would only drop it, and
//!   the error could no longer say which limit was hit and whether the request had left.

mod error;
mod generate;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::limits::ModelLimits;

pub use error::{BoxedSource, CallOutcome, Error, ErrorKind, MAX_MESSAGE_CHARS};
pub use generate::{
    Finish, GenerateRequest, GenerateResponse, Message, ResponseFormat, Role, Usage, UsageSource,
};

/// Answers requests with one family of models.
///
/// An implementation makes at most one attempt for each call: retries belong to the workflow, where they are
/// durable and visible.
#[async_trait]
pub trait ModelProvider: Send + Sync + 'static {
    /// Names the provider: the part before `/` of a model reference, such as `local` or `openai`.
    fn name(&self) -> &str;

    /// Describes the model called `name`, the part after `/` of a model reference.
    ///
    /// # Errors
    /// [`ErrorKind::ModelGone`] with [`CallOutcome::NotSent`] when this provider has no such model.
    fn model(&self, name: &str) -> Result<ModelInfo, Error>;

    /// Generates one answer.
    ///
    /// Returns soon after `call.cancel` is triggered, and not later than `call.deadline` allows.
    ///
    /// # Errors
    /// Any [`ErrorKind`]; the error's `billing` says what the effect journal has to assume about the call.
    async fn generate(&self, call: GenerateCall<'_>) -> Result<GenerateResponse, Error>;
}

/// What one call of [`ModelProvider::generate`] is given besides its provider.
#[derive(Debug)]
pub struct GenerateCall<'a> {
    /// The request.
    pub request: &'a GenerateRequest,
    /// Time left for the whole call, counted from its start.
    pub deadline: Duration,
    /// Where progress is reported while the answer is produced; the latest value wins.
    pub progress: watch::Sender<Progress>,
    /// Where the text goes while it is generated, for whoever reads along.
    pub deltas: Option<Deltas>,
    /// Stops the call as soon as it is cancelled.
    pub cancel: CancellationToken,
}

/// The way of an answer's text to whoever reads along: each piece in order, as soon as it is known to belong to the
/// answer.
///
/// The pieces of a call that succeeds, put together, are the text of its response byte for byte; those of a call that
/// fails are what came before the failure. The channel has no bound on purpose. With one, a reader that is slow (it
/// may write to a store that is away) would either stop the reading from the network, until a time limit breaks off
/// an answer that is already paid for, or lose pieces. What can pile up is one answer, which is held whole anyway and
/// has its own limit (`max_response_bytes`, or the most tokens of an answer). A reader that has gone away changes
/// nothing.
pub type Deltas = mpsc::UnboundedSender<String>;

/// How far an answer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Tokens of output so far; for a remote stream the number of chunks with content, which is close to it.
    pub output_tokens: u32,
    /// Bytes of output text so far (local), or bytes of the response's body so far (remote).
    pub bytes: u64,
}

/// What a caller must know of a model before it calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The model's name without its provider.
    pub name: String,
    /// Tokens of prompt and answer together that fit in one call.
    pub context_window: u32,
    /// The most tokens the model gives in one answer, if it is limited below the context window.
    pub max_output_tokens: Option<u32>,
    /// How the tokens of a text are counted for this model.
    pub tokenizer: TokenizerSpec,
    /// What a call costs.
    pub billing: Billing,
    /// Where `billing` comes from, for the ledger: a price table and its version, or the settings; empty when free.
    pub price_table: String,
    /// Whether the answer can be constrained to JSON of a given schema while it is generated.
    pub constrained_json: bool,
    /// How much the provider lets through for this model.
    pub limits: ModelLimits,
    /// The name, no secret, of the key that calls are made with: limits are counted for each key.
    pub key_name: String,
}

/// How the tokens of a text are counted for a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenizerSpec {
    /// The tokenizer inside a GGUF model file.
    Gguf {
        /// The model file.
        #[schemars(extend("format" = "path", "examples" = ["/var/lib/models/model.gguf"]))]
        path: PathBuf,
    },
    /// A Hugging Face `tokenizer.json`.
    TokenizerJson {
        /// The tokenizer file.
        #[schemars(extend("format" = "path", "examples" = ["/var/lib/models/tokenizer.json"]))]
        path: PathBuf,
    },
    /// One of the encodings of `tiktoken`.
    Tiktoken {
        /// The encoding's name, such as `o200k_base`.
        #[schemars(extend("examples" = ["o200k_base"]))]
        encoding: String,
    },
    /// No tokenizer is at hand: the count is estimated from the text's length.
    #[default]
    Estimate,
}

impl TokenizerSpec {
    /// Gives the file that the tokenizer is in, if it is in one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Gguf { path } | Self::TokenizerJson { path } => Some(path),
            Self::Tiktoken { .. } | Self::Estimate => None,
        }
    }
}

/// What a call to a model costs.
///
/// Prices are in millionths of the currency unit for a million tokens, so that 0.15 per million is `150_000` and
/// no price needs a float.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Billing {
    /// Nothing: the model runs on the operator's own machine.
    #[default]
    Free,
    /// By tokens.
    PerToken {
        /// Price of a million input tokens, in millionths of the currency unit.
        #[schemars(extend("examples" = [150_000]))]
        input_micros_per_million: u64,
        /// Price of a million input tokens that the provider had cached, in millionths of the currency unit.
        #[schemars(extend("examples" = [75_000]))]
        cached_input_micros_per_million: u64,
        /// Price of a million input tokens that the provider wrote to its cache, in millionths of the currency unit;
        /// that of other input tokens if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-unset" = "the price of other input tokens"))]
        cache_write_input_micros_per_million: Option<u64>,
        /// Price of a million output tokens, in millionths of the currency unit.
        #[schemars(extend("examples" = [600_000]))]
        output_micros_per_million: u64,
        /// The prices of a call with a long prompt, where they are higher.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-unset" = "the same prices for prompts of any length"))]
        long_prompt: Option<LongPrompt>,
    },
}

/// What every token of a call costs whose prompt is longer than a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongPrompt {
    /// The most input tokens, cached ones included, that the ordinary prices hold for.
    pub above_input_tokens: u64,
    /// Price of a million input tokens, in millionths of the currency unit.
    pub input_micros_per_million: u64,
    /// Price of a million input tokens that the provider had cached, in millionths of the currency unit.
    pub cached_input_micros_per_million: u64,
    /// Price of a million input tokens that the provider wrote to its cache, in millionths of the currency unit;
    /// that of other input tokens if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-unset" = "the price of other input tokens"))]
    pub cache_write_input_micros_per_million: Option<u64>,
    /// Price of a million output tokens, in millionths of the currency unit.
    pub output_micros_per_million: u64,
}
