//! What else is taken: the forms that proto3's JSON allows, and fields of another release.
//!
//! A caller in another language may write names and enums as its own library does, and a worker that was rolled back meets
//! fields of the release before. Both are tried on every message. What a person types is read strictly, because there an
//! unknown field is a slip of the pen.

use protox::prost_reflect::FieldDescriptor;
use serde_json::{Value, json};

use crate::{
    examples::{Form, STRANGER, filled, strangers},
    messages::{codec, payload},
    schema,
};

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn decoded(name: &str, encoding: &str, json: &Value) -> Result<Value, String> {
    let back = (codec(name).cross)(vec![payload(encoding, &bytes(json))])
        .map_err(|problems| problems.to_string())?;
    Ok(serde_json::from_slice(&back.data).unwrap())
}

/// Holds that every example written in a form is the same message as in the usual form.
fn means_the_same(encoding: &str, form: Form) {
    let mut tried = 0;
    for message in schema::messages(&schema::pool()) {
        let usual = filled(&message, Form::default());
        for (written, usual) in filled(&message, form).iter().zip(usual) {
            assert_eq!(
                decoded(message.name(), encoding, written),
                Ok(usual),
                "{} as {written}",
                message.name()
            );
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} examples were made");
}

#[test]
fn fields_are_taken_by_their_names_in_proto_too() {
    let form = Form {
        proto_names: true,
        ..Form::default()
    };
    means_the_same("json/plain", form);
}

#[test]
fn enums_and_large_integers_are_taken_as_numbers_too() {
    let form = Form {
        numbers: true,
        ..Form::default()
    };
    means_the_same("json/plain", form);
}

#[test]
fn the_encoding_of_protobuf_libraries_is_taken_too() {
    means_the_same("json/protobuf", Form::default());
}

#[test]
fn workers_let_unknown_fields_pass_at_any_depth() {
    let form = Form {
        stranger: true,
        ..Form::default()
    };
    means_the_same("json/plain", form);
}

#[test]
fn tools_refuse_unknown_fields_at_any_depth_by_path() {
    let form = Form {
        stranger: true,
        ..Form::default()
    };
    for message in schema::messages(&schema::pool()) {
        let strictly = codec(message.name()).strictly;
        for usual in filled(&message, Form::default()) {
            strictly(&bytes(&usual)).unwrap_or_else(|problems| panic!("{}: {problems}", message.name()));
        }
        for written in filled(&message, form) {
            let problems = strictly(&bytes(&written)).unwrap_err().into_vec();
            assert_eq!(
                problems.len(),
                strangers(&written),
                "{}: {problems:?}",
                message.name()
            );
            assert!(
                problems.iter().all(|problem| problem.path.ends_with(STRANGER)),
                "{}: {problems:?}",
                message.name()
            );
        }
    }
}

#[test]
fn null_stands_for_unset_in_every_field_that_can_be_unset() {
    for message in schema::messages(&schema::pool()) {
        for field in message.fields().filter(FieldDescriptor::supports_presence) {
            let written = json!({ field.json_name(): null });
            let read = decoded(message.name(), "json/plain", &written);
            assert_eq!(read, Ok(json!({})), "{} as {written}", message.name());
        }
    }
}

#[test]
fn an_absent_argument_is_the_empty_message_and_two_are_refused() {
    for message in schema::messages(&schema::pool()) {
        let cross = codec(message.name()).cross;
        assert_eq!(cross(Vec::new()).unwrap().data, b"{}");
        assert_eq!(cross(vec![payload("binary/null", b"")]).unwrap().data, b"{}");
        assert_eq!(cross(vec![payload("json/plain", b"null")]).unwrap().data, b"{}");
        let two = vec![payload("json/plain", b"{}"), payload("json/plain", b"{}")];
        assert!(
            cross(two).unwrap_err().to_string().contains("one argument"),
            "{}",
            message.name()
        );
    }
}

#[test]
fn what_is_no_message_is_refused_by_path() {
    let refused = |json: Value| decoded("LlmPipelineInput", "json/plain", &json).unwrap_err();
    let wrong_type = refused(json!({"parameters": {"maxOutputTokens": "many"}}));
    assert!(
        wrong_type.starts_with("parameters.maxOutputTokens: "),
        "{wrong_type}"
    );
    // The short forms of enums are for the command line.
    let short = refused(json!({"placement": "DATA_WORKER"}));
    assert!(short.starts_with("placement: "), "{short}");
    let twice = refused(json!({"content": {"text": "a", "blob": {"uri": "blob:a"}}}));
    assert!(twice.starts_with("content"), "{twice}");
    for encoding in ["binary/protobuf", "binary/plain", ""] {
        let problem = decoded("LlmPipelineInput", encoding, &json!({})).unwrap_err();
        assert!(problem.contains("json/plain"), "{problem}");
    }
}
