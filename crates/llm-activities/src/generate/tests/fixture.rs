//! A provider that follows a script, and everything real around it.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use activity_context::{BlockingPool, Pulse, Settings, scope};
use blob_store::{BlobStore, StagePrefix};
use effect_journal::Journal;
use model_clients::provider::{ModelInfo, ModelProvider};
use prometheus::{Registry, proto::MetricFamily};
use temporalio_common::data_converters::TemporalSerializable;
use tokio_util::sync::CancellationToken;
use workflow_types::{
    json,
    proto::{
        BlobRef, Content, GenerateTextInput, GenerateTextOutput, JsonFormat, OutputSpec, Prompt, content,
        generate_text_input::Request, output_spec,
    },
    wire::Wire,
};

use super::super::{Services, run};
use crate::{Metrics, Providers, error::Error, failed::Failed, journaled::Holder, route::Attempt};

mod scripted;

pub(super) use scripted::Script;
use scripted::Scripted;

pub(super) const PREFIX: &str = "runs/wf/run-1/";

/// An activity's context whose cancellation a test controls.
struct TestPulse(CancellationToken);

impl Pulse for TestPulse {
    async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    async fn beat<D: TemporalSerializable + Send + 'static>(&self, _details: D) -> Result<(), String> {
        Ok(())
    }

    fn deadline(&self) -> Option<SystemTime> {
        None
    }
}

/// A worker's services over a folder of their own.
pub(super) struct Fixture {
    pub(super) journal: Arc<dyn Journal>,
    services: Services,
    provider: Arc<Scripted>,
    pulse: TestPulse,
    blobs: BlobStore,
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(super) async fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::with(scripts, |_| {}).await
    }

    /// Makes one whose provider says something else of its models.
    pub(super) async fn with(
        scripts: impl IntoIterator<Item = Script>,
        change: impl FnOnce(&mut ModelInfo),
    ) -> Self {
        let mut info = scripted::info();
        change(&mut info);
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("journal.db").display());
        let journal = effect_journal::open(&effect_journal::Options {
            url,
            ..Default::default()
        })
        .await
        .unwrap();
        let url = format!("file://{}", folder.path().join("blobs").display());
        let blobs = BlobStore::open(&blob_store::Options {
            url,
            ..Default::default()
        })
        .unwrap();
        let registry = Registry::new();
        let provider = Arc::new(Scripted::new(scripts, info));
        let services = Services {
            journal: Arc::clone(&journal),
            blobs: blobs.clone(),
            providers: Providers::new([Arc::clone(&provider) as Arc<dyn ModelProvider>]),
            pool: BlockingPool::new(2),
            metrics: Metrics::register(&registry).unwrap(),
            identity: "test".into(),
            journal_response_inline_bytes: 1_024,
        };
        let pulse = TestPulse(CancellationToken::new());
        Self {
            journal,
            services,
            provider,
            pulse,
            blobs,
            registry,
            folder,
        }
    }

    pub(super) async fn run(&self, input: GenerateTextInput) -> Result<GenerateTextOutput, Error> {
        match self.attempt(input).await {
            Ok(output) => Ok(output),
            Err(scope::Stop::Failed(failed)) => Err(failed.error),
            Err(other) => panic!("the attempt was stopped: {other:?}"),
        }
    }

    /// Gives how an attempt fails.
    pub(super) async fn fail(&self, input: GenerateTextInput) -> Box<Failed> {
        match self.attempt(input).await {
            Err(scope::Stop::Failed(failed)) => failed,
            other => panic!("the attempt did not fail: {other:?}"),
        }
    }

    /// Gives nothing when the attempt was cancelled.
    pub(super) async fn run_stoppable(&self, input: GenerateTextInput) -> Option<GenerateTextOutput> {
        match self.attempt(input).await {
            Ok(output) => Some(output),
            Err(scope::Stop::Cancelled(_)) => None,
            Err(other) => panic!("the attempt failed: {other:?}"),
        }
    }

    async fn attempt(
        &self,
        input: GenerateTextInput,
    ) -> Result<GenerateTextOutput, scope::Stop<Box<Failed>, effect_journal::Error>> {
        let attempt = Attempt {
            number: 1,
            first_scheduled: Some(SystemTime::now()),
        };
        let holder = Holder::new(Arc::clone(&self.journal));
        let renew = || holder.renew();
        scope::run(&self.pulse, Settings::default(), renew, |scope| {
            Box::pin(run(&self.services, &holder, (Wire::new(input), attempt), scope))
        })
        .await
    }

    pub(super) fn calls(&self) -> usize {
        *self.provider.calls.borrow()
    }

    pub(super) async fn called(&self, times: usize) {
        self.provider
            .calls
            .subscribe()
            .wait_for(|calls| *calls >= times)
            .await
            .unwrap();
    }

    pub(super) fn let_go(&self) {
        self.provider.gate.notify_one();
    }

    pub(super) fn cancel(&self) {
        self.pulse.0.cancel();
    }

    fn messages(&self) -> Vec<String> {
        let last = self.provider.last.lock().unwrap();
        let messages = last.iter().flat_map(|request| &request.messages);
        messages.map(|message| message.content.clone()).collect()
    }

    pub(super) fn last_model(&self) -> Option<String> {
        let last = self.provider.last.lock().unwrap();
        last.as_ref().map(|request| request.model.clone())
    }

    pub(super) fn last_prompt(&self) -> String {
        self.messages().pop().unwrap_or_default()
    }

    pub(super) fn earlier_messages(&self) -> String {
        let messages = self.messages();
        messages
            .split_last()
            .map(|(_, earlier)| earlier.join("\n"))
            .unwrap_or_default()
    }

    /// Gives the folder of the blob store.
    pub(super) fn blob_folder(&self) -> PathBuf {
        self.folder.path().join("blobs")
    }

    /// Gives the value of a counter or gauge, summed over its labels.
    pub(super) fn measured(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        metrics
            .flat_map(MetricFamily::get_metric)
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }

    /// Gives the run's objects below a folder, by name.
    pub(super) async fn objects(&self, folder: &str) -> Vec<String> {
        let prefix = StagePrefix::parse(PREFIX).unwrap().folder(folder).unwrap();
        let objects = self.blobs.list(&prefix).await.unwrap();
        let start = format!("blob:{prefix}");
        let names = objects
            .iter()
            .map(|object| object.uri.strip_prefix(&start).unwrap().to_owned());
        names.collect()
    }

    pub(super) async fn stage(&self, name: &str, bytes: &[u8]) -> BlobRef {
        let path = StagePrefix::parse(PREFIX).unwrap().path(name).unwrap();
        self.blobs.put(&path, bytes, "text/plain").await.unwrap()
    }

    pub(super) async fn read(&self, blob: &BlobRef) -> String {
        String::from_utf8(self.blobs.get(blob, 1_000_000).await.unwrap().to_vec()).unwrap()
    }
}

pub(super) fn inline(text: &str) -> Content {
    Content {
        source: Some(content::Source::Text(text.into())),
    }
}

pub(super) fn prompt_input(step: &str) -> GenerateTextInput {
    let prompt = Prompt {
        model: "scripted/one".into(),
        instruction: Some("Summarize.".into()),
        contents: vec![inline("Some words to work on.")],
        normalize: true,
        ..Prompt::default()
    };
    GenerateTextInput {
        effect_key: format!("default/wf/run-1/{step}"),
        request: Some(Request::Prompt(prompt)),
        stage_prefix: PREFIX.into(),
        store_name: "results/answer".into(),
        ..GenerateTextInput::default()
    }
}

pub(super) fn json_input(step: &str) -> GenerateTextInput {
    let mut input = prompt_input(step);
    let schema = serde_json::json!({"type": "object"});
    let format = JsonFormat {
        schema: schema.as_object().map(json::to_struct),
        max_repairs: None,
    };
    if let Some(Request::Prompt(prompt)) = &mut input.request {
        prompt.output = Some(OutputSpec {
            format: Some(output_spec::Format::Json(format)),
            store: None,
        });
    }
    input
}
