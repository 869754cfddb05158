//! The descriptors of `proto/`: every field's number, name and type, as text.
//!
//! A field that is renumbered or renamed still compiles on both sides and still passes a test that sends and receives with
//! today's code. In this text it is a changed line.

use std::{fmt::Write, fs, path::Path};

use protox::prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};

use crate::snapshots;

/// The package of the contracts.
pub(crate) const PACKAGE: &str = "aiworkers.v1";

/// Compiles every file of the contracts.
pub(crate) fn pool() -> DescriptorPool {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto"));
    let folder = root.join("aiworkers/v1");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    files.sort();
    let mut compiler = protox::Compiler::new([root]).unwrap();
    compiler.include_imports(true).open_files(files).unwrap();
    compiler.descriptor_pool()
}

/// Gives the contracts' messages by name.
pub(crate) fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    let mut messages: Vec<_> = pool
        .all_messages()
        .filter(|message| message.package_name() == PACKAGE)
        .collect();
    messages.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    messages
}

fn enums(pool: &DescriptorPool) -> Vec<EnumDescriptor> {
    let mut enums: Vec<_> = pool
        .all_enums()
        .filter(|kind| kind.package_name() == PACKAGE)
        .collect();
    enums.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    enums
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all scalars print alike")]
fn type_of(field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        Cardinality::Repeated => "repeated ",
        Cardinality::Required => "required ",
        Cardinality::Optional if field.field_descriptor_proto().proto3_optional() => "optional ",
        Cardinality::Optional => "",
    };
    let name = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    format!("{label}{}", name.trim_start_matches("aiworkers.v1."))
}

fn describe(pool: &DescriptorPool) -> String {
    let mut text = String::new();
    for message in messages(pool) {
        writeln!(text, "message {}", message.full_name()).unwrap();
        for field in message.fields() {
            let (number, name, json) = (field.number(), field.name(), field.json_name());
            write!(text, "  {number} {name} ({json}): {}", type_of(&field)).unwrap();
            match field.containing_oneof() {
                Some(choice) if !field.field_descriptor_proto().proto3_optional() => {
                    writeln!(text, ", one of {}", choice.name()).unwrap();
                }
                Some(_) | None => text.push('\n'),
            }
        }
    }
    for kind in enums(pool) {
        writeln!(text, "enum {}", kind.full_name()).unwrap();
        for value in kind.values() {
            writeln!(text, "  {} {}", value.number(), value.name()).unwrap();
        }
    }
    text
}

#[test]
fn fields_keep_their_numbers_names_and_types() {
    let text = describe(&pool());
    assert!(text.contains("message aiworkers.v1.LlmPipelineInput"), "{text}");
    snapshots().bind(|| insta::assert_snapshot!("schema", text));
}

#[test]
fn no_field_is_required() {
    for message in messages(&pool()) {
        for field in message.fields() {
            assert!(!field.is_required(), "{}", field.full_name());
        }
    }
}

#[test]
fn zero_of_every_enum_means_unset() {
    for kind in enums(&pool()) {
        let zero = kind.get_value(0).unwrap();
        assert!(
            zero.name().ends_with("_UNSPECIFIED"),
            "{} has {} as zero",
            kind.full_name(),
            zero.name()
        );
    }
}
