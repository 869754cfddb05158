//! The provider with the real model, and calls of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use local_models::{LocalModels, ModelOptions, Options};
use model_clients::{
    Deltas, Error, GenerateCall, GenerateRequest, GenerateResponse, Message, ModelProvider, Progress,
    ResponseFormat, Role,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn model_path() -> PathBuf {
    let folder = std::env::var_os("TAW_TEST_MODELS")
        .expect("TAW_TEST_MODELS must name the folder with the test models; run the tests with `make test`");
    let path = PathBuf::from(folder).join("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(path.is_file(), "{} is missing; run `make setup`", path.display());
    path
}

pub(crate) async fn provider(max_concurrent: usize) -> Arc<LocalModels> {
    let model = ModelOptions {
        max_output_tokens: Some(4096),
        ..ModelOptions::new(model_path())
    };
    let options = Options {
        models: [("tiny".to_owned(), model)].into(),
        max_concurrent,
        load_at_start: true,
    };
    let provider = LocalModels::new(options).expect("valid options");
    provider.prepare().await.expect("the model loads");
    Arc::new(provider)
}

pub(crate) fn request(user: &str, max_output_tokens: u32) -> GenerateRequest {
    GenerateRequest {
        model: "tiny".to_owned(),
        messages: vec![Message {
            role: Role::User,
            content: user.to_owned(),
        }],
        max_output_tokens,
        temperature: None,
        top_p: None,
        seed: None,
        stop: Vec::new(),
        response_format: ResponseFormat::Text,
    }
}

/// A call with its limits and the other end of its progress.
pub(crate) struct Call {
    pub(crate) deadline: Duration,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) deltas: Option<Deltas>,
}

impl Call {
    pub(crate) fn new() -> Self {
        Self {
            deadline: Duration::from_mins(5),
            cancel: CancellationToken::new(),
            progress: watch::Sender::new(Progress::default()),
            deltas: None,
        }
    }

    pub(crate) async fn of(
        self,
        provider: &LocalModels,
        request: &GenerateRequest,
    ) -> Result<GenerateResponse, Error> {
        provider
            .generate(GenerateCall {
                request,
                deadline: self.deadline,
                progress: self.progress,
                deltas: self.deltas,
                cancel: self.cancel,
            })
            .await
    }
}

pub(crate) async fn answer(provider: &LocalModels, request: &GenerateRequest) -> GenerateResponse {
    Call::new().of(provider, request).await.expect("an answer")
}

pub(crate) async fn refusal(provider: &LocalModels, request: &GenerateRequest) -> Error {
    Call::new().of(provider, request).await.expect_err("a refusal")
}
