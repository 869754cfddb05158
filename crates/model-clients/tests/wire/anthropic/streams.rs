//! Messages that arrive, in the forms in which servers send them.

use std::time::Duration;

use model_clients::anthropic::{KeyScheme, Options, StructuredOutput};
use model_clients::{
    ErrorKind, Finish, GenerateRequest, Message, ModelProvider as _, ResponseFormat, Role, Usage, UsageSource,
};
use serde_json::json;

use super::{answer, client};
use crate::fake::{Fake, Step, document, response, stream, stream_head};
use crate::{Call, KEY, PROMPT, request};

pub(super) const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"small-7","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,"cache_creation_input_tokens":20,"cache_read_input_tokens":300,"output_tokens":1}}}"#;
pub(super) const PIECE: &str =
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"H\u00e9l"}}"#;
const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;
const TEXT: &str = "H\u{e9}llo \u{1f600}";

fn events() -> Vec<&'static str> {
    vec![
        START,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        PIECE,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"lo \ud83d\ude00"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"an_event_of_next_year","data":[1]}"#,
        END,
        STOP,
    ]
}

fn counted() -> (Usage, UsageSource) {
    let usage = Usage {
        input_tokens: 331,
        cached_input_tokens: 300,
        cache_write_input_tokens: 20,
        output_tokens: 9,
        reasoning_tokens: 4,
    };
    (usage, UsageSource::Reported)
}

#[tokio::test]
async fn a_stream_gives_text_ending_usage_model_and_ids() {
    let body = stream(&events())[stream_head().len()..].to_vec();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_011\r\n\
                anthropic-ratelimit-requests-remaining: 999\r\nanthropic-ratelimit-tokens-remaining: 96000\r\n\
                date: Thu, 21 Aug 2025 12:40:00 GMT\r\nanthropic-ratelimit-requests-reset: 2025-08-21T12:40:59Z\r\n\
                anthropic-ratelimit-tokens-reset: 2025-08-21T12:40:01Z\r\n\r\n";
    let found = answer(&Fake::answering([head.as_bytes(), &body].concat()).await, |_| {}).await;
    assert_eq!((found.text.as_str(), &found.finish), (TEXT, &Finish::Stop));
    assert_eq!((found.usage, found.usage_source), counted());
    assert_eq!(found.served_model, "small-7");
    assert_eq!(
        (found.response_id.as_deref(), found.request_id.as_deref()),
        (Some("msg_1"), Some("req_011"))
    );
    assert_eq!(
        (found.limits.remaining_requests, found.limits.reset_requests),
        (Some(999), Some(Duration::from_secs(59)))
    );
    assert_eq!(
        (found.limits.remaining_tokens, found.limits.reset_tokens),
        (Some(96_000), Some(Duration::from_secs(1)))
    );
}

#[tokio::test]
async fn a_stream_that_drips_is_told_piece_by_piece_without_thinking() {
    let fake = Fake::start(vec![Step::Drip(stream(&events()))]).await;
    let (response, pieces) = Call::default().read_along(&client(&fake, |_| {}).await).await;
    assert_eq!(pieces, ["H\u{e9}l", "lo \u{1f600}"]);
    assert_eq!(response.unwrap().text, TEXT);
}

#[tokio::test]
async fn one_document_gives_the_same_answer() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "small-7",
        "content": [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": TEXT}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {
            "input_tokens": 11, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300,
            "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4},
        },
    })
    .to_string();
    for streaming in [false, true] {
        let fake = Fake::answering(document(&body)).await;
        let found = answer(&fake, |options| options.streaming = streaming).await;
        assert_eq!((found.text.as_str(), found.finish), (TEXT, Finish::Stop));
        assert_eq!((found.usage, found.usage_source), counted());
        assert_eq!(fake.requests()[0].body.get("stream").is_some(), streaming);
    }
}

#[tokio::test]
async fn what_is_sent_is_the_request_the_version_and_the_key() {
    let bearer: fn(&mut Options) = |options| options.key_scheme = KeyScheme::Bearer;
    for (change, key) in [
        ((|_| {}) as fn(&mut Options), format!("x-api-key: {KEY}")),
        (bearer, format!("authorization: bearer {KEY}")),
    ] {
        let fake = Fake::answering(stream(&events())).await;
        answer(&fake, change).await;
        let seen = &fake.requests()[0];
        assert!(
            seen.head.starts_with("POST /v1/messages HTTP/1.1\r\n"),
            "{}",
            seen.head
        );
        let head = seen.head.to_ascii_lowercase();
        for line in [
            key.as_str(),
            "content-type: application/json",
            "anthropic-version: 2023-06-01",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(
            !head.contains("anthropic-beta") && !head.contains("transfer-encoding"),
            "{head}"
        );
        assert_eq!(
            seen.body,
            json!({
                "model": "small", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 32,
                "temperature": 0.0, "stream": true,
            })
        );
    }
}

#[tokio::test]
async fn an_answer_is_complete_once_its_ending_is_known() {
    let whole = events();
    let until_end = &whole[..whole.len() - 1];
    let mut cut = stream(until_end);
    cut.extend_from_slice(b"data: {\"type\":\"mess");
    for script in [
        vec![Step::Send(stream(until_end))],
        vec![Step::Send(cut)],
        vec![Step::Send(stream(until_end)), Step::Stall],
        vec![Step::Send(stream(
            &[until_end, &[r#"{"type":"error","error":{"type":"api_error"}}"#]].concat(),
        ))],
    ] {
        let fake = Fake::start(script).await;
        let found = answer(&fake, |options| options.timeouts.between_bytes_seconds = 0.2).await;
        assert_eq!((found.text.as_str(), found.finish), (TEXT, Finish::Stop));
        assert_eq!((found.usage, found.usage_source), counted());
    }
}

#[tokio::test]
async fn a_stream_whose_end_counts_nothing_was_not_counted() {
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let found = answer(&Fake::answering(stream(&[START, PIECE, end, STOP])).await, |_| {}).await;
    assert_eq!(
        (found.usage, found.usage_source),
        (Usage::default(), UsageSource::Missing)
    );
}

#[tokio::test]
async fn every_ending_is_passed_on() {
    for (reason, finish) in [
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("refusal", Finish::ContentFilter),
        ("tool_use", Finish::Other("tool_use".into())),
        ("pause_turn", Finish::Other("pause_turn".into())),
    ] {
        let end = END.replace("end_turn", reason);
        let fake = Fake::answering(stream(&[START, PIECE, &end, STOP])).await;
        assert_eq!(answer(&fake, |_| {}).await.finish, finish, "{reason}");
    }
    let fake = Fake::answering(stream(&[START, PIECE, STOP])).await;
    assert_eq!(
        answer(&fake, |_| {}).await.finish,
        Finish::Other("missing".into())
    );
}

fn asking() -> Call {
    Call {
        request: GenerateRequest {
            response_format: ResponseFormat::JsonSchema(json!({"type": "object"})),
            ..request()
        },
        ..Call::default()
    }
}

fn in_the_way(way: StructuredOutput) -> impl FnOnce(&mut Options) {
    move |options| {
        for model in options.models.values_mut() {
            model.structured_output = way;
        }
    }
}

#[tokio::test]
async fn a_schema_is_asked_for_in_the_models_way() {
    for (way, key, beta, held) in [
        (StructuredOutput::JsonSchema, "output_config", false, true),
        (StructuredOutput::OutputFormat, "output_format", true, true),
        (StructuredOutput::ForcedTool, "tools", false, false),
    ] {
        let fake = Fake::answering(stream(&events())).await;
        let client = client(&fake, in_the_way(way)).await;
        assert_eq!(client.model("small").unwrap().constrained_json, held);
        asking().of(&client).await.unwrap();
        let seen = &fake.requests()[0];
        assert!(seen.body.get(key).is_some(), "{}", seen.body);
        let head = seen.head.to_ascii_lowercase();
        assert_eq!(
            head.contains("anthropic-beta: structured-outputs-2025-11-13"),
            beta,
            "{head}"
        );
    }
}

#[tokio::test]
async fn the_input_of_the_forced_tool_is_the_answer() {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"answer","input":{}}}"#;
    let piece = |json: &str| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json}})
            .to_string()
    };
    let pieces = [piece(""), piece("{\"a\":"), piece(" 1}")];
    let end = END.replace("end_turn", "tool_use");
    let all = [
        START, PIECE, start, &pieces[0], &pieces[1], &pieces[2], &end, STOP,
    ];
    for (events, expected) in [
        (all.to_vec(), "{\"a\": 1}"),
        (vec![START, start, &pieces[0], &end, STOP], "{}"),
        (vec![START, PIECE, END, STOP], "H\u{e9}l"),
    ] {
        let fake = Fake::answering(stream(&events)).await;
        let client = client(&fake, in_the_way(StructuredOutput::ForcedTool)).await;
        let (response, told) = asking().read_along(&client).await;
        let response = response.unwrap();
        assert_eq!(
            (response.text.as_str(), response.finish),
            (expected, Finish::Stop)
        );
        assert_eq!(told.concat(), expected);
    }
    let body = json!({
        "content": [{"type": "text", "text": "So:"}, {"type": "tool_use", "id": "t", "name": "answer", "input": {"a": 1}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let fake = Fake::answering(document(&body.to_string())).await;
    let client = client(&fake, in_the_way(StructuredOutput::ForcedTool)).await;
    assert_eq!(asking().of(&client).await.unwrap().text, "{\"a\":1}");
}

#[tokio::test]
async fn a_request_that_cannot_be_right_is_not_sent() {
    let fake = Fake::answering(response("200 OK", "", "")).await;
    let client = client(&fake, |_| {}).await;
    let changes: [fn(&mut GenerateRequest); 5] = [
        |request| request.messages.clear(),
        |request| {
            request.messages = vec![Message {
                role: Role::System,
                content: "s".into(),
            }];
        },
        |request| request.max_output_tokens = 0,
        |request| request.temperature = Some(1.5),
        |request| request.top_p = Some(-0.1),
    ];
    for change in changes {
        let mut call = Call::default();
        change(&mut call.request);
        assert_eq!(
            call.of(&client).await.unwrap_err().kind,
            ErrorKind::InvalidRequest
        );
    }
    let mut call = Call::default();
    call.request.model = "large".into();
    assert_eq!(call.of(&client).await.unwrap_err().kind, ErrorKind::ModelGone);
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_key_file_is_read_again_for_each_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "key-one\n").unwrap();
    let fake = Fake::answering(stream(&events())).await;
    let client = client(&fake, |options| {
        options.api_key = None;
        options.api_key_file = Some(path.clone());
    })
    .await;
    for key in ["key-one", "key-two"] {
        std::fs::write(&path, key).unwrap();
        Call::default().of(&client).await.unwrap();
        assert!(fake.requests().last().unwrap().head.contains(key));
    }
}

#[tokio::test]
async fn what_is_known_of_a_model_is_what_the_settings_and_the_prices_say() {
    let fake = Fake::answering(response("200 OK", "", "")).await;
    let client = client(&fake, |options| {
        let mut model = options.models["small"].clone();
        model.billing = None;
        model.limits.requests_per_minute = Some(50);
        options.models.insert("claude-haiku-4-5-20251001".into(), model);
        options.key_name = "batch".into();
    })
    .await;
    let model = client.model("claude-haiku-4-5-20251001").unwrap();
    assert!(model.price_table.starts_with("list "), "{}", model.price_table);
    assert_eq!(
        (model.limits.requests_per_minute, model.key_name.as_str()),
        (Some(50), "batch")
    );
    assert_eq!(client.model("small").unwrap().price_table, "");
}
