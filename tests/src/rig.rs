//! Everything a test of the whole needs, in one folder that goes away with it.

use std::{path::PathBuf, sync::Arc, sync::atomic::AtomicUsize, sync::atomic::Ordering};

use anyhow::Context as _;
use blob_store::BlobStore;
use chaos_provider::{Provider, Record, Script};
use effect_journal::Journal;
use tempfile::TempDir;
use temporal_client::{Client, Run, start};
use workflow_types::{
    proto::{BlobRef, Content, GenerationParameters, LlmPipelineInput, content},
    workflows::LlmPipeline,
};

use crate::{
    history::Attempts,
    ledger::Ledger,
    server::Server,
    worker::{Settings, Surroundings, Worker},
};

/// The model that the scripted provider serves.
pub const MODEL: &str = "chaos/echo";

/// The most bytes that are read of a result file.
const MOST_RESULT_BYTES: u64 = 16 * 1024 * 1024;

/// A server, a provider, a journal and a blob store; workers are started as a test needs them.
pub struct Rig {
    /// The server.
    pub server: Server,
    /// The provider, whose account is on disk.
    pub provider: Provider,
    /// A client of the server.
    pub client: Client,
    around: Surroundings,
    journal: Arc<dyn Journal>,
    workers: AtomicUsize,
    // The last field, so that the folder goes after the processes that write in it.
    _folder: TempDir,
}

impl Rig {
    /// Starts a server and a provider with a script.
    ///
    /// # Errors
    ///
    /// What could not be started.
    pub async fn start(script: Script) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("taw-rig-")?;
        let path = folder.path().to_owned();
        let provider = Provider::start(chaos_provider::Options {
            log: Some(path.join("calls.jsonl")),
            script,
            ..chaos_provider::Options::default()
        })
        .await?;
        let server = Server::start(&path).await?;
        let journal = effect_journal::open(&effect_journal::Options {
            url: format!("sqlite://{}", path.join("journal.db").display()),
            ..effect_journal::Options::default()
        })
        .await?;
        Ok(Self {
            client: server.client().await?,
            around: Surroundings {
                profile: server.profile()?,
                server: server.address(),
                provider: provider.base_url(),
                folder: path,
            },
            server,
            provider,
            journal,
            workers: AtomicUsize::new(0),
            _folder: folder,
        })
    }

    /// Starts an `ai-worker`; it is ready when this returns.
    ///
    /// # Errors
    ///
    /// That it does not become ready.
    pub async fn ai_worker(&self) -> anyhow::Result<Worker> {
        self.ai_worker_with(&Settings::default()).await
    }

    /// Starts an `ai-worker` with other settings than usual.
    ///
    /// # Errors
    ///
    /// That it does not become ready.
    pub async fn ai_worker_with(&self, settings: &Settings) -> anyhow::Result<Worker> {
        Worker::ai(&self.around, self.next_number(), settings).await
    }

    /// Starts a `data-worker`; it is ready when this returns.
    ///
    /// # Errors
    ///
    /// That it does not become ready.
    pub async fn data_worker(&self) -> anyhow::Result<Worker> {
        Worker::data(&self.around, self.next_number()).await
    }

    /// Starts a pipeline under an id.
    ///
    /// # Errors
    ///
    /// That the input or the id can't be used.
    pub async fn run(&self, id: &str, input: LlmPipelineInput) -> anyhow::Result<Run<LlmPipeline>> {
        Ok(self.client.start_llm_pipeline(input, &named(id)).await?)
    }

    /// Starts a pipeline whose prompt holds its id, so that a script can choose it and its call is like no other.
    ///
    /// # Errors
    ///
    /// That the id can't be used.
    pub async fn ask(&self, id: &str) -> anyhow::Result<Run<LlmPipeline>> {
        self.run(id, prompt(id)).await
    }

    /// Reads the journal.
    ///
    /// # Errors
    ///
    /// That it can't be read.
    pub async fn ledger(&self) -> anyhow::Result<Ledger> {
        Ledger::read(&self.journal).await
    }

    /// Reads the attempts of a run's activities.
    ///
    /// # Errors
    ///
    /// That the history can't be read.
    pub async fn attempts(&self, workflow_id: &str) -> anyhow::Result<Attempts> {
        Attempts::read(&self.client, workflow_id).await
    }

    /// Gives the provider's account as it is on disk.
    ///
    /// # Errors
    ///
    /// That the file is unusable.
    pub fn calls(&self) -> anyhow::Result<Vec<Record>> {
        Ok(chaos_provider::read_log(&self.around.folder.join("calls.jsonl"))?)
    }

    /// Writes an input file and gives its reference.
    ///
    /// # Errors
    ///
    /// That it can't be written.
    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<BlobRef> {
        let path: PathBuf = self.around.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(BlobRef {
            uri: format!("file://{}", path.display()),
            ..BlobRef::default()
        })
    }

    /// Reads what a run wrote.
    ///
    /// # Errors
    ///
    /// That it is not there, or is no text.
    pub async fn read(&self, blob: &BlobRef) -> anyhow::Result<String> {
        let store = BlobStore::open(&blob_store::Options {
            url: format!("file://{}", self.around.folder.join("blobs").display()),
            ..blob_store::Options::default()
        })?;
        let bytes = store.get(blob, MOST_RESULT_BYTES).await?;
        String::from_utf8(bytes.to_vec()).context("the file is no text")
    }

    fn next_number(&self) -> usize {
        self.workers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Gives a small request to the scripted provider, with a text that holds these words.
pub fn prompt(words: &str) -> LlmPipelineInput {
    LlmPipelineInput {
        instruction: Some("Say what it is about.".to_owned()),
        model: Some(MODEL.to_owned()),
        content: Some(Content {
            source: Some(content::Source::Text(format!("The text is called <{words}>."))),
        }),
        parameters: Some(GenerationParameters {
            max_output_tokens: Some(64),
            ..GenerationParameters::default()
        }),
        ..LlmPipelineInput::default()
    }
}

fn named(id: &str) -> start::Options {
    start::Options {
        workflow_id: Some(id.to_owned()),
        ..start::Options::default()
    }
}
