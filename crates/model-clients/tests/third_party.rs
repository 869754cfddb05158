//! The OpenAI-compatible client against a server that is not ours: llama.cpp with a real model.
//!
//! Our own fake provider sends what we believe servers send; this one shows whether that is true. One server is
//! started for all cases, because loading the model takes longer than the cases do.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use model_clients::openai::{Client, ModelOptions, Options};
use model_clients::prices::Prices;
use model_clients::{
    Billing, CallOutcome, Error, ErrorKind, Finish, GenerateCall, GenerateRequest, GenerateResponse, Message,
    ModelProvider as _, Progress, ResponseFormat, Role, UsageSource,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const KEY: &str = "third-party-key";
const MODEL_FILE: &str = "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
/// What the server is started with; see the script.
const CONTEXT: u32 = 1024;

struct Server {
    base_url: String,
    /// Ends the server when it is dropped.
    _child: Child,
}

fn setting(name: &str) -> PathBuf {
    PathBuf::from(
        std::env::var_os(name).unwrap_or_else(|| {
            panic!("{name} is not set; run the tests with `make test`, which prepares it")
        }),
    )
}

impl Server {
    async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tools/llama_server.py");
        let mut child = Command::new(setting("TAW_TEST_PYTHON"))
            .arg(script)
            .arg(setting("TAW_TEST_MODELS").join(MODEL_FILE))
            .arg(KEY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter named by TAW_TEST_PYTHON starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap();
            let line = line.expect("the server says that it listens before it ends; is xllamacpp installed?");
            if let Some(port) = line.strip_prefix("listening on ") {
                break port.to_owned();
            }
        };
        Self {
            base_url: format!("http://127.0.0.1:{port}/v1"),
            _child: child,
        }
    }

    fn options(&self) -> Options {
        Options {
            name: "llama".into(),
            base_url: self.base_url.clone(),
            api_key: Some(KEY.into()),
            models: [(
                "smollm2".to_owned(),
                ModelOptions {
                    context_window: CONTEXT,
                    billing: Some(Billing::Free),
                    ..ModelOptions::default()
                },
            )]
            .into(),
            ..Options::default()
        }
    }
}

fn request(prompt: &str) -> GenerateRequest {
    GenerateRequest {
        model: "smollm2".into(),
        messages: vec![Message {
            role: Role::User,
            content: prompt.into(),
        }],
        max_output_tokens: 48,
        temperature: Some(0.0),
        top_p: None,
        seed: Some(7),
        stop: vec![],
        response_format: ResponseFormat::Text,
    }
}

async fn ask(options: Options, request: &GenerateRequest) -> Result<GenerateResponse, Error> {
    let call = GenerateCall {
        request,
        deadline: Duration::from_mins(2),
        progress: watch::Sender::new(Progress::default()),
        deltas: None,
        cancel: CancellationToken::new(),
    };
    Client::new(options, &Prices::shipped().unwrap())
        .await
        .unwrap()
        .generate(call)
        .await
}

#[tokio::test]
async fn llama_cpp_is_understood_in_answers_refusals_and_cancellation() {
    let server = Server::start().await;
    for streaming in [true, false] {
        let options = || Options {
            streaming,
            ..server.options()
        };
        answers_with_text_and_usage(options()).await;
        stops_at_the_limit_of_tokens(options()).await;
        keeps_to_a_schema(options()).await;
        refuses_a_prompt_above_the_context(options()).await;
        refuses_a_wrong_key(options()).await;
    }
    can_be_cancelled_in_the_middle(server.options()).await;
    answers_with_text_and_usage(server.options()).await;
}

async fn answers_with_text_and_usage(options: Options) {
    let answer = ask(
        options,
        &request("What is the capital of France? Answer in one short sentence."),
    )
    .await
    .unwrap();
    assert!(answer.text.contains("Paris"), "{}", answer.text);
    assert_eq!(
        (answer.finish, answer.usage_source),
        (Finish::Stop, UsageSource::Reported)
    );
    assert!(answer.usage.input_tokens > 10 && answer.usage.output_tokens > 2);
    assert!(answer.response_id.is_some() && answer.served_model.contains("SmolLM2"));
    assert!(answer.first_token_ms <= answer.total_ms);
}

async fn stops_at_the_limit_of_tokens(options: Options) {
    let short = GenerateRequest {
        max_output_tokens: 3,
        ..request("Tell me a long story about a river.")
    };
    let answer = ask(options, &short).await.unwrap();
    assert_eq!((answer.finish, answer.usage.output_tokens), (Finish::Length, 3));
}

async fn keeps_to_a_schema(options: Options) {
    let asking = GenerateRequest {
        response_format: ResponseFormat::JsonSchema(json!({
            "type": "object",
            "properties": {"label": {"type": "string", "enum": ["positive", "negative"]}},
            "required": ["label"],
            "additionalProperties": false,
        })),
        ..request("Classify the mood of: I love this. Answer as JSON.")
    };
    let answer = ask(options, &asking).await.unwrap();
    let value: Value = serde_json::from_str(&answer.text).unwrap();
    assert!(["positive", "negative"].contains(&value["label"].as_str().unwrap()));
    assert_eq!(value.as_object().unwrap().len(), 1);
}

async fn refuses_a_prompt_above_the_context(options: Options) {
    let error = ask(options, &request(&"word ".repeat(3 * 1024)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::InvalidRequest, CallOutcome::NotBilled)
    );
    assert_eq!(error.status, Some(400));
    assert!(error.message.contains("exceed_context_size_error"), "{error}");
}

async fn refuses_a_wrong_key(options: Options) {
    for key in [Some("another-key"), None] {
        let options = Options {
            api_key: key.map(Into::into),
            ..options.clone()
        };
        let error = ask(options, &request("Hello")).await.unwrap_err();
        assert_eq!(
            (error.kind, error.billing),
            (ErrorKind::Auth, CallOutcome::NotBilled)
        );
        assert_eq!(error.status, Some(401));
    }
}

async fn can_be_cancelled_in_the_middle(options: Options) {
    let long = GenerateRequest {
        max_output_tokens: 800,
        ..request("Count from one to one thousand, in words, one number on each line.")
    };
    let client = Client::new(options, &Prices::shipped().unwrap()).await.unwrap();
    let progress = watch::Sender::new(Progress::default());
    let cancel = CancellationToken::new();
    let mut watched = progress.subscribe();
    let call = GenerateCall {
        request: &long,
        deadline: Duration::from_mins(2),
        progress,
        deltas: None,
        cancel: cancel.clone(),
    };
    let stop = async {
        watched
            .wait_for(|progress| progress.output_tokens >= 3)
            .await
            .unwrap();
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(client.generate(call), stop);
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Cancelled, CallOutcome::Unknown)
    );
}
