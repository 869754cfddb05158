//! What payloads of any kind decode to.

use temporalio_common::data_converters::{
    GenericPayloadConverter, PayloadConverter, SerializationContext, SerializationContextData,
};

use super::*;
use crate::proto::{CancelRequest, LlmPipelineInput};

fn payload(encoding: Option<&str>, data: &str) -> Payload {
    let metadata = encoding.map(|name| (ENCODING.to_owned(), name.as_bytes().to_vec()));
    Payload {
        metadata: metadata.into_iter().collect(),
        data: data.into(),
        ..Payload::default()
    }
}

fn receive<T: DeserializeOwned + Serialize + Default + 'static>(
    payloads: Vec<Payload>,
) -> Result<T, Problems> {
    let converter = PayloadConverter::default();
    let context = SerializationContext::new(&SerializationContextData::None, &converter);
    let wire: Wire<T> = converter
        .from_payloads(&context, payloads)
        .expect("decoding never fails");
    wire.into_message()
}

#[test]
fn what_is_sent_is_received() {
    let sent = CancelRequest {
        reason: Some("no longer needed".into()),
    };
    let converter = PayloadConverter::default();
    let context = SerializationContext::new(&SerializationContextData::None, &converter);
    let payloads = converter.to_payloads(&context, &Wire::new(sent.clone())).unwrap();
    assert_eq!(payloads[0].data, br#"{"reason":"no longer needed"}"#);
    assert_eq!(receive::<CancelRequest>(payloads), Ok(sent));
}

#[test]
fn both_json_encodings_are_taken() {
    for encoding in ["json/plain", "json/protobuf"] {
        let message: LlmPipelineInput = receive(vec![payload(
            Some(encoding),
            r#"{"content":{"text":"a"},"deadlineSeconds":5}"#,
        )])
        .unwrap();
        assert_eq!(message.deadline_seconds, Some(5));
    }
}

#[test]
fn nothing_and_null_are_the_empty_message() {
    for payloads in [
        vec![],
        vec![payload(None, "")],
        vec![payload(Some("binary/null"), "")],
        vec![payload(Some("json/plain"), "null")],
    ] {
        assert_eq!(receive::<CancelRequest>(payloads), Ok(CancelRequest::default()));
    }
}

#[test]
fn bytes_that_make_no_message_are_kept_as_a_problem() {
    let cases = [
        (
            Some("binary/encrypted"),
            "x",
            "$",
            "encoding `binary/encrypted` is not taken",
        ),
        (Some("json/plain"), "{", "$", "EOF"),
        (Some("json/plain"), "[1]", "$", "invalid type"),
        (
            Some("json/plain"),
            r#"{"parameters":{"temperature":"hot"}}"#,
            "parameters.temperature",
            "invalid",
        ),
        (
            Some("json/plain"),
            r#"{"placement":"PLACEMENT_MOON"}"#,
            "placement",
            "PLACEMENT_DATA_WORKER",
        ),
        (Some("json/plain"), "{} {}", "$", "trailing"),
    ];
    for (encoding, data, path, words) in cases {
        let problems = receive::<LlmPipelineInput>(vec![payload(encoding, data)])
            .unwrap_err()
            .into_vec();
        assert_eq!(problems[0].path, path, "{data}: {problems:?}");
        assert!(problems[0].message.contains(words), "{data}: {problems:?}");
    }
}

#[test]
fn a_second_argument_is_a_problem() {
    let one = payload(Some("json/plain"), "{}");
    assert!(receive::<CancelRequest>(vec![one.clone(), one]).is_err());
}

#[test]
fn workers_let_unknown_fields_pass_and_tools_name_each() {
    let json = br#"{"contnt":{"text":"a"},"parameters":{"temprature":1}}"#;
    assert!(parse_json::<LlmPipelineInput>(json).is_ok());
    let problems = parse_json_strictly::<LlmPipelineInput>(json)
        .unwrap_err()
        .into_vec();
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["contnt", "parameters.temprature"]);
}

#[test]
fn what_was_sent_is_not_repeated_however_large_it_is() {
    let secret = "secret \", expected \" words ".repeat(50_000);
    for json in [
        serde_json::json!({"content": secret}),
        serde_json::json!({"placement": secret}),
        serde_json::json!({"deadlineSeconds": secret}),
    ] {
        let problems = parse_json::<LlmPipelineInput>(json.to_string().as_bytes())
            .unwrap_err()
            .into_vec();
        let message = &problems[0].message;
        assert!(
            !message.contains("secret") && message.len() < 2_000,
            "{}: {message}",
            problems[0].path
        );
        assert!(!message.is_empty());
    }
}
