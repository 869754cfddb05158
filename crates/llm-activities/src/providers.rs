//! Which provider answers for which model.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use documents::tokens::{self, Encoding, TokenCounter};
use model_clients::provider::{ModelInfo, ModelProvider, TokenizerSpec};
use workflow_types::request::ModelRef;

use crate::error::Error;

/// The providers of a worker, by name, and their models' tokenizers.
#[derive(Default)]
pub struct Providers {
    by_name: BTreeMap<String, Arc<dyn ModelProvider>>,
    counters: Mutex<BTreeMap<String, Arc<TokenCounter>>>,
}

impl Providers {
    /// Collects providers; of two with the same name the later one stays.
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn ModelProvider>>) -> Self {
        let by_name = providers
            .into_iter()
            .map(|provider| (provider.name().to_owned(), provider))
            .collect();
        Self {
            by_name,
            counters: Mutex::default(),
        }
    }

    /// Finds the provider of a model, and what is known of the model.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownProvider`], or what the provider says of a model that it doesn't have.
    pub(crate) fn find(&self, model: &ModelRef) -> Result<(Arc<dyn ModelProvider>, ModelInfo), Error> {
        let provider = self
            .by_name
            .get(model.provider())
            .ok_or_else(|| Error::UnknownProvider {
                model: model.to_string(),
                known: self.by_name.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
        let info = provider.model(model.name())?;
        Ok((Arc::clone(provider), info))
    }

    /// Gives the counter of a model's tokens; it is built once, which reads files, so call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when the tokenizer can't be had.
    pub(crate) fn counter(&self, model: &ModelRef, spec: &TokenizerSpec) -> Result<Arc<TokenCounter>, Error> {
        let name = model.to_string();
        let known = self
            .counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name)
            .cloned();
        if let Some(counter) = known {
            return Ok(counter);
        }
        let counter = Arc::new(build(spec).map_err(|source| Error::Tokenizer {
            model: name.clone(),
            source,
        })?);
        self.counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::clone(&counter));
        Ok(counter)
    }
}

fn build(spec: &TokenizerSpec) -> Result<TokenCounter, tokens::Error> {
    match spec {
        TokenizerSpec::Gguf { path } => TokenCounter::from_gguf(path),
        TokenizerSpec::TokenizerJson { path } => TokenCounter::from_tokenizer_json(path),
        TokenizerSpec::Tiktoken { encoding } => {
            encoding.parse::<Encoding>().and_then(TokenCounter::from_encoding)
        }
        TokenizerSpec::Estimate => Ok(TokenCounter::estimate()),
    }
}
