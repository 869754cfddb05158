//! What `preprocessData` is asked, with only valid values.

use blob_store::StagePrefix;
use workflow_types::{
    problem::Problems,
    proto::PreprocessDataInput,
    request::{ContentSource, Format, ModelRef, Output, Preparation, parse_content},
};

use crate::{Error, preprocess::window::Prompt, stage};

/// A text to be prepared.
pub(crate) struct Request {
    pub(crate) content: ContentSource,
    pub(crate) model: ModelRef,
    pub(crate) prefix: StagePrefix,
    system: Option<String>,
    instruction: Option<String>,
    schema: Option<String>,
    max_output_tokens: u32,
    preparation: Preparation,
}

impl Request {
    /// Parses an input; every value that can't be used is reported, by its path in what the caller sent.
    pub(crate) fn parse(input: PreprocessDataInput) -> Result<Self, Error> {
        let mut problems = Problems::new();
        let content = below("content", parse_content(input.content), &mut problems);
        let model = ModelRef::parse(&input.model)
            .map_err(|found| problems.extend(found))
            .ok();
        let preparation = below(
            "preprocessing",
            Preparation::parse(input.preprocessing.unwrap_or_default()),
            &mut problems,
        );
        let max_output_tokens = u32::try_from(input.max_output_tokens).unwrap_or_else(|_| {
            problems.at("parameters.maxOutputTokens", "must not be negative");
            0
        });
        let output = below(
            "output",
            Output::parse(input.output.unwrap_or_default()),
            &mut problems,
        );
        let prefix = stage::prefix(&input.stage_prefix);
        let (Some(content), Some(model), Some(preparation), Some(output)) =
            (content, model, preparation, output)
        else {
            return Err(problems.into());
        };
        let (system, instruction, prefix) = (input.system, input.instruction, prefix?);
        let request = Self {
            content,
            model,
            prefix,
            system,
            instruction,
            schema: match output.format {
                Format::Text => None,
                Format::Json(form) => Some(form.schema.to_string()),
            },
            max_output_tokens,
            preparation,
        };
        problems.or(request).map_err(Error::from)
    }

    /// Gives what shares the model's window with the content.
    pub(crate) fn prompt(&self, context_window: u32) -> Prompt {
        Prompt {
            context_window,
            max_output_tokens: self.max_output_tokens,
            system: self.system.clone(),
            instruction: self.instruction.clone(),
            schema: self.schema.clone(),
            preparation: self.preparation.clone(),
        }
    }
}

fn below<T>(name: &str, part: Result<T, Problems>, problems: &mut Problems) -> Option<T> {
    part.map_err(|found| problems.extend_below(name, found)).ok()
}
