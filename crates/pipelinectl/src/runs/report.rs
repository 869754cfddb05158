//! A result for whoever asked: the answer itself on standard output, what is to be said about it on standard error.
//!
//! A truncated answer or one that does not match its schema is a result and not a failure, because somebody paid for
//! it; a person is told, and a script says `--strict` if it can't use it.

use std::{fs, path::Path};

use temporal_client::outcome;
use tokio::io::AsyncWriteExt as _;
use workflow_types::{
    json,
    proto::{BatchCounts, BlobRef, LlmBatchOutput, LlmPipelineOutput, Outcome, llm_pipeline_output::Answer},
};

use crate::{exit::Exit, failure::Failure, llm::open_store, output, session::Session};

use super::{
    follow::{Output, Watching},
    tables,
};

/// The largest answer that is printed rather than written to a file, in bytes.
const PRINT_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Prints what a run gave.
pub(super) async fn print(
    output: &Output,
    watching: &Watching<'_>,
    session: &Session,
) -> Result<Exit, Failure> {
    match output {
        Output::Pipeline(output) => pipeline(output, watching, session).await,
        Output::Batch(output) => batch(output, watching, session).await,
    }
}

/// Saves what a cancelled batch had finished; it is no result, so nothing here can fail the command.
pub(super) async fn leftovers(error: &outcome::Error, watching: &Watching<'_>, session: &Session) {
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
    session.printer.remark(&format!(
        "items that ended before: {}; results: {}",
        tables::counts(&counts),
        results.uri
    ));
    if let Some(path) = &watching.print.out
        && let Err(failure) = download(results, path, watching, session).await
    {
        session.printer.remark(&format!("warning: {}", failure.message));
    }
}

async fn pipeline(
    output: &LlmPipelineOutput,
    watching: &Watching<'_>,
    session: &Session,
) -> Result<Exit, Failure> {
    let printer = session.printer;
    for step in &output.steps {
        printer.detail(&format!("{:>10.1} ms  {}", step.milliseconds, step.step));
    }
    printer.detail(&tables::pipeline_facts(output));
    if let Some(path) = &watching.print.out {
        save(output, path, watching, session).await?;
    }
    if printer.is_json() {
        output::json(output)?;
    } else if watching.print.out.is_none() {
        output::answer(&answer(output, watching, session).await?)?;
    }
    let Some(remark) = incomplete(output) else {
        return Ok(Exit::Success);
    };
    if watching.print.strict {
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

async fn batch(output: &LlmBatchOutput, watching: &Watching<'_>, session: &Session) -> Result<Exit, Failure> {
    let counts = output.counts.unwrap_or_default();
    if let (Some(path), Some(results)) = (&watching.print.out, &output.results) {
        download(results, path, watching, session).await?;
    }
    session.printer.either(output, tables::batch)?;
    let total = total(&counts);
    if watching.print.strict && counts.completed != total {
        return Err(Failure::incomplete(format!(
            "{} of {total} items have no complete answer",
            total - counts.completed
        )));
    }
    Ok(Exit::Success)
}

async fn answer(
    output: &LlmPipelineOutput,
    watching: &Watching<'_>,
    session: &Session,
) -> Result<String, Failure> {
    match &output.answer {
        None => Ok(String::new()),
        Some(Answer::Text(text)) => Ok(text.clone()),
        Some(Answer::Json(value)) => serde_json::to_string_pretty(&json::from_value(value))
            .map_err(|error| Failure::internal(format!("the answer cannot be written as JSON: {error}"))),
        Some(Answer::Blob(blob)) => {
            let store = open_store(&watching.print.store, watching.client, session)?;
            let bytes = store.get(blob, PRINT_LIMIT_BYTES).await?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

async fn save(
    output: &LlmPipelineOutput,
    path: &Path,
    watching: &Watching<'_>,
    session: &Session,
) -> Result<(), Failure> {
    if let Some(Answer::Blob(blob)) = &output.answer {
        return download(blob, path, watching, session).await;
    }
    let text = answer(output, watching, session).await?;
    fs::write(path, text).map_err(|error| Failure::file("write", path, &error))?;
    session.printer.remark(&format!("wrote {}", path.display()));
    Ok(())
}

async fn download(
    blob: &BlobRef,
    path: &Path,
    watching: &Watching<'_>,
    session: &Session,
) -> Result<(), Failure> {
    let store = open_store(&watching.print.store, watching.client, session)?;
    let failed = |error| Failure::file("write", path, &error);
    let mut reader = store.read(blob).await?;
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    while let Some(piece) = reader.next().await? {
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    session.printer.remark(&format!("wrote {}", path.display()));
    Ok(())
}

fn incomplete(output: &LlmPipelineOutput) -> Option<&'static str> {
    match output.outcome() {
        Outcome::Completed | Outcome::Unspecified => None,
        Outcome::Truncated => Some("the answer ends at the token limit; --max-output-tokens raises it"),
        Outcome::SchemaMismatch => Some("the answer is not in the form that was asked for"),
        Outcome::ContentFiltered => Some("the provider withheld the answer"),
    }
}

fn total(counts: &BatchCounts) -> i32 {
    counts.completed
        + counts.truncated
        + counts.schema_mismatch
        + counts.content_filtered
        + counts.failed
        + counts.cancelled
}
