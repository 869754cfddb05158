//! The client for servers that speak OpenAI's chat completions.
//!
//! Hosted services, gateways and most local model servers speak this form, so one client reaches them all; their
//! differences are settings ([`Options`]). A generated or vendor's client would bring retries, types for a hundred
//! other endpoints and errors that hide whether a request was sent, which is the one thing that has to be known here.

mod answer;
mod options;
mod wire;

use std::fmt;

use async_trait::async_trait;
use reqwest::header::{HeaderName, HeaderValue};

use crate::prices::Prices;
use crate::provider::{self, GenerateCall, GenerateResponse, ModelInfo, ModelProvider};
use crate::setup::{Catalogue, unwritable};
use crate::transport::draft::Draft;
use crate::transport::endpoint::{Endpoint, Outgoing, Protocol};

use self::answer::Answer;
pub use self::options::{MaxTokensField, ModelOptions, Options, StructuredOutput};
pub use crate::setup::Error;

/// The protocol's name in price tables.
pub const PROTOCOL: &str = "openai";

/// A provider behind an OpenAI-compatible endpoint.
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
        let url = match options.common().url() {
            Ok(url) if problems.is_empty() => url,
            Ok(_) | Err(_) => {
                return Err(Error::Options {
                    provider: options.name,
                    problems,
                });
            }
        };
        let organization = options.organization.iter().filter_map(|organization| {
            let name = HeaderName::from_static("openai-organization");
            Some((name, HeaderValue::from_str(organization).ok()?))
        });
        let endpoint = Endpoint::new(url, options.common(), organization.collect()).await?;
        Ok(Self {
            catalogue: Catalogue::new(options.endpoint_name(), options.described(), prices),
            endpoint,
            options,
        })
    }
}

/// How chat completions are put together.
struct ChatCompletions;

impl Protocol for ChatCompletions {
    const EXPECTED: &'static str = "chat completion";

    type Answer<'c> = Answer<'c>;

    fn begin<'c>(&self, draft: Draft<'c>) -> Answer<'c> {
        Answer::new(draft)
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
        let outgoing = Outgoing {
            body: wire::body(&self.options, call.request).map_err(unwritable)?,
            headers: Vec::new(),
        };
        self.endpoint.exchange(&ChatCompletions, &call, outgoing).await
    }
}
