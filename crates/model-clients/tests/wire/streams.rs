//! Answers that arrive, in the forms in which servers send them.

use model_clients::{
    CallOutcome, ErrorKind, Finish, GenerateRequest, Progress, ResponseFormat, Usage, UsageSource,
};
use serde_json::json;

use crate::fake::{Fake, Step, document, response, stream, stream_head};
use crate::{Call, KEY, PROMPT, answer, client, failure, options, request};

pub(super) const EVENTS: [&str; 6] = [
    r#"{"id":"c1","model":"small-7","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    r#"{"id":"c1","model":"small-7","choices":[{"index":0,"delta":{"content":"H\u00e9l"}}],"usage":null}"#,
    r#"{"id":"c1","model":"small-7","choices":[{"index":0,"delta":{"content":"lo \ud83d\ude00"}}]}"#,
    r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13}}"#,
    "[DONE]",
];
pub(super) const TEXT: &str = "H\u{e9}llo \u{1f600}";

fn counted() -> (Usage, UsageSource) {
    let usage = Usage {
        input_tokens: 11,
        output_tokens: 2,
        ..Usage::default()
    };
    (usage, UsageSource::Reported)
}

#[tokio::test]
async fn a_stream_gives_text_ending_usage_model_and_id() {
    let fake = Fake::answering(stream(&EVENTS)).await;
    let response = answer(&fake, |_| {}).await;
    assert_eq!(response.text, TEXT);
    assert_eq!(response.finish, Finish::Stop);
    assert_eq!((response.usage, response.usage_source), counted());
    assert_eq!(
        (response.served_model.as_str(), response.response_id.as_deref()),
        ("small-7", Some("c1"))
    );
    assert!(response.first_token_ms <= response.total_ms);
}

#[tokio::test]
async fn a_stream_that_drips_byte_by_byte_gives_the_same_answer() {
    let crlf = String::from_utf8(stream(&EVENTS))
        .unwrap()
        .replace("\n\n", "\r\n\r\n")
        .replace("\r\r", "\r");
    let fake = Fake::start(vec![Step::Drip(crlf.into_bytes())]).await;
    assert_eq!(answer(&fake, |_| {}).await.text, TEXT);
}

#[tokio::test]
async fn a_chunked_stream_gives_the_same_answer() {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for event in EVENTS {
        let data = format!("data: {event}\n\n");
        bytes.extend_from_slice(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes());
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(answer(&Fake::answering(bytes).await, |_| {}).await.text, TEXT);
}

#[tokio::test]
async fn one_document_gives_the_same_answer() {
    let body = json!({
        "id": "c1", "model": "small-7",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 2},
    })
    .to_string();
    // A server may also answer with a document although a stream was asked for.
    for streaming in [false, true] {
        let fake = Fake::answering(document(&body)).await;
        let response = answer(&fake, |options| options.streaming = streaming).await;
        assert_eq!(response.text, TEXT);
        assert_eq!((response.usage, response.usage_source), counted());
        assert_eq!(fake.requests()[0].body.get("stream").is_some(), streaming);
    }
}

#[tokio::test]
async fn what_is_sent_is_the_request_and_the_key() {
    let fake = Fake::answering(stream(&EVENTS)).await;
    answer(&fake, |options| {
        options.organization = Some("org-1".into());
        options
            .extra_headers
            .insert("X-Team".into(), "red".to_owned().into());
    })
    .await;
    let seen = &fake.requests()[0];
    assert!(
        seen.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    let head = seen.head.to_ascii_lowercase();
    for line in [
        &format!("authorization: bearer {KEY}"),
        "content-type: application/json",
        "openai-organization: org-1",
        "x-team: red",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(
        seen.body,
        json!({
            "model": "small", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 32,
            "temperature": 0.0, "stream": true, "stream_options": {"include_usage": true},
        })
    );
}

#[tokio::test]
async fn a_key_file_is_read_again_for_each_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "key-one\n").unwrap();
    let fake = Fake::answering(stream(&EVENTS)).await;
    let mut options = options(fake.base_url());
    options.api_key = None;
    options.api_key_file = Some(path.clone());
    let client = client(options).await;
    let call = Call::default();
    for key in ["key-one", "key-two"] {
        std::fs::write(&path, key).unwrap();
        call.of(&client).await.unwrap();
        assert!(fake.requests().last().unwrap().head.contains(key));
    }
    std::fs::remove_file(&path).unwrap();
    let error = call.of(&client).await.unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Auth, CallOutcome::NotSent)
    );
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_is_complete_once_its_ending_is_known() {
    let mut cut = stream(&EVENTS[..4]);
    cut.extend_from_slice(b"data: {\"usage\":{\"prompt_to");
    for script in [
        vec![Step::Send(stream(&EVENTS[..4]))],
        vec![Step::Send(cut)],
        vec![Step::Send(stream(&EVENTS[..4])), Step::Stall],
    ] {
        let fake = Fake::start(script).await;
        let response = answer(&fake, |options| options.timeouts.between_bytes_seconds = 0.2).await;
        assert_eq!((response.text.as_str(), response.finish), (TEXT, Finish::Stop));
        assert_eq!(
            (response.usage, response.usage_source),
            (Usage::default(), UsageSource::Missing)
        );
    }
}

#[tokio::test]
async fn comments_keep_a_slow_stream_alive_and_change_nothing() {
    let mut bytes = stream_head();
    bytes.extend_from_slice(b": waiting\n\n: waiting\r\n\r\n");
    bytes.extend_from_slice(&stream(&EVENTS)[stream_head().len()..]);
    assert_eq!(answer(&Fake::answering(bytes).await, |_| {}).await.text, TEXT);
}

#[tokio::test]
async fn every_ending_is_passed_on() {
    for (reason, finish) in [
        ("length", Finish::Length),
        ("content_filter", Finish::ContentFilter),
        ("tool_calls", Finish::Other("tool_calls".into())),
    ] {
        let ending = format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
        let fake = Fake::answering(stream(&[EVENTS[1], &ending, "[DONE]"])).await;
        assert_eq!(answer(&fake, |_| {}).await.finish, finish);
    }
    let fake = Fake::answering(stream(&[EVENTS[1], "[DONE]"])).await;
    assert_eq!(
        answer(&fake, |_| {}).await.finish,
        Finish::Other("missing".into())
    );
}

#[tokio::test]
async fn a_models_refusal_is_an_answer_of_its_own_kind() {
    let refusal = r#"{"choices":[{"index":0,"delta":{"refusal":"I cannot help."},"finish_reason":"stop"}]}"#;
    let response = answer(&Fake::answering(stream(&[refusal, "[DONE]"])).await, |_| {}).await;
    assert_eq!(
        (response.text.as_str(), response.finish),
        ("I cannot help.", Finish::Other("refusal".into()))
    );
}

#[tokio::test]
async fn other_alternatives_than_the_first_are_ignored() {
    let other = r#"{"choices":[{"index":1,"delta":{"content":"other"},"finish_reason":"length"}]}"#;
    let fake = Fake::answering(stream(&[EVENTS[1], other, EVENTS[2], EVENTS[3], other])).await;
    let response = answer(&fake, |_| {}).await;
    assert_eq!((response.text.as_str(), response.finish), (TEXT, Finish::Stop));
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_an_error() {
    let error_object = r#"{"error":{"message":"the worker fell over","type":"server_error"}}"#;
    let fake = Fake::answering(stream(&[EVENTS[1], error_object])).await;
    let error = failure(&fake, |_| {}).await;
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::StreamBroken, CallOutcome::Unknown)
    );
    assert!(error.message.contains("fell over"), "{error}");

    let limited = format!("event: error\n{}", r#"data: {"code":429,"message":"slow down"}"#);
    let mut bytes = stream_head();
    bytes.extend_from_slice(format!("{limited}\n\n").as_bytes());
    let error = failure(&Fake::answering(bytes).await, |_| {}).await;
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::RateLimited, CallOutcome::NotBilled)
    );
    assert_eq!(error.status, Some(429));
}

#[tokio::test]
async fn an_error_in_a_successful_document_is_an_error() {
    let body = r#"{"error":{"code":402,"message":"no credits"}}"#;
    let fake = Fake::answering(document(body)).await;
    let error = failure(&fake, |options| options.streaming = false).await;
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::QuotaExhausted, CallOutcome::NotBilled)
    );
}

#[tokio::test]
async fn progress_counts_pieces_and_bytes() {
    let fake = Fake::answering(stream(&EVENTS[..3])).await;
    let call = Call::default();
    call.run(options(fake.base_url())).await.unwrap_err();
    let body = stream(&EVENTS[..3]).len() - stream_head().len();
    let expected = Progress {
        output_tokens: 2,
        bytes: u64::try_from(body).unwrap(),
    };
    assert_eq!(*call.progress.borrow(), expected);
}

#[tokio::test]
async fn a_request_that_cannot_be_right_is_not_sent() {
    let fake = Fake::answering(response("200 OK", "", "")).await;
    let changes: [fn(&mut GenerateRequest); 5] = [
        |request| request.messages.clear(),
        |request| request.max_output_tokens = 0,
        |request| request.max_output_tokens = 4097,
        |request| request.temperature = Some(f64::NAN),
        |request| request.top_p = Some(f64::INFINITY),
    ];
    for change in changes {
        let mut call = Call::default();
        change(&mut call.request);
        let error = call.run(options(fake.base_url())).await.unwrap_err();
        assert_eq!(
            (error.kind, error.billing),
            (ErrorKind::InvalidRequest, CallOutcome::NotSent)
        );
    }
    let mut call = Call::default();
    call.request.model = "large".into();
    let error = call.run(options(fake.base_url())).await.unwrap_err();
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::ModelGone, CallOutcome::NotSent)
    );
    assert!(error.message.contains("small"), "{error}");
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_schema_travels_with_the_request() {
    let fake = Fake::answering(stream(&EVENTS)).await;
    let call = Call {
        request: GenerateRequest {
            response_format: ResponseFormat::JsonSchema(json!({"type": "object"})),
            ..request()
        },
        ..Call::default()
    };
    call.run(options(fake.base_url())).await.unwrap();
    assert_eq!(
        fake.requests()[0].body["response_format"]["json_schema"]["schema"],
        json!({"type": "object"})
    );
}

#[tokio::test]
async fn a_proxy_is_used_where_the_options_name_one() {
    let fake = Fake::answering(stream(&EVENTS)).await;
    let proxy = fake.base_url().replace("/v1", "");
    let response = answer(&fake, |options| {
        options.base_url = "http://models.test/v1".into();
        options.allow_plain_http = true;
        options.proxy = Some(proxy.into());
    })
    .await;
    assert_eq!(response.text, TEXT);
    assert!(
        fake.requests()[0]
            .head
            .starts_with("POST http://models.test/v1/chat/completions ")
    );
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let nowhere = "http://127.0.0.1:9";
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "streams::a_stream_gives_text_ending_usage_model_and_id",
        ])
        .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, nowhere)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}
