//! Where what is asked comes from: a prompt in the input, or one line of a file.

use blob_store::StagedPath;
use workflow_types::{
    batch::resolve,
    problem::Problems,
    proto::{
        BatchLine, BlobRef, Content, GenerateTextInput, GenerateTextOutput, LlmBatchItem, LlmPipelineInput,
        OutputSpec, Problem, Prompt, TooLong, content, generate_text_input::Request,
    },
    request::{ContentSource, ModelRef, Output, Parameters, PipelineRequest, parse_content},
    wire::{parse_json, parse_json_strictly},
};

use super::Services;
use crate::error::Error;

/// The most text one prompt may be made of, in bytes: more than any context window holds.
const MOST_TEXT_BYTES: u64 = 32 * 1024 * 1024;
/// The longest line of a batch file, in bytes.
const MOST_LINE_BYTES: i32 = 1024 * 1024;

/// What is asked, in valid values.
pub(super) struct Ask {
    pub model: ModelRef,
    pub system: Option<String>,
    pub instruction: Option<String>,
    pub texts: Vec<String>,
    pub parameters: Parameters,
    pub output: Output,
    pub normalize: bool,
    /// The request this is, when it came from a file: ready to start a pipeline with.
    pub request: Option<LlmPipelineInput>,
    /// The earlier answer that is to be corrected.
    pub correction: Option<Correction>,
}

/// An answer that did not match its schema.
pub(super) struct Correction {
    pub answer: String,
    pub problems: Vec<Problem>,
}

/// Reads what is asked, and the answer to be corrected when there is one.
pub(super) async fn read(services: &Services, input: &GenerateTextInput) -> Result<Ask, Error> {
    let ask = match &input.request {
        Some(Request::Prompt(prompt)) => from_prompt(services, prompt).await?,
        Some(Request::Line(line)) => from_line(services, line).await?,
        None => return Err(Problems::one("prompt", "is missing").into()),
    };
    let Some(repair) = &input.repair else {
        return Ok(ask);
    };
    let answer = text(services, parse_content(repair.answer.clone())?).await?;
    let correction = Correction {
        answer,
        problems: repair.problems.clone(),
    };
    Ok(Ask {
        correction: Some(correction),
        ..ask
    })
}

async fn from_prompt(services: &Services, prompt: &Prompt) -> Result<Ask, Error> {
    let mut texts = Vec::with_capacity(prompt.contents.len());
    for content in &prompt.contents {
        texts.push(text(services, parse_content(Some(content.clone()))?).await?);
    }
    Ok(Ask {
        model: ModelRef::parse(&prompt.model)?,
        system: prompt.system.clone(),
        instruction: prompt.instruction.clone(),
        texts,
        parameters: Parameters::parse(prompt.parameters.clone().unwrap_or_default())?,
        output: Output::parse(prompt.output.clone().unwrap_or_default())?,
        normalize: prompt.normalize,
        request: None,
        correction: None,
    })
}

async fn from_line(services: &Services, line: &BatchLine) -> Result<Ask, Error> {
    let defaults = match &line.defaults {
        Some(blob) => parse_json(&services.blobs.get(blob, MOST_TEXT_BYTES).await?)?,
        None => LlmPipelineInput::default(),
    };
    let item: LlmBatchItem = parse_json_strictly(&line_bytes(services, line).await?)?;
    let resolved = resolve(&defaults, item);
    let parsed = PipelineRequest::parse(resolved.clone())?;
    let text = text(services, parsed.content).await?;
    let model = match &line.model {
        Some(model) => ModelRef::parse(model)?,
        None => parsed.model,
    };
    Ok(Ask {
        model,
        system: parsed.system,
        instruction: parsed.instruction,
        texts: vec![text],
        parameters: parsed.parameters,
        output: parsed.output,
        normalize: parsed.preprocessing.normalize,
        request: Some(resolved),
        correction: None,
    })
}

async fn line_bytes(services: &Services, line: &BatchLine) -> Result<Vec<u8>, Error> {
    let place = line
        .line
        .as_ref()
        .ok_or_else(|| Problems::one("line.line", "is missing"))?;
    let file = place
        .file
        .as_ref()
        .ok_or_else(|| Problems::one("line.line.file", "is missing"))?;
    let offset = u64::try_from(place.offset_bytes);
    let length = u64::try_from(place.length_bytes);
    match (offset, length) {
        (Ok(offset), Ok(length)) if place.length_bytes <= MOST_LINE_BYTES => {
            Ok(services.blobs.get_range(file, offset, length).await?.to_vec())
        }
        _ => Err(Problems::one(
            "line.line",
            format!("must lie in the file and be at most {MOST_LINE_BYTES} bytes"),
        )
        .into()),
    }
}

async fn text(services: &Services, source: ContentSource) -> Result<String, Error> {
    match source {
        ContentSource::Inline(text) => Ok(text),
        ContentSource::Blob(blob) => {
            let bytes = services.blobs.get(&blob, MOST_TEXT_BYTES).await?;
            Ok(documents::text::check(&bytes)?.to_owned())
        }
    }
}

/// Says that the prompt doesn't fit; text from a file is staged, so that a pipeline can cut it.
pub(super) async fn too_long(
    services: &Services,
    path: &StagedPath,
    text: &str,
    too_long: TooLong,
) -> Result<GenerateTextOutput, Error> {
    let request = match too_long.request {
        None => None,
        Some(request) => {
            let blob = services
                .blobs
                .put(path, text.as_bytes(), "text/plain; charset=utf-8")
                .await?;
            Some(by_reference(request, blob))
        }
    };
    let too_long = TooLong { request, ..too_long };
    Ok(GenerateTextOutput {
        too_long: Some(too_long),
        ..GenerateTextOutput::default()
    })
}

fn by_reference(request: LlmPipelineInput, blob: BlobRef) -> LlmPipelineInput {
    let output = OutputSpec {
        store: Some(true),
        ..request.output.clone().unwrap_or_default()
    };
    LlmPipelineInput {
        content: Some(Content {
            source: Some(content::Source::Blob(blob)),
        }),
        output: Some(output),
        ..request
    }
}
