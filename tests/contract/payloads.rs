//! The bytes that cross, for every message: empty, and with everything filled in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    examples::{Form, filled},
    messages::{codec, payload},
    schema::{self, PACKAGE},
    snapshots,
};

/// Sends an example through the worker's decoder and back, and gives the JSON that crosses.
fn crossed(name: &str, example: &Value) -> Value {
    let sent = payload("json/plain", &serde_json::to_vec(example).unwrap());
    let back = (codec(name).cross)(vec![sent])
        .unwrap_or_else(|problems| panic!("{name} doesn't take its own example: {problems}\n{example:#}"));
    assert_eq!(back.metadata["encoding"], b"json/plain");
    serde_json::from_slice(&back.data).unwrap()
}

#[test]
fn every_message_crosses_as_it_is_written_down() {
    let pool = schema::pool();
    let mut files: BTreeMap<String, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
    for message in schema::messages(&pool) {
        let examples = filled(&message, Form::default());
        let payloads: Vec<Value> = examples
            .iter()
            .map(|example| crossed(message.name(), example))
            .collect();
        assert_eq!(payloads, examples, "{} loses or changes a field", message.name());
        let file = message
            .parent_file()
            .name()
            .replace('/', ".")
            .replace(".proto", "");
        files
            .entry(file)
            .or_default()
            .insert(message.name().to_owned(), payloads);
    }
    for (file, messages) in files {
        let name = file.replace(&format!("{PACKAGE}."), "payloads-");
        snapshots().bind(|| insta::assert_json_snapshot!(name, messages));
    }
}

#[test]
fn an_empty_message_is_an_empty_object() {
    for message in schema::messages(&schema::pool()) {
        assert_eq!(
            crossed(message.name(), &serde_json::json!({})),
            serde_json::json!({}),
            "{}",
            message.name()
        );
    }
}
