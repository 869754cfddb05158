//! Waiting for a run: its result, its progress, the time limit and Ctrl-C, whichever comes first.
//!
//! Waiting never owns the run. When the limit passes or the person leaves, the run goes on, and the message says how to
//! come back to it.

use std::{future::Future, time::Duration};

use temporal_client::{Client, outcome, run::AnyRun};
use tokio::time::{Instant, sleep, sleep_until};
use workflow_types::proto::{LlmBatchOutput, LlmPipelineOutput};

use crate::{cli::ResultPrintArgs, exit::Exit, failure::Failure, session::Session};

use super::{
    progress::{Progress, Snapshot},
    report::Report,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Small answers are there before a first look would be.
const FIRST_LOOK: Duration = Duration::from_millis(300);

/// How to wait and what to print then.
pub(crate) struct Watching<'a> {
    /// The connection.
    pub(crate) client: &'a Client,
    /// How the result is printed.
    pub(crate) print: &'a ResultPrintArgs,
    /// How long to wait.
    pub(crate) limit: Option<Duration>,
    /// Whether to show where the run is.
    pub(crate) progress: bool,
}

/// What a run gave.
pub(crate) enum Output {
    /// One answer.
    Pipeline(Box<LlmPipelineOutput>),
    /// A file of answers.
    Batch(Box<LlmBatchOutput>),
}

/// Gives a run's id, the id of the run that a start made, and whether it was there before.
pub(crate) fn identity(run: &AnyRun) -> (&str, Option<&str>, bool) {
    match run {
        AnyRun::LlmPipeline(run) => (run.id(), run.run_id(), run.attached()),
        AnyRun::LlmBatch(run) => (run.id(), run.run_id(), run.attached()),
    }
}

impl Watching<'_> {
    /// Waits for a run and prints its result; the exit code is the result's.
    pub(crate) async fn follow(&self, run: &AnyRun, session: &Session) -> Result<Exit, Failure> {
        let id = identity(run).0.to_owned();
        let mut progress = Progress::new(session.printer, self.progress);
        let ended = tokio::select! {
            biased;
            ended = output(run) => Ok(ended),
            () = show(run, &mut progress) => Err(Failure::internal("the progress display ended")),
            () = over(self.limit) => Err(Failure::wait_over(&id)),
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted(&id)),
        };
        progress.clear();
        let report = Report {
            workflow_id: &id,
            watching: self,
            session,
            streamed: false,
        };
        match ended? {
            Ok(output) => report.print(&output).await,
            Err(error) => {
                report.leftovers(&error).await;
                Err(Failure::from(error).about(&id))
            }
        }
    }
}

async fn output(run: &AnyRun) -> Result<Output, outcome::Error> {
    Ok(match run {
        AnyRun::LlmPipeline(run) => Output::Pipeline(Box::new(run.result().await?)),
        AnyRun::LlmBatch(run) => Output::Batch(Box::new(run.result().await?)),
    })
}

async fn show(run: &AnyRun, progress: &mut Progress) {
    if progress.is_silent() {
        return std::future::pending().await;
    }
    sleep(FIRST_LOOK).await;
    loop {
        progress.show(look(run).await);
        sleep(LOOK_EVERY).await;
    }
}

async fn look(run: &AnyRun) -> Option<Snapshot> {
    match run {
        AnyRun::LlmPipeline(run) => run
            .status()
            .await
            .ok()
            .map(|status| Snapshot::of_pipeline(&status)),
        AnyRun::LlmBatch(run) => run.status().await.ok().map(|status| Snapshot::of_batch(&status)),
    }
}

pub(super) fn over(limit: Option<Duration>) -> impl Future<Output = ()> {
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    async move {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}
