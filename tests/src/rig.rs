//! Everything a test of the whole needs, in one folder that goes away with it.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use blob_store::BlobStore;
use chaos_provider::{Limit, Provider, Record, Script};
use effect_journal::Journal;
use tempfile::TempDir;
use temporal_client::{Client, Run, start};
use tokio::process::Command;
use workflow_types::{
    proto::{BlobRef, LlmBatchInput, LlmPipelineInput},
    workflows::{LlmBatch, LlmPipeline},
};

use crate::{
    command::{Desk, Said},
    history::Attempts,
    ledger::Ledger,
    patience::within,
    proxy::Proxy,
    request::prompt,
    server::Server,
    worker::{Settings, Surroundings, Worker, prices},
};

mod audit;

/// The most bytes that are read of a result file.
const MOST_RESULT_BYTES: u64 = 16 * 1024 * 1024;

/// How long a run may take until it says that it waits.
const AWAITING_WITHIN: Duration = Duration::from_secs(40);

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What the provider does.
    pub script: Script,
    /// What the provider lets through.
    pub limits: Vec<Limit>,
    /// What the provider's chances are drawn by.
    pub seed: Option<u64>,
    /// Keeps the journal in a PostgreSQL server of the test's own instead of a SQLite file.
    pub postgres: bool,
}

/// A server, a provider, a journal and a blob store; workers are started as a test needs them.
pub struct Rig {
    /// The server.
    pub server: Server,
    /// A way to the server that can be cut, for workers whose settings say so.
    pub proxy: Proxy,
    /// The provider, whose account is on disk.
    pub provider: Provider,
    /// A client of the server.
    pub client: Client,
    /// The journal's server, if it has one.
    pub postgres: Option<scratch_postgres::Server>,
    /// The journal, as a tool sees it.
    pub journal: Arc<dyn Journal>,
    around: Surroundings,
    desk: Desk,
    workers: AtomicUsize,
    // The last field, so that the folder goes after the processes that write in it.
    _folder: TempDir,
}

impl Rig {
    /// Starts a server and a provider with a script; the journal is a SQLite file.
    ///
    /// # Errors
    ///
    /// What could not be started.
    pub async fn start(script: Script) -> anyhow::Result<Self> {
        Self::planned(Plan {
            script,
            ..Plan::default()
        })
        .await
    }

    /// Starts what the plan says.
    ///
    /// # Errors
    ///
    /// What could not be started.
    pub async fn planned(plan: Plan) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("taw-rig-")?;
        let path = folder.path().to_owned();
        let provider = Provider::start(chaos_provider::Options {
            log: Some(path.join("calls.jsonl")),
            script: plan.script,
            limits: plan.limits,
            prices: prices(),
            seed: plan.seed,
            ..chaos_provider::Options::default()
        })
        .await?;
        let server = Server::start(&path).await?;
        let postgres = plan.postgres.then(scratch_postgres::Server::start).transpose()?;
        let journal = match &postgres {
            Some(postgres) => postgres.url(),
            None => format!("sqlite://{}", path.join("journal.db").display()),
        };
        let proxy = Proxy::start(server.address()).await?;
        let around = Surroundings {
            profile: server.profile()?,
            server: server.address(),
            proxy: proxy.address(),
            provider: provider.base_url(),
            journal,
            folder: path,
        };
        let options = effect_journal::Options {
            url: around.journal.clone(),
            ..effect_journal::Options::default()
        };
        Ok(Self {
            client: server.client().await?,
            journal: effect_journal::open(&options).await?,
            desk: desk(&around),
            around,
            server,
            proxy,
            provider,
            postgres,
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

    /// Starts a batch under an id.
    ///
    /// # Errors
    ///
    /// That the input or the id can't be used.
    pub async fn batch(&self, id: &str, input: LlmBatchInput) -> anyhow::Result<Run<LlmBatch>> {
        Ok(self.client.start_llm_batch(input, &named(id)).await?)
    }

    /// Starts a pipeline whose prompt holds its id, so that a script can choose it and its call is like no other.
    ///
    /// # Errors
    ///
    /// That the id can't be used.
    pub async fn ask(&self, id: &str) -> anyhow::Result<Run<LlmPipeline>> {
        self.run(id, prompt(id)).await
    }

    /// Runs `pipelinectl` to its end, as a person does beside this server, journal and blob store.
    ///
    /// # Errors
    ///
    /// That it can't be started, or hangs.
    pub async fn ctl(&self, args: &[&str]) -> anyhow::Result<Said> {
        self.desk.run("pipelinectl", args, &self.around.folder).await
    }

    /// Runs `pipelinectl … --output json`, its words separated by spaces, which must succeed; gives its answer.
    ///
    /// # Errors
    ///
    /// That it did not succeed, with all that it said.
    pub async fn tell(&self, words: &str) -> anyhow::Result<serde_json::Value> {
        let args: Vec<&str> = words.split(' ').chain(["--output", "json"]).collect();
        self.ctl(&args).await?.json()
    }

    /// Prepares `pipelinectl` for a test that reads along while it runs.
    ///
    /// # Errors
    ///
    /// That it is not built.
    pub fn ctl_command(&self, args: &[&str]) -> anyhow::Result<Command> {
        self.desk.command("pipelinectl", args, &self.around.folder)
    }

    /// Waits until the server lists a run as one that waits for `budget` or `review`, or for nothing.
    ///
    /// # Errors
    ///
    /// That it does not within half a minute.
    pub async fn until_awaiting(&self, workflow_id: &str, what: Option<&str>) -> anyhow::Result<()> {
        let waited = format!("{workflow_id} waits for {what:?}");
        within(AWAITING_WITHIN, &waited, async || {
            let described = self.client.describe(workflow_id, None).await?;
            Ok(described.attributes.awaiting.as_deref() == what)
        })
        .await?;
        Ok(())
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
        Ok(chaos_provider::read_log(&self.bill())?)
    }

    /// Writes an input file and gives its reference.
    ///
    /// # Errors
    ///
    /// That it can't be written.
    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<BlobRef> {
        let path = self.path(name);
        std::fs::write(&path, text)?;
        Ok(BlobRef {
            uri: format!("file://{}", path.display()),
            ..BlobRef::default()
        })
    }

    /// Gives the path of a file in the rig's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.around.folder.join(name)
    }

    /// Reads what a run wrote.
    ///
    /// # Errors
    ///
    /// That it is not there, or is no text.
    pub async fn read(&self, blob: &BlobRef) -> anyhow::Result<String> {
        let store = BlobStore::open(&blob_store::Options {
            url: format!("file://{}", self.path("blobs").display()),
            ..blob_store::Options::default()
        })?;
        let bytes = store.get(blob, MOST_RESULT_BYTES).await?;
        String::from_utf8(bytes.to_vec()).context("the file is no text")
    }

    fn bill(&self) -> PathBuf {
        self.path("calls.jsonl")
    }

    fn next_number(&self) -> usize {
        self.workers.fetch_add(1, Ordering::Relaxed)
    }
}

fn desk(around: &Surroundings) -> Desk {
    let blobs = format!("file://{}", around.folder.join("blobs").display());
    let variables = [
        ("TEMPORAL_ADDRESS", around.server.clone()),
        ("PIPELINECTL__BLOB_STORE__URL", blobs),
        ("PIPELINECTL__JOURNAL__URL", around.journal.clone()),
    ];
    let mut variables: Vec<(_, OsString)> = variables.map(|(name, value)| (name, value.into())).into();
    // The user's own profile must not lead elsewhere.
    variables.push(("TEMPORAL_CONFIG_FILE", around.profile.clone().into()));
    Desk { variables }
}

fn named(id: &str) -> start::Options {
    start::Options {
        workflow_id: Some(id.to_owned()),
        ..start::Options::default()
    }
}
