//! A provider that follows a script, and everything real around it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use activity_context::{BlockingPool, Pulse, Settings, scope};
use async_trait::async_trait;
use blob_store::{BlobStore, StagePrefix};
use effect_journal::Journal;
use model_clients::provider::{
    Billing, CallOutcome, Error as CallError, ErrorKind, Finish, GenerateCall, GenerateResponse, ModelInfo,
    ModelProvider, TokenizerSpec, Usage, UsageSource,
};
use prometheus::Registry;
use temporalio_common::data_converters::TemporalSerializable;
use tokio::sync::{Notify, watch};
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
use crate::{Metrics, Providers, error::Error, journaled::Holder};

const PREFIX: &str = "runs/wf/run-1/";

/// What the provider does with one call.
pub(super) enum Script {
    Answer {
        text: String,
        finish: Finish,
        held: bool,
    },
    Fail {
        kind: ErrorKind,
        billing: CallOutcome,
    },
}

impl Script {
    pub(super) fn answer(text: &str) -> Self {
        Self::ended(text, Finish::Stop)
    }

    pub(super) fn ended(text: &str, finish: Finish) -> Self {
        Self::Answer {
            text: text.into(),
            finish,
            held: false,
        }
    }

    /// Answers when it is let go.
    pub(super) fn held(text: &str) -> Self {
        Self::Answer {
            text: text.into(),
            finish: Finish::Stop,
            held: true,
        }
    }

    pub(super) fn failure(kind: ErrorKind, billing: CallOutcome) -> Self {
        Self::Fail { kind, billing }
    }
}

struct Scripted {
    scripts: Mutex<VecDeque<Script>>,
    calls: watch::Sender<usize>,
    gate: Notify,
    messages: Mutex<Vec<String>>,
}

#[async_trait]
impl ModelProvider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn model(&self, name: &str) -> Result<ModelInfo, CallError> {
        Ok(ModelInfo {
            name: name.to_owned(),
            context_window: 1_024,
            max_output_tokens: None,
            tokenizer: TokenizerSpec::Estimate,
            billing: Billing::PerToken {
                input_micros_per_million: 1,
                cached_input_micros_per_million: 1,
                output_micros_per_million: 1,
            },
            constrained_json: false,
        })
    }

    async fn generate(&self, call: GenerateCall<'_>) -> Result<GenerateResponse, CallError> {
        let messages = call
            .request
            .messages
            .iter()
            .map(|message| message.content.clone());
        *self.messages.lock().unwrap() = messages.collect();
        self.calls.send_modify(|calls| *calls += 1);
        let script = self
            .scripts
            .lock()
            .unwrap()
            .pop_front()
            .expect("the script covers every call");
        match script {
            Script::Fail { kind, billing } => Err(CallError::new(kind, billing, "scripted")),
            Script::Answer { text, finish, held } => {
                if held {
                    tokio::select! {
                        () = self.gate.notified() => {}
                        () = call.cancel.cancelled() => {
                            return Err(CallError::new(ErrorKind::Cancelled, CallOutcome::Unknown, "cancelled"));
                        }
                    }
                }
                Ok(response(text, finish))
            }
        }
    }
}

fn response(text: String, finish: Finish) -> GenerateResponse {
    GenerateResponse {
        text,
        finish,
        usage: Usage {
            input_tokens: 7,
            output_tokens: 2,
            ..Usage::default()
        },
        usage_source: UsageSource::Reported,
        served_model: "one".into(),
        response_id: None,
        first_token_ms: 1,
        total_ms: 2,
    }
}

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
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(super) async fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
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
        let provider = Arc::new(Scripted {
            scripts: Mutex::new(scripts.into_iter().collect()),
            calls: watch::Sender::new(0),
            gate: Notify::new(),
            messages: Mutex::default(),
        });
        let services = Services {
            journal: Arc::clone(&journal),
            blobs: blobs.clone(),
            providers: Providers::new([Arc::clone(&provider) as Arc<dyn ModelProvider>]),
            pool: BlockingPool::new(2),
            metrics: Metrics::register(&Registry::new()).unwrap(),
            identity: "test".into(),
        };
        let pulse = TestPulse(CancellationToken::new());
        Self {
            journal,
            services,
            provider,
            pulse,
            blobs,
            _folder: folder,
        }
    }

    pub(super) async fn run(&self, input: GenerateTextInput) -> Result<GenerateTextOutput, Error> {
        match self.attempt(input).await {
            Ok(output) => Ok(output),
            Err(scope::Stop::Failed(error)) => Err(error),
            Err(other) => panic!("the attempt was stopped: {other:?}"),
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
    ) -> Result<GenerateTextOutput, scope::Stop<Error, effect_journal::Error>> {
        let holder = Holder::new(Arc::clone(&self.journal));
        let renew = || holder.renew();
        scope::run(&self.pulse, Settings::default(), renew, |scope| {
            Box::pin(run(&self.services, &holder, Wire::new(input), scope))
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

    pub(super) fn last_prompt(&self) -> String {
        self.provider
            .messages
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn earlier_messages(&self) -> String {
        let messages = self.provider.messages.lock().unwrap();
        messages
            .split_last()
            .map(|(_, earlier)| earlier.join("\n"))
            .unwrap_or_default()
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
