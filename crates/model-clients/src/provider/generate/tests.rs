//! The canonical form of a request, and what `Debug` must not show.

use serde_json::json;

use super::{Finish, GenerateRequest, GenerateResponse, Message, ResponseFormat, Role, Usage, UsageSource};
use crate::limits::LimitHeaders;

fn request(schema: serde_json::Value) -> GenerateRequest {
    GenerateRequest {
        model: "m".into(),
        messages: vec![Message {
            role: Role::User,
            content: "a \"secret\"\n".into(),
        }],
        max_output_tokens: 16,
        temperature: Some(0.5),
        top_p: None,
        seed: Some(-7),
        stop: vec!["\n".into()],
        response_format: ResponseFormat::JsonSchema(schema),
    }
}

#[test]
fn canonical_json_is_one_known_line() {
    assert_eq!(
        request(json!({"type": "object", "a": [1, null, true]})).canonical_json(),
        r#"{"max_output_tokens":16,"messages":[{"content":"a \"secret\"\n","role":"user"}],"model":"m","response_format":{"kind":"json_schema","schema":{"a":[1,null,true],"type":"object"}},"seed":-7,"stop":["\n"],"temperature":0.5,"top_p":null}"#
    );
}

#[test]
fn canonical_json_does_not_depend_on_the_order_of_a_schemas_keys() {
    let one: serde_json::Value = serde_json::from_str(r#"{"b":{"y":1,"x":2},"a":3}"#).unwrap();
    let other: serde_json::Value = serde_json::from_str(r#"{"a":3,"b":{"x":2,"y":1}}"#).unwrap();
    assert_eq!(request(one).canonical_json(), request(other).canonical_json());
}

#[test]
fn a_request_survives_its_json_form() {
    let before = request(json!({"type": "string"}));
    let after: GenerateRequest = serde_json::from_str(&before.canonical_json()).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_response_survives_its_json_form_and_its_debug_form_hides_the_text() {
    let before = GenerateResponse {
        text: "the secret answer".into(),
        finish: Finish::Other("tool_calls".into()),
        usage: Usage {
            input_tokens: 1,
            cached_input_tokens: 1,
            cache_write_input_tokens: 0,
            output_tokens: 2,
            reasoning_tokens: 1,
        },
        usage_source: UsageSource::Estimated,
        served_model: "m-2".into(),
        response_id: Some("r".into()),
        request_id: Some("q".into()),
        limits: LimitHeaders::default(),
        first_token_ms: 3,
        total_ms: 4,
    };
    let json = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<GenerateResponse>(&json).unwrap(), before);
    assert!(!format!("{before:?}").contains("secret"));
    assert!(!format!("{:?}", request(json!(null))).contains("secret"));
}

#[test]
fn a_response_of_an_earlier_version_is_still_read() {
    let earlier = r#"{"text":"t","finish":{"kind":"stop"},"usage":{"input_tokens":1,"cached_input_tokens":0,"output_tokens":2,"reasoning_tokens":0},"usage_source":"reported","served_model":"m","response_id":null,"first_token_ms":1,"total_ms":2}"#;
    let response: GenerateResponse = serde_json::from_str(earlier).unwrap();
    assert_eq!(
        (response.usage.cache_write_input_tokens, response.request_id),
        (0, None)
    );
}

#[test]
fn what_headers_said_about_limits_is_not_stored() {
    let mut response: GenerateResponse = serde_json::from_value(json!({
        "text": "t", "finish": {"kind": "stop"}, "usage": Usage::default(), "usage_source": "missing",
        "served_model": "m", "response_id": null, "first_token_ms": 1, "total_ms": 2,
    }))
    .unwrap();
    let stored = serde_json::to_string(&response).unwrap();
    response.limits.remaining_requests = Some(7);
    assert_eq!(serde_json::to_string(&response).unwrap(), stored);
}
