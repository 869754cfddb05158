//! The clients against a provider that misbehaves on the wire.
//!
//! Each case asserts the kind of the error, what the effect journal is told, the wait that was asked for, and that
//! the request was sent once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod alongside;
mod anthropic;
mod breaks;
mod fake;
mod refusals;
mod streams;
mod tls;

use std::time::Duration;

use model_clients::openai::{Client, ModelOptions, Options};
use model_clients::prices::Prices;
use model_clients::settings::Timeouts;
use model_clients::{
    Billing, Deltas, Error, GenerateCall, GenerateRequest, GenerateResponse, Message, ModelProvider,
    Progress, ResponseFormat, Role,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use fake::Fake;

const PROMPT: &str = "a confidential prompt that no error may repeat";
const KEY: &str = "sk-wire-test-0123456789";

fn options(base_url: String) -> Options {
    Options {
        base_url,
        api_key: Some(KEY.into()),
        models: [(
            "small".to_owned(),
            ModelOptions {
                context_window: 4096,
                billing: Some(Billing::Free),
                ..ModelOptions::default()
            },
        )]
        .into(),
        timeouts: Timeouts {
            connect_seconds: 30.0,
            first_byte_seconds: 30.0,
            between_bytes_seconds: 30.0,
            whole_call_seconds: 60.0,
        },
        ..Options::default()
    }
}

fn request() -> GenerateRequest {
    GenerateRequest {
        model: "small".into(),
        messages: vec![Message {
            role: Role::User,
            content: PROMPT.into(),
        }],
        max_output_tokens: 32,
        temperature: Some(0.0),
        top_p: None,
        seed: None,
        stop: vec![],
        response_format: ResponseFormat::Text,
    }
}

async fn client(options: Options) -> Client {
    Client::new(options, &Prices::shipped().unwrap()).await.unwrap()
}

/// One call and what can be watched and done while it runs.
struct Call {
    request: GenerateRequest,
    deadline: Duration,
    progress: watch::Sender<Progress>,
    deltas: Option<Deltas>,
    cancel: CancellationToken,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            request: request(),
            deadline: Duration::from_mins(1),
            progress: watch::Sender::new(Progress::default()),
            deltas: None,
            cancel: CancellationToken::new(),
        }
    }
}

impl Call {
    async fn run(&self, options: Options) -> Result<GenerateResponse, Error> {
        self.of(&client(options).await).await
    }

    /// Makes this call of whatever provider.
    async fn of(&self, provider: &impl ModelProvider) -> Result<GenerateResponse, Error> {
        let call = GenerateCall {
            request: &self.request,
            deadline: self.deadline,
            progress: self.progress.clone(),
            deltas: self.deltas.clone(),
            cancel: self.cancel.clone(),
        };
        provider.generate(call).await
    }

    /// Makes this call and gives the pieces of text that came on the way too.
    async fn read_along(
        mut self,
        provider: &impl ModelProvider,
    ) -> (Result<GenerateResponse, Error>, Vec<String>) {
        let (deltas, mut pieces) = mpsc::unbounded_channel();
        self.deltas = Some(deltas);
        let result = self.of(provider).await;
        drop(self);
        let mut found = Vec::new();
        while let Some(piece) = pieces.recv().await {
            found.push(piece);
        }
        (result, found)
    }
}

/// Makes one call that must succeed.
async fn answer(fake: &Fake, change: impl FnOnce(&mut Options)) -> GenerateResponse {
    let mut options = options(fake.base_url());
    change(&mut options);
    let response = Call::default().run(options).await.unwrap();
    assert_eq!(fake.requests().len(), 1);
    response
}

/// Makes one call that must fail, and checks what holds for every failure.
async fn failure(fake: &Fake, change: impl FnOnce(&mut Options)) -> Error {
    let mut options = options(fake.base_url());
    change(&mut options);
    let error = Call::default().run(options).await.unwrap_err();
    assert_eq!(fake.requests().len(), 1, "the request is sent once");
    assert_discreet(&error);
    error
}

fn assert_discreet(error: &Error) {
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("confidential") && !shown.contains("sk-wire"),
        "{shown}"
    );
}
