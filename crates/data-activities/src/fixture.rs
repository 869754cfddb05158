//! What the tests stand on: a real local store, the real tokenizer of the default local model, and a context without
//! a server.

use std::{convert::Infallible, path::PathBuf, sync::LazyLock, time::SystemTime};

use activity_context::{Pulse, Settings, Stop, scope};
use blob_store::{BlobStore, StagePrefix};
use prometheus::Registry;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use temporalio_common::data_converters::TemporalSerializable;
use tokio_util::sync::CancellationToken;
use workflow_types::{
    problem::Problems,
    proto::{BlobRef, Content, FailureDetails, Problem, content::Source},
    wire::Wire,
};

use crate::{
    Error, Metrics, ModelOptions, Models, Options, Services, Tokenizer,
    services::{Progress, Scope},
};

/// A model whose tokens are counted by its own tokenizer.
pub(crate) const SMOLLM2: &str = "local/smollm2";
/// The prefix of the run that the tests play.
pub(crate) const PREFIX: &str = "runs/llm%2F1/first/";

/// Services over a folder that goes with the test.
pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) services: Services,
    registry: Registry,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adjust: impl FnOnce(&mut Options)) -> Self {
        let folder = TempDir::new().unwrap();
        let store = blob_store::Options {
            url: format!("file://{}", folder.path().display()),
            ..blob_store::Options::default()
        };
        let mut options = Options::default();
        let tokenizer = Tokenizer::Gguf { path: MODEL.clone() };
        options.models.insert(
            SMOLLM2.to_owned(),
            ModelOptions {
                context_window: 2048,
                tokenizer,
            },
        );
        options.models.insert(
            "other/estimated".to_owned(),
            ModelOptions {
                context_window: 1_000_000,
                tokenizer: Tokenizer::Estimate,
            },
        );
        adjust(&mut options);
        assert_eq!(options.validate(), []);
        let registry = Registry::new();
        let services = Services::new(
            &options,
            BlobStore::open(&store).unwrap(),
            Models::open(&options).unwrap(),
            Metrics::register(&registry).unwrap(),
        );
        Self {
            folder,
            services,
            registry,
        }
    }

    /// Puts a file where a caller would upload it; its size and hash are left open.
    pub(crate) fn upload(&self, name: &str, bytes: impl AsRef<[u8]>) -> BlobRef {
        let path = self.folder.path().join("inbox").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        BlobRef {
            uri: format!("blob:inbox/{name}"),
            ..BlobRef::default()
        }
    }

    /// Stages an object of the run.
    pub(crate) async fn stage(&self, name: &str, bytes: &[u8]) -> BlobRef {
        let path = prefix().path(name).unwrap();
        self.services.store.put(&path, bytes, "text/plain").await.unwrap()
    }

    pub(crate) async fn read(&self, blob: &BlobRef) -> String {
        let bytes = self.services.store.get(blob, u64::MAX).await.unwrap();
        String::from_utf8(bytes.into()).unwrap()
    }

    /// Lists what the run has staged, without its prefix.
    pub(crate) async fn staged(&self) -> Vec<String> {
        let objects = self.services.store.list(&prefix()).await.unwrap();
        let prefix = format!("blob:{PREFIX}");
        objects
            .into_iter()
            .map(|object| object.uri.strip_prefix(&prefix).unwrap().to_owned())
            .collect()
    }

    /// Gives the value of a counter, summed over its labels.
    pub(crate) fn counted(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family
            .get_metric()
            .iter()
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }
}

pub(crate) fn prefix() -> StagePrefix {
    StagePrefix::parse(PREFIX).unwrap()
}

pub(crate) fn blob(blob: BlobRef) -> Content {
    Content {
        source: Some(Source::Blob(blob)),
    }
}

pub(crate) fn inline(text: impl Into<String>) -> Content {
    Content {
        source: Some(Source::Text(text.into())),
    }
}

/// Makes an input from the JSON that a person would write.
pub(crate) fn input<T: DeserializeOwned + Default>(json: &serde_json::Value) -> Wire<T> {
    Wire::new(workflow_types::wire::parse_json_strictly(json.to_string().as_bytes()).unwrap())
}

/// A context that nobody cancels, or that is cancelled from the start.
struct Context(CancellationToken);

impl Pulse for Context {
    async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    async fn beat<D>(&self, _: D) -> Result<(), String>
    where
        D: TemporalSerializable + Send + Sync + 'static,
    {
        Ok(())
    }

    fn deadline(&self) -> Option<SystemTime> {
        None
    }
}

/// Runs an activity's function as its shell would.
pub(crate) async fn scoped<T, F>(work: impl FnOnce(Scope) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match driven(CancellationToken::new(), work).await {
        Ok(output) => Ok(output),
        Err(Stop::Failed(error)) => Err(error),
        Err(stop) => panic!("neither done nor failed: {stop:?}"),
    }
}

/// Runs an activity's function that is cancelled before it can do much, and gives what it says then.
pub(crate) async fn cancelled<T, F>(work: impl FnOnce(Scope) -> F) -> Option<Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let token = CancellationToken::new();
    token.cancel();
    match driven(token, work).await {
        Err(Stop::Cancelled(error)) => error,
        Ok(_) => panic!("went on after it was cancelled"),
        Err(stop) => panic!("not cancelled: {stop:?}"),
    }
}

async fn driven<T, F>(
    token: CancellationToken,
    work: impl FnOnce(Scope) -> F,
) -> Result<T, Stop<Error, Infallible>>
where
    F: Future<Output = Result<T, Error>>,
{
    let on_beat = || std::future::ready(Ok::<_, Infallible>(()));
    scope::run::<_, Progress, _, _, _, _, _, _, _>(&Context(token), Settings::default(), on_beat, work).await
}

/// Gives the problems that a caller would be told.
pub(crate) fn problems(error: Error) -> Vec<Problem> {
    assert!(
        matches!(error, Error::Input(_)),
        "not a problem of the input: {error:?}"
    );
    let Error::Input(problems) = error else {
        return Vec::new();
    };
    Problems::into_vec(problems)
}

/// Gives where the problems of a line are.
pub(crate) fn paths(details: &FailureDetails) -> Vec<&str> {
    details
        .problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect()
}

static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no configuration to be handed the path by"
    )]
    let folder = std::env::var("TAW_TEST_MODELS");
    let folder = folder.expect("TAW_TEST_MODELS is not set: run `make setup` once, then `make test`");
    PathBuf::from(folder).join("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
});
