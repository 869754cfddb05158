//! The declared activities: names, inputs and outputs, without their work.
//!
//! A worker implements a declaration with `#[activity(definition = …)]` and a workflow calls it by the same
//! declaration, so a difference between the two does not compile. The macro puts its marker types into private modules;
//! they are re-exported here, which is the only way another crate can name them.
#![expect(
    missing_docs,
    clippy::unimplemented,
    clippy::missing_errors_doc,
    reason = "the SDK's macro wants bodies that are never run and generates constants without documentation"
)]

use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

use crate::{
    proto::{
        BuildManifestInput, BuildManifestOutput, DiscardStagedInput, DiscardStagedOutput, GenerateTextInput,
        GenerateTextOutput, PreprocessDataInput, PreprocessDataOutput, ValidateDataInput, ValidateDataOutput,
        WriteResultsInput, WriteResultsOutput,
    },
    wire::Wire,
};

pub use data_declarations::{BuildManifest, DiscardStaged, PreprocessData, ValidateData, WriteResults};
pub use llm_declarations::GenerateText;

/// What the worker of `ai-processing` does.
pub struct LlmDeclarations;

#[activity_definitions]
impl LlmDeclarations {
    #[activity(name = "generateText")]
    pub fn generate_text(_input: Wire<GenerateTextInput>) -> Result<Wire<GenerateTextOutput>, ActivityError> {
        unimplemented!()
    }
}

/// What the worker of `data-processing` does.
pub struct DataDeclarations;

#[activity_definitions]
impl DataDeclarations {
    #[activity(name = "validateData")]
    pub fn validate_data(_input: Wire<ValidateDataInput>) -> Result<Wire<ValidateDataOutput>, ActivityError> {
        unimplemented!()
    }

    #[activity(name = "preprocessData")]
    pub fn preprocess_data(
        _input: Wire<PreprocessDataInput>,
    ) -> Result<Wire<PreprocessDataOutput>, ActivityError> {
        unimplemented!()
    }

    #[activity(name = "buildManifest")]
    pub fn build_manifest(
        _input: Wire<BuildManifestInput>,
    ) -> Result<Wire<BuildManifestOutput>, ActivityError> {
        unimplemented!()
    }

    #[activity(name = "writeResults")]
    pub fn write_results(_input: Wire<WriteResultsInput>) -> Result<Wire<WriteResultsOutput>, ActivityError> {
        unimplemented!()
    }

    #[activity(name = "discardStaged")]
    pub fn discard_staged(
        _input: Wire<DiscardStagedInput>,
    ) -> Result<Wire<DiscardStagedOutput>, ActivityError> {
        unimplemented!()
    }
}
