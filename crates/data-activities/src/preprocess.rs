//! `preprocessData`: normalise, detect language, count with the model's tokenizer, cut to its window.
//!
//! A text travels to the model in chunks that are known to fit, each staged as an object of its own, so that a workflow
//! can ask for them in any order and a retried call reads only its own. What fits is decided by [`window`], before the
//! text is looked at.

use std::{sync::Arc, time::Instant};

use activity_context::CancelFlag;
use blob_store::StagePrefix;
use bytes::Bytes;
use documents::{chunk, language, text, tokens::TokenCounter};
use futures::{StreamExt, TryStreamExt, stream};
use workflow_types::{
    problem::Problems,
    proto::{Chunk, PreprocessDataInput, PreprocessDataOutput},
    request::ContentSource,
    wire::Wire,
};

use crate::{
    Error, load,
    preprocess::{request::Request, window::Prompt},
    services::{Scope, Services, proceed},
    stage,
    steps::Steps,
};

mod request;
mod window;

/// The most chunks that one text is cut into; a workflow can follow that many and a payload list them.
const MOST_CHUNKS: usize = 4_096;
/// The most bytes that the list of chunks may take in the activity's result: the server takes no payload above 2 MB.
const LIST_BYTES: usize = 1_500_000;
/// What a chunk takes in that list besides the prefix it is staged under: its name, hash, size and tokens.
const LISTED_CHUNK_BYTES: usize = 240;
/// Chunks that are written at once.
const WRITES: usize = 8;

/// Cuts a text into staged chunks that fit the model's window.
pub(crate) async fn run(
    services: &Services,
    input: Wire<PreprocessDataInput>,
    scope: &Scope,
) -> Result<PreprocessDataOutput, Error> {
    let request = Request::parse(input.into_message()?)?;
    let model = services.models.find(&request.model)?;
    let counter = model.counter(&services.pool, &scope.cancellation()).await?;
    let cutter = Cutter {
        prompt: request.prompt(model.context_window()),
        counter,
        most_chunks: MOST_CHUNKS.min(LIST_BYTES / (LISTED_CHUNK_BYTES + request.prefix.as_str().len())),
    };
    let mut steps = Steps::default();
    let began = Instant::now();
    let (bytes, path) = read(services, request.content, scope).await?;
    steps.since("read", began);
    let cut = services
        .pool
        .run(&scope.cancellation(), move |flag| {
            cutter.cut(&bytes, path, steps, &flag)
        })
        .await?;
    let Cut {
        text,
        pieces,
        language,
        content_tokens,
        window_tokens,
        mut steps,
    } = cut.value?;
    steps.took("wait", cut.waited);

    let began = Instant::now();
    let chunks = write(services, &request.prefix, &text, pieces, scope).await?;
    steps.since("write", began);
    services.metrics.chunks(chunks.len());
    Ok(PreprocessDataOutput {
        chunks,
        language,
        content_tokens,
        window_tokens,
        steps: steps.into_vec(),
    })
}

/// Gives the text's bytes and where they came from.
async fn read(
    services: &Services,
    content: ContentSource,
    scope: &Scope,
) -> Result<(Bytes, &'static str), Error> {
    match content {
        ContentSource::Inline(inline) => Ok((Bytes::from(inline), "content.text")),
        ContentSource::Blob(blob) => {
            let path = "content.blob";
            Ok((load::text(services, path, blob, scope).await?.bytes, path))
        }
    }
}

/// Stages the chunks of a text, several at once, and lists them in order.
async fn write(
    services: &Services,
    prefix: &StagePrefix,
    text: &str,
    pieces: Vec<chunk::Chunk>,
    scope: &Scope,
) -> Result<Vec<Chunk>, Error> {
    let written = stream::iter(pieces.into_iter().enumerate()).map(|(index, piece)| async move {
        let path = stage::path(prefix, &stage::chunk(index))?;
        let bytes = text.get(piece.range).unwrap_or_default().as_bytes();
        let blob = services
            .store
            .put(&path, bytes, stage::TEXT)
            .await
            .map_err(Error::Staged)?;
        proceed(scope, "chunks", index as u64 + 1)?;
        Ok(Chunk {
            blob: Some(blob),
            tokens: count(piece.tokens),
        })
    });
    written.buffered(WRITES).try_collect().await
}

/// What it takes to cut a text; no I/O, so that it runs on the blocking pool and in tests.
struct Cutter {
    prompt: Prompt,
    counter: Arc<TokenCounter>,
    most_chunks: usize,
}

/// A text and where it is cut.
struct Cut {
    text: String,
    pieces: Vec<chunk::Chunk>,
    language: Option<String>,
    content_tokens: i32,
    window_tokens: i32,
    steps: Steps,
}

impl Cutter {
    fn cut(
        self,
        bytes: &[u8],
        path: &'static str,
        mut steps: Steps,
        flag: &CancelFlag,
    ) -> Result<Cut, Error> {
        let go_on = || {
            if flag.is_set() {
                Err(Error::Stopped)
            } else {
                Ok(())
            }
        };
        let window = self.prompt.window(&self.counter)?;
        let limits = self.prompt.limits(window)?;

        let mut began = Instant::now();
        let checked = text::check(bytes).map_err(|source| Error::Text { path, source })?;
        let text = if self.prompt.preparation.normalize {
            text::normalise(checked).text
        } else {
            checked.to_owned()
        };
        steps.since("normalize", began);
        go_on()?;

        began = Instant::now();
        let language = language::detect(&text).map(|found| found.code.to_owned());
        steps.since("language", began);

        began = Instant::now();
        let content_tokens = count(self.counter.count(&text));
        go_on()?;
        let pieces = chunk::split(&text, &self.counter, limits)?;
        steps.since("tokenize", began);
        if pieces.len() > self.most_chunks {
            let message = format!(
                "makes {} chunks and at most {} are taken; raise it, or split the document into a batch",
                pieces.len(),
                self.most_chunks
            );
            return Err(Problems::one("preprocessing.chunkTokens", message).into());
        }
        Ok(Cut {
            text,
            pieces,
            language,
            content_tokens,
            window_tokens: count(window),
            steps,
        })
    }
}

fn count(tokens: usize) -> i32 {
    i32::try_from(tokens).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
