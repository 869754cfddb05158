//! The client for servers that speak Anthropic's Messages API.
//!
//! What differs from chat completions is the shape of things: the system prompt beside the conversation, events that
//! build blocks, input tokens counted in three parts, JSON asked for in another way. All of that ends here; what a
//! caller sees is the same in both, and what decides about money is the same code.

mod answer;
mod options;
mod wire;

use std::fmt;

use async_trait::async_trait;
use reqwest::header::{HeaderName, HeaderValue};

use crate::prices::Prices;
use crate::provider::{
    self, GenerateCall, GenerateRequest, GenerateResponse, ModelInfo, ModelProvider, Role,
};
use crate::setup::{Catalogue, refusal, unwritable};
use crate::transport::draft::Draft;
use crate::transport::endpoint::{Endpoint, Outgoing, Protocol};

use self::answer::Answer;
pub use self::options::{KeyScheme, ModelOptions, Options, StructuredOutput};
pub use crate::setup::Error;

/// The protocol's name in price tables.
pub const PROTOCOL: &str = "anthropic";

/// The header that names the version of the interface.
const VERSION_HEADER: HeaderName = HeaderName::from_static("anthropic-version");
/// The header that switches on what is not part of that version yet.
const BETA_HEADER: HeaderName = HeaderName::from_static("anthropic-beta");
/// The name under which `output_format` was first offered.
const OUTPUT_FORMAT_BETA: HeaderValue = HeaderValue::from_static("structured-outputs-2025-11-13");

/// A provider behind a Messages endpoint.
pub struct Client {
    options: Options,
    catalogue: Catalogue,
    endpoint: Endpoint,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.options.name)
            .field("host", &self.endpoint.host())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client and reads its key once, so that a missing key file is noticed at start-up.
    ///
    /// # Errors
    /// When settings are wrong, a model has no known price, the key cannot be read, or TLS cannot be set up.
    pub async fn new(options: Options, prices: &Prices) -> Result<Self, Error> {
        let mut problems = options.validate();
        problems.extend(options.price_problems(prices));
        let version = HeaderValue::from_str(&options.api_version);
        let (url, version) = match (options.common().url(), version) {
            (Ok(url), Ok(version)) if problems.is_empty() => (url, version),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => {
                return Err(Error::Options {
                    provider: options.name,
                    problems,
                });
            }
        };
        let own = vec![(VERSION_HEADER, version)];
        let endpoint = Endpoint::new(url, options.common(), own).await?;
        Ok(Self {
            catalogue: Catalogue::new(options.endpoint_name(), options.described(), prices),
            endpoint,
            options,
        })
    }

    /// Checks what this interface refuses beyond what every other does, before anything is sent.
    fn check(request: &GenerateRequest, model: &ModelOptions) -> Result<(), provider::Error> {
        if request
            .messages
            .iter()
            .all(|message| message.role == Role::System)
        {
            return Err(refusal(
                "the request has a system prompt but no message of the conversation",
            ));
        }
        let is_share = |value: Option<f64>| value.is_none_or(|value| (0.0..=1.0).contains(&value));
        let are_shares = is_share(request.temperature) && is_share(request.top_p);
        if !(model.omit_sampling || are_shares) {
            return Err(refusal("temperature and top_p must be 0 to 1 for this provider"));
        }
        Ok(())
    }
}

/// How messages are put together.
struct Messages {
    /// The answer is the input of the tool that the model had to call.
    from_tool: bool,
}

impl Protocol for Messages {
    const EXPECTED: &'static str = "message of the Messages API";

    type Answer<'c> = Answer<'c>;

    fn begin<'c>(&self, draft: Draft<'c>) -> Answer<'c> {
        Answer::new(draft, self.from_tool)
    }
}

#[async_trait]
impl ModelProvider for Client {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn model(&self, name: &str) -> Result<ModelInfo, provider::Error> {
        self.catalogue.find(name).cloned()
    }

    async fn generate(&self, call: GenerateCall<'_>) -> Result<GenerateResponse, provider::Error> {
        self.catalogue.check(call.request)?;
        let model = self
            .options
            .models
            .get(&call.request.model)
            .cloned()
            .unwrap_or_default();
        Self::check(call.request, &model)?;
        let way = wire::way(&model, call.request);
        let is_beta = way == Some(StructuredOutput::OutputFormat);
        let outgoing = Outgoing {
            body: wire::body(&self.options, &model, call.request).map_err(unwritable)?,
            headers: is_beta
                .then_some((BETA_HEADER, OUTPUT_FORMAT_BETA))
                .into_iter()
                .collect(),
        };
        let messages = Messages {
            from_tool: way == Some(StructuredOutput::ForcedTool),
        };
        self.endpoint.exchange(&messages, &call, outgoing).await
    }
}
