//! What is sent for which settings, and how counts and reasons are read.

use serde_json::{Value, json};

use super::{Counts, body, finish, usage};
use crate::anthropic::options::{ModelOptions, Options, StructuredOutput};
use crate::provider::{Finish, GenerateRequest, Message, ResponseFormat, Role, Usage, UsageSource};

fn message(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.into(),
    }
}

fn request(response_format: ResponseFormat) -> GenerateRequest {
    GenerateRequest {
        model: "m".into(),
        messages: vec![message(Role::User, "u")],
        max_output_tokens: 9,
        temperature: None,
        top_p: None,
        seed: Some(7),
        stop: vec![],
        response_format,
    }
}

fn sent(options: &Options, model: &ModelOptions, request: &GenerateRequest) -> Value {
    serde_json::from_slice(&body(options, model, request).unwrap()).unwrap()
}

#[test]
fn absent_options_are_not_sent() {
    let options = Options {
        streaming: false,
        ..Options::default()
    };
    assert_eq!(
        sent(&options, &ModelOptions::default(), &request(ResponseFormat::Text)),
        json!({"model": "m", "messages": [{"role": "user", "content": "u"}], "max_tokens": 9})
    );
}

#[test]
fn every_option_of_a_request_is_sent_and_system_messages_stand_beside_the_others() {
    let full = GenerateRequest {
        temperature: Some(0.0),
        top_p: Some(0.5),
        stop: vec!["\n".into()],
        messages: vec![
            message(Role::System, "one"),
            message(Role::User, "u"),
            message(Role::Assistant, "a"),
            message(Role::System, "two"),
        ],
        ..request(ResponseFormat::Text)
    };
    let options = Options {
        prompt_caching: true,
        ..Options::default()
    };
    let expected = json!({
        "model": "m", "max_tokens": 9, "system": "one\n\ntwo",
        "messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}],
        "temperature": 0.0, "top_p": 0.5, "stop_sequences": ["\n"], "stream": true,
        "cache_control": {"type": "ephemeral"},
    });
    assert_eq!(sent(&options, &ModelOptions::default(), &full), expected);
    let omitting = ModelOptions {
        omit_sampling: true,
        ..ModelOptions::default()
    };
    let body = sent(&options, &omitting, &full);
    assert_eq!((body.get("temperature"), body.get("top_p")), (None, None));
}

#[test]
fn a_schema_is_sent_in_the_form_that_the_model_takes() {
    let schema = json!({"type": "object"});
    let format = json!({"type": "json_schema", "schema": schema});
    let asking = request(ResponseFormat::JsonSchema(schema.clone()));
    for (structured_output, key, expected) in [
        (
            StructuredOutput::JsonSchema,
            "output_config",
            json!({"format": format}),
        ),
        (StructuredOutput::OutputFormat, "output_format", format.clone()),
        (
            StructuredOutput::ForcedTool,
            "tool_choice",
            json!({"type": "tool", "name": "answer"}),
        ),
    ] {
        let model = ModelOptions {
            structured_output,
            ..ModelOptions::default()
        };
        let body = sent(&Options::default(), &model, &asking);
        assert_eq!(body[key], expected);
        let tool = body.get("tools").map(|tools| &tools[0]["input_schema"]);
        let is_tool = structured_output == StructuredOutput::ForcedTool;
        assert_eq!(tool, is_tool.then_some(&schema));
        let others = ["output_config", "output_format", "tool_choice"];
        assert_eq!(
            others.iter().filter(|other| body.get(**other).is_some()).count(),
            1
        );
    }
    let none = ModelOptions {
        structured_output: StructuredOutput::None,
        ..ModelOptions::default()
    };
    assert_eq!(
        sent(&Options::default(), &none, &asking),
        sent(&Options::default(), &none, &request(ResponseFormat::Text))
    );
}

#[test]
fn input_is_all_of_it_wherever_it_was_counted() {
    let read = |value: Value, has_text| usage(serde_json::from_value::<Counts>(value).unwrap(), has_text);
    let full = json!({
        "input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000,
        "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2},
        "cache_creation": {"ephemeral_5m_input_tokens": 200}, "service_tier": "standard",
    });
    let counted = Usage {
        input_tokens: 3210,
        cached_input_tokens: 3000,
        cache_write_input_tokens: 200,
        output_tokens: 5,
        reasoning_tokens: 2,
    };
    assert_eq!(read(full, true), (counted, UsageSource::Reported));

    let missing = (Usage::default(), UsageSource::Missing);
    for value in [
        json!({}),
        json!({"input_tokens": 3}),
        json!({"output_tokens": 3}),
        json!({"input_tokens": 0, "output_tokens": 0}),
        json!({"input_tokens": 3, "output_tokens": 0}),
    ] {
        assert_eq!(read(value.clone(), true), missing, "{value}");
    }
    let all_cached = json!({"input_tokens": 0, "cache_read_input_tokens": 8, "output_tokens": 1});
    assert_eq!(read(all_cached, true).0.input_tokens, 8);
    let huge = json!({"input_tokens": u64::MAX, "cache_read_input_tokens": 8, "output_tokens": 1});
    assert_eq!(read(huge, true).0.input_tokens, u32::MAX);
}

#[test]
fn every_reason_for_an_ending_is_kept() {
    for (reason, expected) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("refusal", Finish::ContentFilter),
        ("tool_use", Finish::Other("tool_use".into())),
        ("pause_turn", Finish::Other("pause_turn".into())),
    ] {
        assert_eq!(finish(reason, false), expected, "{reason}");
    }
    assert_eq!(finish("tool_use", true), Finish::Stop);
    assert_eq!(finish(&"x".repeat(1000), false), Finish::Other("x".repeat(64)));
}
