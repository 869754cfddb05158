//! What the pipeline asks: the request's words around each piece of its content.

use workflow_types::{
    proto::{Chunk, Content, Preprocessing, Prompt, content, generate_text_output},
    request::{Format, Output, PipelineRequest},
};

use super::flow::count;
use crate::inference::Answer;

/// Gives what is asked about some contents.
pub(super) fn prompt(request: &PipelineRequest, contents: Vec<Content>, normalize: bool) -> Prompt {
    Prompt {
        model: request.model.to_string(),
        system: request.system.clone(),
        instruction: request.instruction.clone(),
        contents,
        parameters: Some(request.parameters.clone().into()),
        output: Some(request.output.clone().into()),
        normalize: normalize && request.preprocessing.normalize,
    }
}

/// A chunk alone can't answer in the form that was asked for, so it answers in text.
pub(super) fn partial_request(request: &PipelineRequest) -> PipelineRequest {
    PipelineRequest {
        output: Output {
            format: Format::Text,
            store: false,
        },
        ..request.clone()
    }
}

/// Gives what is asked about partial answers.
pub(super) fn reduce_instruction(request: &PipelineRequest) -> Option<String> {
    request
        .preprocessing
        .reduce_instruction
        .clone()
        .or_else(|| request.instruction.clone())
}

/// Gives how the content is cut.
pub(super) fn preprocessing(request: &PipelineRequest) -> Preprocessing {
    let preparation = &request.preprocessing;
    Preprocessing {
        normalize: Some(preparation.normalize),
        chunk_tokens: preparation.chunk_tokens.map(count),
        chunk_overlap_tokens: Some(count(preparation.chunk_overlap_tokens)),
        max_concurrent_chunks: None,
        reduce_instruction: preparation.reduce_instruction.clone(),
    }
}

/// Gives a chunk as content.
pub(super) fn chunk_content(chunk: &Chunk) -> Content {
    Content {
        source: chunk.blob.clone().map(content::Source::Blob),
    }
}

/// Gives a partial answer as content; JSON is never partial.
pub(super) fn answer_content(answer: &Answer) -> Option<Content> {
    let source = match answer.output.answer.clone()? {
        generate_text_output::Answer::Text(text) => content::Source::Text(text),
        generate_text_output::Answer::Blob(blob) => content::Source::Blob(blob),
        generate_text_output::Answer::Json(_) => return None,
    };
    Some(Content { source: Some(source) })
}
