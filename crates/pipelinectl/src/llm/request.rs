//! Flags as the message that the workflow takes.
//!
//! A flag that is not given stays unset in the message: what the default is, only the workflow decides, so that another
//! version of it may decide otherwise.
//!
//! A JSON Schema is compiled here by the code with which a worker compiles it, and as it will arrive there: a bad keyword
//! would otherwise be told by a run that had started and, where the text is large, had cut it up before.

use std::{fs, path::Path};

use documents::schema::Schema;

use workflow_types::{
    json,
    problem::Problems,
    proto::{
        GenerationParameters, JsonFormat, LlmPipelineInput, OnUnknown, OutputSpec, Placement, Preprocessing,
        output_spec,
    },
};

use crate::cli::{DurationArg, OnUnknownArg, PlacementArg, RequestArgs};

use super::{
    spending,
    written::{self, Origin},
};

/// Makes the message without its content; a schema file that can't be used is a problem.
pub(super) fn from_flags(flags: &RequestArgs, problems: &mut Problems) -> LlmPipelineInput {
    let mut input = LlmPipelineInput {
        instruction: flags.instruction.clone(),
        system: flags.system.clone(),
        model: flags.model.clone(),
        parameters: parameters(flags),
        output: output(flags, problems),
        preprocessing: preprocessing(flags),
        tenant: flags.tenant.clone(),
        deadline_seconds: flags.deadline.map(DurationArg::seconds),
        ..LlmPipelineInput::default()
    };
    spending::fill(&mut input, &flags.spending);
    if let Some(placement) = flags.placement {
        input.set_placement(match placement {
            PlacementArg::Auto => Placement::Auto,
            PlacementArg::AiWorker => Placement::AiWorker,
            PlacementArg::DataWorker => Placement::DataWorker,
        });
    }
    if let Some(on_unknown) = flags.on_unknown {
        input.set_on_unknown(match on_unknown {
            OnUnknownArg::Repeat => OnUnknown::Repeat,
            OnUnknownArg::Fail => OnUnknown::Fail,
        });
    }
    input
}

fn parameters(flags: &RequestArgs) -> Option<GenerationParameters> {
    let parameters = GenerationParameters {
        max_output_tokens: flags.max_output_tokens,
        temperature: flags.temperature,
        top_p: flags.top_p,
        seed: flags.seed,
        stop: flags.stop.clone(),
    };
    (parameters != GenerationParameters::default()).then_some(parameters)
}

fn output(flags: &RequestArgs, problems: &mut Problems) -> Option<OutputSpec> {
    let schema = flags.schema.as_deref().and_then(|path| schema(path, problems));
    let written = flags
        .schema
        .as_deref()
        .map(|path| format!("{}: ", path.display()));
    let output = OutputSpec {
        format: schema.map(|schema| {
            output_spec::Format::Json(JsonFormat {
                schema: Some(json::to_struct(&schema)),
                max_repairs: flags.max_repairs,
            })
        }),
        store: flags.store.then_some(true),
    };
    if let Err(message) = check_schema(&output) {
        problems.at("--schema", format!("{}{message}", written.unwrap_or_default()));
    }
    (output != OutputSpec::default()).then_some(output)
}

/// Tells what is wrong with the schema of an output, if it has one.
pub(super) fn check_schema(output: &OutputSpec) -> Result<(), String> {
    let Some(output_spec::Format::Json(form)) = &output.format else {
        return Ok(());
    };
    let Some(schema) = form.schema.as_ref().map(json::from_struct) else {
        return Ok(());
    };
    Schema::compile(&schema)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn schema(path: &Path, problems: &mut Problems) -> Option<serde_json::Map<String, serde_json::Value>> {
    let read = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let parsed = read.and_then(|bytes| written::object(&bytes, &Origin::file(path)));
    parsed.map_err(|message| problems.at("--schema", message)).ok()
}

fn preprocessing(flags: &RequestArgs) -> Option<Preprocessing> {
    let preprocessing = Preprocessing {
        normalize: flags.no_normalize.then_some(false),
        chunk_tokens: flags.chunk_tokens,
        chunk_overlap_tokens: flags.chunk_overlap_tokens,
        max_concurrent_chunks: flags.max_concurrent_chunks,
        reduce_instruction: flags.reduce_instruction.clone(),
    };
    (preprocessing != Preprocessing::default()).then_some(preprocessing)
}
