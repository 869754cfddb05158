//! A result for whoever asked: the answer itself on standard output, what is to be said about it on standard error.
//!
//! A truncated answer or one that does not match its schema is a result and not a failure, because somebody paid for
//! it; a person is told, and a script says `--strict` if it can't use it. For the same reason an answer whose file can't
//! be written goes to standard output instead, and the failure says how to fetch it again.

use std::path::Path;

use serde_json::json;
use temporal_client::outcome;
use workflow_types::{
    json as contract_json,
    proto::{
        BatchCounts, BlobRef, LlmBatchOutput, LlmPipelineOutput, Outcome, Problem,
        llm_pipeline_output::Answer,
    },
};

use crate::{
    exit::Exit,
    failure::Failure,
    llm::open_store,
    out_file::{self, OutFile},
    output,
    session::Session,
    waits,
};

use super::{
    failed_items::FailedItems,
    follow::{Output, Watching},
    tables,
};

/// The largest answer that is printed rather than written to a file, in bytes.
const PRINT_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

const PRINTED: &str = "the answer is on standard output, and ";
const NOT_PRINTED: &str = "";

/// What has ended, and for whom.
pub(super) struct Report<'a> {
    /// The run.
    pub(super) workflow_id: &'a str,
    /// How it was waited for.
    pub(super) watching: &'a Watching<'a>,
    /// What every command is handed.
    pub(super) session: &'a Session,
    /// Whether the answer was shown while it came.
    pub(super) streamed: bool,
}

impl Report<'_> {
    /// Prints what a run gave.
    pub(super) async fn print(&self, output: &Output) -> Result<Exit, Failure> {
        match output {
            Output::Pipeline(output) => self.pipeline(output).await,
            Output::Batch(output) => self.batch(output).await,
        }
    }

    /// Saves what a cancelled batch had finished; it is no result, so nothing here can fail the command.
    pub(super) async fn leftovers(&self, error: &outcome::Error) {
        let outcome::Error::Cancelled {
            details: Some(details),
            ..
        } = error
        else {
            return;
        };
        let Ok(partial) = serde_json::from_value::<LlmBatchOutput>(details.clone()) else {
            return;
        };
        let Some(results) = &partial.results else { return };
        let counts = partial.counts.unwrap_or_default();
        let printer = self.session.printer;
        printer.remark(&format!(
            "items that ended before: {}; results: {}",
            tables::counts(&counts),
            results.uri
        ));
        if let Some(path) = &self.watching.print.out
            && let Err(failure) = self.download(results, path).await
        {
            printer.remark(&format!("warning: {}", failure.message));
        }
    }

    async fn pipeline(&self, output: &LlmPipelineOutput) -> Result<Exit, Failure> {
        let printer = self.session.printer;
        for step in &output.steps {
            printer.detail(&format!("{:>10.1} ms  {}", step.milliseconds, step.step));
        }
        for step in &output.route_trace {
            printer.remark(&format!("tried {}", waits::route(step)));
        }
        if let Some(record) = &output.review {
            printer.remark(&format!("review: {}", waits::review(record)));
        }
        printer.detail(&tables::pipeline_facts(output));
        let saved = match &self.watching.print.out {
            Some(path) => self.save(output, path).await,
            None => Ok(()),
        };
        // A stream is one; without one there was nothing to show before.
        let streamed = self.streamed && output.stream.is_some();
        if printer.is_json() && self.streamed {
            output::json_line(&json!({"event": "result", "result": output}))?;
        } else if printer.is_json() {
            output::json(output)?;
        } else if !streamed
            && output.answer.is_some()
            && (self.watching.print.out.is_none() || saved.is_err())
        {
            match self.answer(output).await {
                Ok(answer) => output::answer(&answer)?,
                // What was asked for failed first, and says more.
                Err(failure) => return Err(self.still_there(saved.err().unwrap_or(failure), NOT_PRINTED)),
            }
        }
        let by_reference = matches!(output.answer, Some(Answer::Blob(_)));
        let place = if printer.is_json() && by_reference {
            NOT_PRINTED
        } else {
            PRINTED
        };
        saved.map_err(|failure| self.still_there(failure, place))?;
        let Some(remark) = incomplete(output) else {
            return Ok(Exit::Success);
        };
        if self.watching.print.strict {
            return Err(Failure {
                problems: output.problems.clone(),
                ..Failure::incomplete(remark)
            });
        }
        printer.remark(&format!("warning: {remark}"));
        for problem in &output.problems {
            printer.remark(&format!("  {}: {}", problem.path, problem.message));
        }
        Ok(Exit::Success)
    }

    async fn batch(&self, output: &LlmBatchOutput) -> Result<Exit, Failure> {
        let counts = output.counts.unwrap_or_default();
        let saved = match (&self.watching.print.out, &output.results) {
            (Some(path), Some(results)) => self.download(results, path).await,
            (_, None) | (None, _) => Ok(()),
        };
        self.session.printer.either(output, tables::batch)?;
        saved.map_err(|failure| self.still_there(failure, NOT_PRINTED))?;
        let total = total(&counts);
        if completed_none(&counts) {
            return Err(self.failed_items(output, counts.failed, total).await);
        }
        if self.watching.print.strict && counts.completed != total {
            return Err(Failure::incomplete(format!(
                "{} of {total} items have no complete answer",
                total - counts.completed
            )));
        }
        Ok(Exit::Success)
    }

    /// Says why the first items failed, or where it stands when the store can't be read from here.
    async fn failed_items(&self, output: &LlmBatchOutput, failed: i32, total: i32) -> Failure {
        let id = self.workflow_id;
        let place = output
            .results
            .as_ref()
            .map(|results| {
                format!(
                    "; {} says why: `pipelinectl result {id} --out FILE` fetches it",
                    results.uri
                )
            })
            .unwrap_or_default();
        let problems = match &output.results {
            Some(results) => self.first_failures(results).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let first = if problems.is_empty() { "" } else { "; the first:" };
        let message = format!("no item completed, and {failed} of {total} failed{place}{first}");
        Failure {
            problems,
            ..Failure::no_item_completed(message)
        }
        .about(id)
    }

    async fn first_failures(&self, results: &BlobRef) -> Result<Vec<Problem>, Failure> {
        let store = open_store(&self.watching.print.store, self.watching.client, self.session)?;
        let mut reader = store.read(results).await?;
        let mut items = FailedItems::default();
        while let Some(piece) = reader.next().await? {
            if !items.take(&piece) {
                break;
            }
        }
        Ok(items.finish())
    }

    async fn answer(&self, output: &LlmPipelineOutput) -> Result<String, Failure> {
        match &output.answer {
            None => Ok(String::new()),
            Some(Answer::Text(text)) => Ok(text.clone()),
            Some(Answer::Json(value)) => serde_json::to_string_pretty(&contract_json::from_value(value))
                .map_err(|error| Failure::internal(format!("the answer cannot be written as JSON: {error}"))),
            Some(Answer::Blob(blob)) => {
                let store = open_store(&self.watching.print.store, self.watching.client, self.session)?;
                let bytes = store.get(blob, PRINT_LIMIT_BYTES).await?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    async fn save(&self, output: &LlmPipelineOutput, path: &Path) -> Result<(), Failure> {
        if let Some(Answer::Blob(blob)) = &output.answer {
            return self.download(blob, path).await;
        }
        let answer = self.answer(output).await?;
        out_file::write(path, answer.as_bytes()).map_err(late)?;
        self.wrote(path);
        Ok(())
    }

    async fn download(&self, blob: &BlobRef, path: &Path) -> Result<(), Failure> {
        let store = open_store(&self.watching.print.store, self.watching.client, self.session)?;
        let mut reader = store.read(blob).await?;
        let mut file = OutFile::begin(path).map_err(late)?;
        while let Some(piece) = reader.next().await? {
            file.write(&piece)?;
        }
        file.finish()?;
        self.wrote(path);
        Ok(())
    }

    fn wrote(&self, path: &Path) {
        self.session.printer.remark(&format!("wrote {}", path.display()));
    }

    /// Adds to a failure after the end of a run that nothing is lost, and how to get at it.
    fn still_there(&self, failure: Failure, place: &str) -> Failure {
        let id = self.workflow_id;
        let message = format!(
            "{}; the run has ended and nothing is lost: {place}`pipelinectl result {id} --out FILE` fetches it again",
            failure.message
        );
        Failure { message, ..failure }.about(id)
    }
}

/// Says of a file that can't be begun any more that this is no mistake of the command line, which was looked at before.
fn late(failure: Failure) -> Failure {
    Failure::not_saved(failure.message)
}

fn incomplete(output: &LlmPipelineOutput) -> Option<&'static str> {
    match output.outcome() {
        Outcome::Completed | Outcome::Unspecified => None,
        Outcome::Truncated => Some("the answer ends at the token limit; --max-output-tokens raises it"),
        Outcome::SchemaMismatch => Some("the answer is not in the form that was asked for"),
        Outcome::ContentFiltered => Some("the provider withheld the answer"),
        Outcome::Rejected => Some("the answer was rejected in review and is withheld"),
    }
}

/// Tells whether a batch completed no item and failed at least one, which a script must not take for success.
fn completed_none(counts: &BatchCounts) -> bool {
    counts.completed == 0 && counts.failed > 0
}

fn total(counts: &BatchCounts) -> i32 {
    counts.completed
        + counts.truncated
        + counts.schema_mismatch
        + counts.content_filtered
        + counts.failed
        + counts.cancelled
        + counts.rejected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fails_when_no_item_completed_and_one_failed() {
        let counts = |completed, failed, rejected| BatchCounts {
            completed,
            failed,
            rejected,
            ..BatchCounts::default()
        };
        assert!(completed_none(&counts(0, 1, 0)));
        assert!(completed_none(&counts(0, 1, 4)));
        assert!(!completed_none(&counts(1, 9, 0)));
        assert!(!completed_none(&counts(0, 0, 3)));
        assert!(!completed_none(&counts(0, 0, 0)));
    }
}
