//! An answer, readable while it is generated.
//!
//! Text never passes through Temporal, so whoever reads along reads the blob store. A writer beside the call collects what
//! comes and writes it in segments, `PREFIX/<epoch>/<offset>.txt`, and `PREFIX/<epoch>/end.json` once the answer is
//! committed. An attempt that calls again tells the answer anew, in the next epoch, because two answers are not one text; a
//! replay completes what is not whole. Put together, the segments of an epoch with an end are the answer byte for byte.
//!
//! The stream is a convenience and the answer is paid for: whatever goes wrong here is logged and counted, and neither
//! fails the call nor keeps its result for longer than a moment.

use std::time::Duration;

use blob_store::{BlobStore, StagePrefix};
use model_clients::Deltas;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use workflow_types::proto::StreamTarget;

use crate::{error::Error, metrics::Metrics};
use epoch::Epoch;
use trim::Trim;

mod epoch;
mod trim;

/// How often text is written unless the input says otherwise, and the limits of what it may say.
const USUAL_FLUSH: Duration = Duration::from_millis(250);
const SHORTEST_FLUSH: Duration = Duration::from_millis(100);
const LONGEST_FLUSH: Duration = Duration::from_secs(5);
/// How long a result waits for the end of its stream to be written.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// Where an answer is told.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    blobs: BlobStore,
    stream: StagePrefix,
    flush: Duration,
    metrics: Metrics,
}

/// A call's answer being told.
#[derive(Debug)]
pub(crate) struct Telling {
    target: Target,
    writer: JoinHandle<Epoch>,
}

impl Target {
    /// Reads the input's word; the prefix lies below the run's own.
    ///
    /// # Errors
    ///
    /// That the prefix is no place below the run's own.
    pub(crate) fn of(
        target: Option<&StreamTarget>,
        (stage, blobs, metrics): (&StagePrefix, &BlobStore, &Metrics),
    ) -> Result<Option<Self>, Error> {
        let Some(target) = target else { return Ok(None) };
        let flush = match u64::try_from(target.flush_milliseconds) {
            Ok(0) | Err(_) => USUAL_FLUSH,
            Ok(milliseconds) => Duration::from_millis(milliseconds).clamp(SHORTEST_FLUSH, LONGEST_FLUSH),
        };
        Ok(Some(Self {
            blobs: blobs.clone(),
            stream: stage.folder(&target.prefix)?,
            flush,
            metrics: metrics.clone(),
        }))
    }

    /// Begins to tell an answer; its pieces go into the sender, and end when that is dropped.
    pub(crate) fn begin(self) -> (Deltas, Telling) {
        let (sender, pieces) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write(self.clone(), pieces));
        (sender, Telling { target: self, writer })
    }

    /// Sees to it that a replayed answer has been told whole.
    pub(crate) async fn complete(self, text: &str) {
        let done = timeout(
            FINISH_WITHIN,
            epoch::complete(self.blobs.clone(), self.stream.clone(), text),
        );
        self.report(done.await, "a replayed answer could not be streamed");
    }

    fn report<E>(&self, done: Result<Result<(), blob_store::Error>, E>, what: &str) {
        match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                let message = activity_context::with_sources(&error);
                tracing::warn!(error.message = message, stream.prefix = %self.stream, "{what}");
            }
            Err(_) => tracing::warn!(stream.prefix = %self.stream, "{what} in time"),
        }
        self.metrics.stream_failed();
    }
}

impl Telling {
    /// Completes the telling with the committed answer. One that is dropped instead stays without an end.
    pub(crate) async fn finish(self, text: &str) {
        let Self { target, writer } = self;
        let done = timeout(FINISH_WITHIN, async {
            match writer.await {
                Ok(epoch) => epoch.finish(text).await,
                // The writer broke off; the answer is told once more, and whole.
                Err(_) => epoch::complete(target.blobs.clone(), target.stream.clone(), text).await,
            }
        });
        target.report(done.await, "the end of a stream could not be written");
    }
}

/// Writes what comes until nothing more does.
async fn write(target: Target, mut pieces: UnboundedReceiver<String>) -> Epoch {
    let mut epoch = Epoch::new(target.blobs.clone(), target.stream.clone());
    let mut trim = Trim::default();
    // The first words are written at once: they are what somebody waits for.
    let mut due = Instant::now();
    let mut failing = false;
    loop {
        tokio::select! {
            biased;
            piece = pieces.recv() => match piece {
                Some(piece) => trim.push(&piece, &mut epoch.text),
                None => return epoch,
            },
            () = sleep_until(due), if epoch.is_behind() => {
                let written = epoch.write().await;
                if written.is_err() && failing {
                    target.metrics.stream_failed();
                } else {
                    failing = written.is_err();
                    target.report(Ok::<_, ()>(written), "a part of an answer could not be streamed yet");
                }
                due = Instant::now() + target.flush;
            }
        }
    }
}

#[cfg(test)]
mod tests;
