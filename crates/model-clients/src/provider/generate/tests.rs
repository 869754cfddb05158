//! The canonical form of a request, and what `Debug` must not show.

use serde_json::json;

use super::{Finish, GenerateRequest, GenerateResponse, Message, ResponseFormat, Role, Usage, UsageSource};

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
            output_tokens: 2,
            reasoning_tokens: 1,
        },
        usage_source: UsageSource::Estimated,
        served_model: "m-2".into(),
        response_id: Some("r".into()),
        first_token_ms: 3,
        total_ms: 4,
    };
    let json = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<GenerateResponse>(&json).unwrap(), before);
    assert!(!format!("{before:?}").contains("secret"));
    assert!(!format!("{:?}", request(json!(null))).contains("secret"));
}
