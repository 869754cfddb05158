//! What is sent for which settings, and how counts and reasons are read.

use serde_json::{Value, json};

use super::{Counts, body, finish, usage};
use crate::openai::options::{MaxTokensField, ModelOptions, Options, StructuredOutput};
use crate::provider::{Finish, GenerateRequest, Message, ResponseFormat, Role, Usage, UsageSource};

fn request(response_format: ResponseFormat) -> GenerateRequest {
    GenerateRequest {
        model: "m".into(),
        messages: vec![Message {
            role: Role::System,
            content: "s".into(),
        }],
        max_output_tokens: 9,
        temperature: None,
        top_p: None,
        seed: None,
        stop: vec![],
        response_format,
    }
}

fn sent(options: &Options, request: &GenerateRequest) -> Value {
    serde_json::from_slice(&body(options, request).unwrap()).unwrap()
}

#[test]
fn absent_options_are_not_sent() {
    let options = Options {
        streaming: false,
        ..Options::default()
    };
    assert_eq!(
        sent(&options, &request(ResponseFormat::Text)),
        json!({"model": "m", "messages": [{"role": "system", "content": "s"}], "max_tokens": 9})
    );
}

#[test]
fn every_option_of_a_request_is_sent() {
    let full = GenerateRequest {
        temperature: Some(0.0),
        top_p: Some(0.5),
        seed: Some(-3),
        stop: vec!["\n".into()],
        ..request(ResponseFormat::Text)
    };
    let options = Options {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        ..Options::default()
    };
    assert_eq!(
        sent(&options, &full),
        json!({
            "model": "m", "messages": [{"role": "system", "content": "s"}], "max_completion_tokens": 9,
            "temperature": 0.0, "top_p": 0.5, "seed": -3, "stop": ["\n"],
            "stream": true, "stream_options": {"include_usage": true},
        })
    );
}

#[test]
fn sampling_is_left_out_for_a_model_that_refuses_it() {
    let mut options = Options::default();
    let asking = GenerateRequest {
        temperature: Some(0.5),
        top_p: Some(0.5),
        ..request(ResponseFormat::Text)
    };
    assert_eq!(sent(&options, &asking)["temperature"], 0.5);
    let model = ModelOptions {
        omit_sampling: true,
        ..ModelOptions::default()
    };
    options.models.insert("m".into(), model);
    let body = sent(&options, &asking);
    assert_eq!((body.get("temperature"), body.get("top_p")), (None, None));
}

#[test]
fn a_stream_can_be_asked_for_without_usage() {
    let options = Options {
        stream_usage: false,
        ..Options::default()
    };
    assert_eq!(
        sent(&options, &request(ResponseFormat::Text)).get("stream_options"),
        None
    );
}

#[test]
fn a_schema_is_sent_in_the_form_that_the_endpoint_takes() {
    let with_schema = |strict: bool| {
        json!({
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": strict, "schema": {"type": "string"}},
        })
    };
    let asking = request(ResponseFormat::JsonSchema(json!({"type": "string"})));
    for (structured_output, expected) in [
        (StructuredOutput::JsonSchema, with_schema(true)),
        (StructuredOutput::LooseJsonSchema, with_schema(false)),
        (StructuredOutput::JsonObject, json!({"type": "json_object"})),
        (StructuredOutput::None, Value::Null),
    ] {
        let options = Options {
            structured_output,
            ..Options::default()
        };
        assert_eq!(sent(&options, &asking)["response_format"], expected);
    }
}

#[test]
fn counts_are_reported_only_where_somebody_counted() {
    let read =
        |value: Value, has_text| usage(serde_json::from_value::<Option<Counts>>(value).unwrap(), has_text);
    let full = json!({
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 2},
    });
    let counted = Usage {
        input_tokens: 10,
        cached_input_tokens: 4,
        cache_write_input_tokens: 3,
        output_tokens: 5,
        reasoning_tokens: 2,
    };
    assert_eq!(read(full, true), (counted, UsageSource::Reported));
    let other_name = json!({
        "prompt_tokens": 10, "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_creation_tokens": 99},
    });
    assert_eq!(read(other_name, true).0.cache_write_input_tokens, 6);

    let missing = (Usage::default(), UsageSource::Missing);
    for value in [
        Value::Null,
        json!({}),
        json!({"prompt_tokens": 3}),
        json!({"prompt_tokens": 0, "completion_tokens": 0}),
        json!({"prompt_tokens": 3, "completion_tokens": 0}),
    ] {
        assert_eq!(read(value.clone(), true), missing, "{value}");
    }
    let (empty_answer, source) = read(json!({"prompt_tokens": 3, "completion_tokens": 0}), false);
    assert_eq!((empty_answer.input_tokens, source), (3, UsageSource::Reported));
    let (huge, _) = read(json!({"prompt_tokens": u64::MAX, "completion_tokens": 1}), true);
    assert_eq!(huge.input_tokens, u32::MAX);
}

#[test]
fn every_reason_for_an_ending_is_kept() {
    assert_eq!(finish("stop"), Finish::Stop);
    assert_eq!(finish("length"), Finish::Length);
    assert_eq!(finish("content_filter"), Finish::ContentFilter);
    assert_eq!(finish("tool_calls"), Finish::Other("tool_calls".into()));
    assert_eq!(finish(&"x".repeat(1000)), Finish::Other("x".repeat(64)));
}
