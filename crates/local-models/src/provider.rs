//! The provider: which models there are, loading each once, and how many answers at once.
//!
//! A model is loaded by the first call that needs it, in a task that outlives that call: if it belonged to the call,
//! a cancelled first call would throw a half-loaded model away and the next one would begin again. Answers are
//! produced on the blocking pool under a semaphore, because each of them uses whole processors; callers beyond the
//! bound wait here, where they can be cancelled, and not in the pool, where they could not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use model_clients::settings::Problem;
use model_clients::{
    Billing, CallOutcome, Circuit, Error, ErrorKind, GenerateCall, GenerateResponse, ModelInfo, ModelLimits,
    ModelProvider, TokenizerSpec,
};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tracing::{Instrument as _, Span};

use crate::decode::{self, Job};
use crate::limits::Limits;
use crate::load;
use crate::model::{self, Model};
use crate::options::{ModelOptions, Options};

/// The name of the provider: the part before `/` of a model reference.
pub const NAME: &str = "local";

/// Reports settings that cannot work, all at once.
#[derive(Debug, thiserror::Error)]
#[error("the settings of local models are wrong: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidOptions {
    /// What is wrong, each with the path of its key.
    pub problems: Vec<Problem>,
}

/// Answers with models in this process.
pub struct LocalModels {
    models: BTreeMap<String, Arc<Slot>>,
    permits: Arc<Semaphore>,
    load_at_start: bool,
}

/// A model that may be loaded.
struct Slot {
    options: ModelOptions,
    context_window: OnceLock<u32>,
    model: OnceCell<Arc<Model>>,
}

impl LocalModels {
    /// Makes a provider; no file is read yet.
    ///
    /// # Errors
    /// [`InvalidOptions`] with every problem that [`Options::validate`] finds.
    pub fn new(options: Options) -> Result<Self, InvalidOptions> {
        let problems = options.validate(NAME);
        if !problems.is_empty() {
            return Err(InvalidOptions { problems });
        }
        let slot = |options| {
            Arc::new(Slot {
                options,
                context_window: OnceLock::new(),
                model: OnceCell::new(),
            })
        };
        Ok(Self {
            models: options
                .models
                .into_iter()
                .map(|(name, options)| (name, slot(options)))
                .collect(),
            permits: Arc::new(Semaphore::new(options.max_concurrent)),
            load_at_start: options.load_at_start,
        })
    }

    /// Gives the names of the models, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// Loads every model if [`Options::load_at_start`] is set, one after the other.
    ///
    /// # Errors
    /// The [`load::Error`] of the first model that cannot be loaded.
    pub async fn prepare(&self) -> Result<(), load::Error> {
        if self.load_at_start {
            for slot in self.models.values() {
                Arc::clone(slot).load().await?;
            }
        }
        Ok(())
    }

    fn slot(&self, name: &str) -> Result<&Arc<Slot>, Error> {
        self.models.get(name).ok_or_else(|| {
            let known: Vec<_> = self.names().collect();
            Error::new(
                ErrorKind::ModelGone,
                CallOutcome::NotSent,
                format!(
                    "there is no local model {name:?}, only [{}]; correct the name or configure the model",
                    known.join(", ")
                ),
            )
        })
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.permits).acquire_owned().await.map_err(|source| {
            Error::new(
                ErrorKind::Internal,
                CallOutcome::NotSent,
                "the queue of local answers is closed; restart the worker",
            )
            .with_source(source)
        })
    }
}

impl Slot {
    /// Gives the model, loading it if nobody has yet.
    async fn load(self: Arc<Self>) -> Result<Arc<Model>, load::Error> {
        if let Some(model) = self.model.get() {
            return Ok(Arc::clone(model));
        }
        let path = self.options.path.clone();
        // A task of its own: it goes on when the caller gives up, and later callers find its result.
        let loading = async move { self.model.get_or_try_init(|| self.read()).await.cloned() };
        tokio::spawn(loading.in_current_span())
            .await
            .unwrap_or_else(|source| Err(load::Error::Broken { path, source }))
    }

    async fn read(&self) -> Result<Arc<Model>, load::Error> {
        let options = self.options.clone();
        let span = Span::current();
        tokio::task::spawn_blocking(move || span.in_scope(|| Model::load(&options)))
            .await
            .unwrap_or_else(|source| {
                Err(load::Error::Broken {
                    path: self.options.path.clone(),
                    source,
                })
            })
            .map(Arc::new)
    }

    fn context_window(&self) -> Result<u32, load::Error> {
        if let Some(known) = self.context_window.get() {
            return Ok(*known);
        }
        let metadata = model::describe(&self.options.path)?;
        let window =
            model::context_window(&self.options, &metadata).map_err(|source| load::Error::Refused {
                path: self.options.path.clone(),
                source,
            })?;
        Ok(*self.context_window.get_or_init(|| window))
    }
}

#[async_trait]
impl ModelProvider for LocalModels {
    fn name(&self) -> &str {
        NAME
    }

    fn model(&self, name: &str) -> Result<ModelInfo, Error> {
        let slot = self.slot(name)?;
        Ok(ModelInfo {
            name: name.to_owned(),
            context_window: slot.context_window()?,
            max_output_tokens: slot.options.max_output_tokens,
            tokenizer: TokenizerSpec::Gguf {
                path: slot.options.path.clone(),
            },
            billing: Billing::Free,
            price_table: String::new(),
            constrained_json: true,
            // Who waits for a processor waits here; nobody else shares it.
            limits: ModelLimits {
                circuit: Circuit {
                    failures: 0,
                    ..Circuit::default()
                },
                ..ModelLimits::default()
            },
            key_name: "default".to_owned(),
        })
    }

    async fn generate(&self, call: GenerateCall<'_>) -> Result<GenerateResponse, Error> {
        let slot = self.slot(&call.request.model)?;
        decode::check(call.request)?;
        // Dropping this future must end the work on the other thread too.
        let cancel = call.cancel.child_token();
        let _end = cancel.clone().drop_guard();
        let limits = Limits::start(call.deadline, cancel);
        let model = limits
            .wait("while the model was loading", Arc::clone(slot).load())
            .await??;
        let permit = limits
            .wait("while it waited for other answers", self.permit())
            .await??;
        let job = Job {
            request: call.request.clone(),
            limits,
            progress: call.progress,
            deltas: call.deltas,
        };
        let span = Span::current();
        tokio::task::spawn_blocking(move || {
            let _held = permit;
            span.in_scope(|| decode::run(&model, &job))
        })
        .await
        .unwrap_or_else(|source| Err(broken(source)))
    }
}

impl fmt::Debug for LocalModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalModels")
            .field("models", &self.models.keys())
            .field("permits", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

/// The environment variable that says how many threads produce one token; read once, before the first answer.
pub const TOKEN_THREADS_VARIABLE: &str = "CANDLE_NUM_THREADS";

/// The environment variable that says how many threads take in a prompt, and also how many produce one token where
/// [`TOKEN_THREADS_VARIABLE`] is not set.
pub const PROMPT_THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// Gives the number of threads that produce one token: from the environment, or else the physical processors.
pub fn compute_threads() -> usize {
    candle_core::utils::barrier_pool().n_workers() + 1
}

fn broken(source: JoinError) -> Error {
    Error::new(
        ErrorKind::Internal,
        CallOutcome::NotBilled,
        "the thread that produced the answer broke off; report this as a defect",
    )
    .with_source(source)
}

#[cfg(test)]
mod tests;
