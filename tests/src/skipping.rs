//! Temporal's test server, whose clock jumps to the next timer when nothing runs, and what a test has around it.
//!
//! It is another implementation than the server of production, so nothing is tried on it but the passing of hours; the
//! rest of the tests have the real server. Everything else is the same: the workers as they are shipped, the provider,
//! the journal. A run that ends as cancelled, or that leaves its clean-up to a child, hangs on it and is for the real
//! server too; so a test whose run fails has a `data-worker`.
//!
//! What its clock does is counted in locks. A workflow task, an activity that is queued or runs, and a child that has not
//! started hold one each; an activity between two attempts holds none. While there is one, the clock goes at the pace of
//! the wall. A new server is locked once more, so a test sets its scene at that pace, then lets the clock [jump] and
//! [holds] it when it has seen what it waited for. In between a run that has ended holds nothing, so the clock goes on to
//! whatever is next: what a test asserts is therefore read from the times in the history and not from the clock.
//!
//! [jump]: SkippingRig::jump
//! [holds]: SkippingRig::hold

use std::{
    collections::HashMap,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use blob_store::BlobStore;
use chaos_provider::{Provider, Record, Script};
use effect_journal::Journal;
use tempfile::TempDir;
use temporal_client::{Client, Run, connection, start};
use temporalio_client::{
    UntypedWorkflow, WorkflowExecutionInfo, WorkflowFetchHistoryOptions, WorkflowHandle, tonic::Request,
};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    enums::v1::IndexedValueType,
    history::v1::{HistoryEvent, history_event::Attributes},
    operatorservice::v1::AddSearchAttributesRequest,
    testservice::v1::{LockTimeSkippingRequest, UnlockTimeSkippingRequest},
    workflowservice::v1::SignalWorkflowExecutionRequest,
};
use workflow_types::{
    names::search_attribute,
    proto::{BlobRef, LlmBatchInput, LlmPipelineInput},
    workflows::{LlmBatch, LlmPipeline},
};

use crate::{
    history::Attempts,
    ledger::{self, Ledger},
    patience::within,
    probe::free_port,
    process::Process,
    worker::{Settings, Surroundings, Worker, prices},
};

const UP_WITHIN: Duration = Duration::from_mins(1);
/// The most bytes that are read of a result file.
const MOST_RESULT_BYTES: u64 = 16 * 1024 * 1024;

/// A test server, a provider, a journal and a blob store; workers are started as a test needs them.
pub struct SkippingRig {
    /// The provider, whose account is on disk.
    pub provider: Provider,
    /// A client of the server.
    pub client: Client,
    around: Surroundings,
    journal: Arc<dyn Journal>,
    // After what uses it, and before the folder in which it writes.
    _server: Process,
    _folder: TempDir,
}

/// What one run of a workflow says of its time, by the server's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The run's id.
    pub run_id: String,
    /// When the run began.
    pub began: SystemTime,
    /// When its last event was.
    pub ended: SystemTime,
    /// The id of the run that goes on where this one left off.
    pub next: Option<String>,
}

impl SkippingRig {
    /// Starts a server whose clock goes at the pace of the wall, and a provider with a script.
    ///
    /// # Errors
    ///
    /// That `TAW_TEST_SERVER_BIN` is not set, or what could not be started.
    pub async fn start(script: Script) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("taw-skipping-")?;
        let path = folder.path().to_owned();
        let provider = Provider::start(chaos_provider::Options {
            log: Some(path.join("calls.jsonl")),
            script,
            prices: prices(),
            ..chaos_provider::Options::default()
        })
        .await?;
        let profile = path.join("temporal.toml");
        std::fs::write(&profile, "")?;
        let port = free_port()?;
        let mut server = launch(port, &path)?;
        let address = format!("127.0.0.1:{port}");
        let client = connected(&mut server, &address, &profile).await?;
        describe_attributes(&client).await?;
        let url = format!("sqlite://{}", path.join("journal.db").display());
        let journal = effect_journal::open(&effect_journal::Options {
            url: url.clone(),
            ..effect_journal::Options::default()
        })
        .await?;
        Ok(Self {
            around: Surroundings {
                profile,
                proxy: address.clone(),
                server: address,
                journal: url,
                provider: provider.base_url(),
                folder: path,
            },
            provider,
            client,
            journal,
            _server: server,
            _folder: folder,
        })
    }

    /// Starts an `ai-worker` with these settings; it is ready when this returns.
    ///
    /// # Errors
    ///
    /// That it does not become ready.
    pub async fn ai_worker_with(&self, settings: &Settings) -> anyhow::Result<Worker> {
        // A provider's word to wait would close the journal's limit for as long by the journal's clock, which nothing skips.
        let unlimited = Settings {
            echo: "limits = { circuit = { failures = 0 } }".to_owned(),
            ..settings.clone()
        };
        Worker::ai(&self.around, 0, &unlimited).await
    }

    /// Starts an `ai-worker` and a `data-worker`; they are ready when this returns.
    ///
    /// # Errors
    ///
    /// That one of them does not become ready.
    pub async fn workers(&self) -> anyhow::Result<(Worker, Worker)> {
        let usual = Settings::default();
        let data = Worker::data(&self.around, 1);
        tokio::try_join!(self.ai_worker_with(&usual), data)
    }

    /// Lets the clock jump; only after [`start`](Self::start) or [`hold`](Self::hold).
    ///
    /// Once more than that takes away the lock of a workflow task, and time passes a worker that is at work.
    ///
    /// # Errors
    ///
    /// That the server does not answer.
    pub async fn jump(&self) -> anyhow::Result<()> {
        let mut service = self.client.sdk().connection().test_service();
        service
            .unlock_time_skipping(Request::new(UnlockTimeSkippingRequest {}))
            .await?;
        Ok(())
    }

    /// Lets the clock go at the pace of the wall again.
    ///
    /// # Errors
    ///
    /// That the server does not answer.
    pub async fn hold(&self) -> anyhow::Result<()> {
        let mut service = self.client.sdk().connection().test_service();
        service
            .lock_time_skipping(Request::new(LockTimeSkippingRequest {}))
            .await?;
        Ok(())
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

    /// Sends the signal `cancel` with a reason of so many bytes, more than the run takes.
    ///
    /// # Errors
    ///
    /// That the server does not take it.
    pub async fn signal_at_length(&self, workflow_id: &str, bytes: usize) -> anyhow::Result<()> {
        let payload = Payload {
            metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
            data: format!("{{\"reason\":\"{}\"}}", "x".repeat(bytes)).into_bytes(),
            ..Payload::default()
        };
        let request = SignalWorkflowExecutionRequest {
            namespace: self.client.namespace().to_owned(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: workflow_id.to_owned(),
                run_id: String::new(),
            }),
            signal_name: workflow_types::names::CANCEL.to_owned(),
            input: Some(Payloads {
                payloads: vec![payload],
            }),
            ..SignalWorkflowExecutionRequest::default()
        };
        let mut service = self.client.sdk().connection().workflow_service();
        service.signal_workflow_execution(Request::new(request)).await?;
        Ok(())
    }

    /// Reads when a workflow's runs began and ended, the first run first.
    ///
    /// # Errors
    ///
    /// That a history can't be read.
    pub async fn times(&self, workflow_id: &str, first_run_id: &str) -> anyhow::Result<Vec<Times>> {
        let mut times = Vec::new();
        let mut next = Some(first_run_id.to_owned());
        while let Some(run_id) = next.take() {
            let run = Times::of(&self.client, workflow_id, run_id).await?;
            next.clone_from(&run.next);
            times.push(run);
        }
        Ok(times)
    }

    /// Reads the attempts of a run's activities.
    ///
    /// # Errors
    ///
    /// That the history can't be read.
    pub async fn attempts(&self, workflow_id: &str) -> anyhow::Result<Attempts> {
        Attempts::read(&self.client, workflow_id).await
    }

    /// Holds the journal against the provider's bill; this server lists no runs, so no history is asked.
    ///
    /// # Errors
    ///
    /// What differs, with the whole verdict.
    pub async fn audit(&self) -> anyhow::Result<()> {
        ledger::agree(self.calls()?, &self.journal).await
    }

    /// Reads the journal.
    ///
    /// # Errors
    ///
    /// That it can't be read.
    pub async fn ledger(&self) -> anyhow::Result<Ledger> {
        Ledger::read(&self.journal).await
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
        let path = self.around.folder.join(name);
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
}

impl Times {
    async fn of(client: &Client, workflow_id: &str, run_id: String) -> anyhow::Result<Self> {
        let handle: WorkflowHandle<_, UntypedWorkflow> = WorkflowExecutionInfo::builder()
            .namespace(client.namespace().to_owned())
            .workflow_id(workflow_id)
            .run_id(run_id.clone())
            .build()
            .bind_untyped(client.sdk().clone());
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        let events = history.into_events().await?;
        let first = events.first().context("the history is empty")?;
        let last = events.last().context("the history is empty")?;
        let next = if let Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(ended)) =
            &last.attributes
        {
            Some(ended.new_execution_run_id.clone())
        } else {
            None
        };
        Ok(Self {
            run_id,
            began: time(first)?,
            ended: time(last)?,
            next,
        })
    }
}

fn time(event: &HistoryEvent) -> anyhow::Result<SystemTime> {
    let time = event.event_time.context("an event without a time")?;
    Ok(SystemTime::try_from(time)?)
}

fn launch(port: u16, folder: &Path) -> anyhow::Result<Process> {
    let program = std::env::var_os("TAW_TEST_SERVER_BIN")
        .context("TAW_TEST_SERVER_BIN is not set; run the tests with `make test-system`")?;
    let mut command = Command::new(program);
    command.arg(port.to_string());
    Process::start("the test server", command, &folder.join("server.log"))
}

async fn connected(server: &mut Process, address: &str, profile: &Path) -> anyhow::Result<Client> {
    let options = connection::Options {
        address: Some(address.to_owned()),
        namespace: Some("default".to_owned()),
        profile_file: Some(profile.to_owned()),
        identity: "testkit".to_owned(),
        ..connection::Options::default()
    };
    let mut client = None;
    within(UP_WITHIN, "the test server answers", async || {
        if !server.is_running()? {
            bail!("the test server ended: {}", server.log()?);
        }
        client = Client::connect(&options, &HashMap::new()).await.ok();
        Ok(client.is_some())
    })
    .await?;
    client.context("the test server answers")
}

/// Adds the search attributes unseen: this server can't list them, which is how a client finds out what is missing.
async fn describe_attributes(client: &Client) -> anyhow::Result<()> {
    let of = |names: &[&str], kind: IndexedValueType| -> Vec<(String, i32)> {
        names.iter().map(|&name| (name.to_owned(), kind.into())).collect()
    };
    let mut attributes = of(&search_attribute::KEYWORDS, IndexedValueType::Keyword);
    attributes.extend(of(&search_attribute::INTS, IndexedValueType::Int));
    let request = AddSearchAttributesRequest {
        search_attributes: attributes.into_iter().collect(),
        namespace: client.namespace().to_owned(),
    };
    let mut service = client.sdk().connection().operator_service();
    service.add_search_attributes(Request::new(request)).await?;
    Ok(())
}

fn named(id: &str) -> start::Options {
    start::Options {
        workflow_id: Some(id.to_owned()),
        ..start::Options::default()
    }
}
