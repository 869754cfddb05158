//! Where a request's steps run: a pure function of the request.
//!
//! A small inline text travels to the model's worker anyway, and two more activities on another queue would cost more
//! than they save; a large one, or one by reference, is worked on where the bytes are. Being pure, the choice is visible
//! in history and the same on every replay.

use crate::{proto::Placement, request::PipelineRequest};

/// The largest inline text that is prepared beside the model, in bytes.
pub const SMALL_INLINE_BYTES: usize = 8 * 1024;

/// Chooses where the steps of a request run.
pub fn place(request: &PipelineRequest) -> Placement {
    match request.placement {
        Placement::AiWorker => Placement::AiWorker,
        Placement::DataWorker => Placement::DataWorker,
        Placement::Auto | Placement::Unspecified => match request.content.inline_bytes() {
            Some(bytes) if bytes <= SMALL_INLINE_BYTES && request.preprocessing.chunk_tokens.is_none() => {
                Placement::AiWorker
            }
            Some(_) | None => Placement::DataWorker,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{BlobRef, Content, LlmPipelineInput, Preprocessing, content::Source};

    fn placed(source: Source, adjust: impl FnOnce(&mut LlmPipelineInput)) -> Placement {
        let mut input = LlmPipelineInput {
            content: Some(Content { source: Some(source) }),
            ..LlmPipelineInput::default()
        };
        adjust(&mut input);
        place(&PipelineRequest::parse(input).unwrap())
    }

    #[test]
    fn size_decides_and_an_option_overrules_it() {
        let small = || Source::Text("x".repeat(SMALL_INLINE_BYTES));
        let large = || Source::Text("x".repeat(SMALL_INLINE_BYTES + 1));
        let blob = || {
            Source::Blob(BlobRef {
                uri: "blob:a".into(),
                ..BlobRef::default()
            })
        };
        assert_eq!(placed(small(), |_| {}), Placement::AiWorker);
        assert_eq!(placed(large(), |_| {}), Placement::DataWorker);
        assert_eq!(placed(blob(), |_| {}), Placement::DataWorker);
        assert_eq!(
            placed(small(), |i| i.set_placement(Placement::DataWorker)),
            Placement::DataWorker
        );
        assert_eq!(
            placed(large(), |i| i.set_placement(Placement::AiWorker)),
            Placement::AiWorker
        );
        let chunked = Preprocessing {
            chunk_tokens: Some(64),
            ..Preprocessing::default()
        };
        assert_eq!(
            placed(small(), |i| i.preprocessing = Some(chunked)),
            Placement::DataWorker
        );
    }
}
