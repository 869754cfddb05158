//! Generates the payload types from `proto/`, in pure Rust: no `protoc` is needed.

use std::{env, error::Error, path::PathBuf};

use prost::Message;

const FILES: [&str; 4] = [
    "aiworkers/v1/values.proto",
    "aiworkers/v1/llm_pipeline.proto",
    "aiworkers/v1/llm_batch.proto",
    "aiworkers/v1/activities.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told its folders by cargo through the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    for file in FILES {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let mut compiler = protox::Compiler::new([&root])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();
    prost_build::Config::new()
        .btree_map(["."])
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_fds(descriptors.clone())?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptors.encode_to_vec())?
        .btree_map(["."])
        .extern_path(".google.protobuf", "::pbjson_types")
        .ignore_unknown_fields()
        .build(&[".aiworkers.v1"])?;
    Ok(())
}
