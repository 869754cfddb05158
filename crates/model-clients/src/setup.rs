//! Why a client cannot be made from its options, and which models it then has.
//!
//! A client is made at start-up, and everything that can be known to be wrong is said then and together: a key that
//! cannot be read, a certificate, a model without a price. A price that is missed only when a bill is due would have
//! let every budget pass.

use std::collections::BTreeMap;

use crate::key;
use crate::limits::ModelLimits;
use crate::prices::{Asked, Prices};
use crate::provider::{self, Billing, CallOutcome, ErrorKind, GenerateRequest, ModelInfo, TokenizerSpec};
use crate::settings::Problem;
use crate::transport;

/// A client that cannot be made from its options.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings are wrong.
    #[error("the settings of the provider {provider} are wrong: {}", list(problems))]
    Options {
        /// The provider's name.
        provider: String,
        /// What is wrong, each with the path of its key.
        problems: Vec<Problem>,
    },
    /// The key cannot be used.
    #[error("the key of a provider cannot be used")]
    Key(#[from] key::Error),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client of a provider cannot be set up")]
    Transport(#[from] transport::Error),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What the settings of every protocol say about one model.
pub(crate) struct Model<'o> {
    pub(crate) name: &'o str,
    pub(crate) context_window: u32,
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) tokenizer: &'o TokenizerSpec,
    pub(crate) billing: Option<Billing>,
    pub(crate) limits: ModelLimits,
    pub(crate) constrained_json: bool,
}

impl Model<'_> {
    /// Reports what is wrong with it, without its price.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let name = self.name;
        let path = |key: &str| format!("models.{name}.{key}");
        let mut problems = Vec::new();
        if self.context_window == 0 {
            problems.push(Problem::new(path("context_window"), "must be set and above 0"));
        }
        if self
            .max_output_tokens
            .is_some_and(|most| most == 0 || most > self.context_window)
        {
            problems.push(Problem::new(
                path("max_output_tokens"),
                "must be above 0 and at most context_window",
            ));
        }
        problems.extend(self.billing.and_then(|billing| billing.problem(&path("billing"))));
        problems.extend(self.limits.validate(&path("limits")));
        problems
    }

    fn asked<'m>(&'m self, endpoint: EndpointName<'m>) -> Asked<'m> {
        Asked {
            provider: endpoint.provider,
            protocol: endpoint.protocol,
            model: self.name,
            billing: self.billing,
        }
    }
}

/// Whose models they are.
#[derive(Clone, Copy)]
pub(crate) struct EndpointName<'o> {
    /// The name in model references.
    pub(crate) provider: &'o str,
    /// The protocol, as price tables name it.
    pub(crate) protocol: &'static str,
    pub(crate) key_name: &'o str,
}

/// Reports the models that nobody knows a price of.
pub(crate) fn price_problems<'o>(
    endpoint: EndpointName<'o>,
    models: impl IntoIterator<Item = Model<'o>>,
    prices: &Prices,
) -> Vec<Problem> {
    models
        .into_iter()
        .filter(|model| prices.resolve(model.asked(endpoint)).is_none())
        .map(|model| {
            let message = format!(
                "is not set, and no price of {} with the protocol {} is in {}; write billing = {{ kind = \
                 \"per_token\", input_micros_per_million = …, cached_input_micros_per_million = …, \
                 output_micros_per_million = … }} or {{ kind = \"free\" }}, or add the model to your price table",
                model.name,
                endpoint.protocol,
                prices.describe()
            );
            Problem::new(format!("models.{}.billing", model.name), message)
        })
        .collect()
}

/// The models that a client may call.
pub(crate) struct Catalogue {
    provider: String,
    models: BTreeMap<String, ModelInfo>,
}

impl Catalogue {
    /// Lists models whose prices are known; others are left out, so report them before.
    pub(crate) fn new<'o>(
        endpoint: EndpointName<'o>,
        models: impl IntoIterator<Item = Model<'o>>,
        prices: &Prices,
    ) -> Self {
        let info = |model: Model<'o>| {
            let found = prices.resolve(model.asked(endpoint))?;
            let info = ModelInfo {
                name: model.name.to_owned(),
                context_window: model.context_window,
                max_output_tokens: model.max_output_tokens,
                tokenizer: model.tokenizer.clone(),
                billing: found.billing,
                price_table: found.table,
                constrained_json: model.constrained_json,
                limits: model.limits,
                key_name: endpoint.key_name.to_owned(),
            };
            Some((model.name.to_owned(), info))
        };
        Self {
            provider: endpoint.provider.to_owned(),
            models: models.into_iter().filter_map(info).collect(),
        }
    }

    /// Finds a model.
    pub(crate) fn find(&self, name: &str) -> Result<&ModelInfo, provider::Error> {
        self.models.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.models.keys().map(String::as_str).collect();
            let message = format!(
                "provider {} has no model {name:?} in its settings; it has {}",
                self.provider,
                known.join(", ")
            );
            provider::Error::new(ErrorKind::ModelGone, CallOutcome::NotSent, message)
        })
    }

    /// Checks what every server would refuse anyway, before anything is sent.
    pub(crate) fn check(&self, request: &GenerateRequest) -> Result<(), provider::Error> {
        let model = self.find(&request.model)?;
        let most = model.max_output_tokens.unwrap_or(model.context_window);
        if request.messages.is_empty() {
            return Err(refusal("the request has no messages"));
        }
        if request.max_output_tokens == 0 || request.max_output_tokens > most {
            return Err(refusal(format!(
                "max_output_tokens is {}; model {} allows 1 to {most}",
                request.max_output_tokens, model.name
            )));
        }
        let is_number = |value: Option<f64>| value.is_none_or(f64::is_finite);
        if !is_number(request.temperature) || !is_number(request.top_p) {
            return Err(refusal("temperature and top_p must be numbers"));
        }
        Ok(())
    }
}

/// Makes the error of a request that is not worth sending.
pub(crate) fn refusal(message: impl Into<String>) -> provider::Error {
    provider::Error::new(ErrorKind::InvalidRequest, CallOutcome::NotSent, message)
}

/// Makes the error of a request that has no JSON form.
pub(crate) fn unwritable(_: serde_json::Error) -> provider::Error {
    refusal("the request cannot be written as JSON")
}
