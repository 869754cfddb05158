//! What `LlmBatchWorkflow` does: check the file, work page by page, join the results.
//!
//! A batch that is stopped keeps what it has: the answers are paid for, so the page at work is written with what was
//! finished, and the results so far are joined and returned with the cancellation.

use workflow_types::{
    activities::DataDeclarations,
    batch::BatchRequest,
    failure::FailureCode,
    proto::{
        BatchCounts, BuildManifestInput, BuildManifestOutput, Content, DataKind, LlmBatchFile,
        LlmBatchOutput, ResultJoin, ResultPage, Stage, Usage, ValidateDataInput, ValidateDataOutput,
        WriteResultsInput, WriteResultsOutput, content, write_results_input::Work,
    },
};

use super::{LlmBatchWorkflow, page};
use crate::{
    clean_up,
    failures::{Failure, StepError},
    policy,
    steps::Steps,
    supervision, usage,
};

/// Above this many events a run hands over to the next, also when the server does not suggest it.
const HISTORY_LIMIT_EVENTS: u32 = 4_000;

pub(super) type Run = Steps<LlmBatchWorkflow>;

/// How a run ends.
pub(super) enum End {
    /// Every item ended.
    Done(LlmBatchOutput),
    /// The history is long enough; the next run goes on.
    NextRun,
    /// Somebody stopped it; what was finished is kept.
    Cancelled(LlmBatchOutput),
}

enum Paged {
    Done(LlmBatchOutput),
    NextRun,
}

/// Works on the file until it is done, stopped, or the history is long enough.
pub(super) async fn execute(run: &Run, request: &BatchRequest) -> Result<End, StepError> {
    match supervision::within(run, work(run, request)).await {
        Ok(Paged::NextRun) => Ok(End::NextRun),
        Ok(Paged::Done(output)) => Ok(End::Done(output)),
        Err(StepError::Cancelled) => {
            let mut output = conclude(run).await?;
            let items = run
                .ctx
                .state(|state| state.progress.file.as_ref().map_or(0, |file| file.items));
            if let Some(counts) = &mut output.counts {
                counts.cancelled += (items - page::total(counts)).max(0);
            }
            Ok(End::Cancelled(output))
        }
        Err(StepError::Failed(failure)) => {
            // What is still to do is bounded, and the failure is what the caller has to know.
            run.stop.cancel_with_reason("failed");
            let kept = conclude(run).await.ok().and_then(|output| output.results);
            Err(with_results(*failure, kept.map(|blob| blob.uri)).into())
        }
    }
}

async fn work(run: &Run, request: &BatchRequest) -> Result<Paged, StepError> {
    if run.ctx.state(|state| state.progress.file.is_none()) {
        enter(run, Stage::Validating);
        let file = check_file(run, request).await?;
        run.ctx.state_mut(|state| state.progress.file = Some(file));
    }
    enter(run, Stage::Inference);
    loop {
        let manifest = next_page(run, request).await?;
        if !manifest.items.is_empty() {
            let worked = page::run(run, request, &manifest).await;
            publish(run, &manifest, worked.receipts).await?;
            if worked.stopped {
                return Err(StepError::Cancelled);
            }
        }
        if manifest.end {
            return Ok(Paged::Done(conclude(run).await?));
        }
        if run.ctx.continue_as_new_suggested() || run.ctx.history_length() > HISTORY_LIMIT_EVENTS {
            return Ok(Paged::NextRun);
        }
    }
}

async fn check_file(run: &Run, request: &BatchRequest) -> Result<LlmBatchFile, StepError> {
    let content = Content {
        source: Some(content::Source::Blob(request.items.clone())),
    };
    let input = ValidateDataInput {
        content: Some(content),
        kind: DataKind::Jsonl.into(),
        schema: None,
    };
    let checked: ValidateDataOutput = run
        .call(DataDeclarations::validate_data, input, policy::DOCUMENTS, None)
        .await?;
    let file = match checked.content.and_then(|content| content.source) {
        Some(content::Source::Blob(blob)) => blob,
        Some(content::Source::Text(_)) | None => request.items.clone(),
    };
    Ok(LlmBatchFile {
        file: Some(file),
        items: checked.lines,
    })
}

async fn next_page(run: &Run, request: &BatchRequest) -> Result<BuildManifestOutput, StepError> {
    let input = run.ctx.state(|state| BuildManifestInput {
        file: state.progress.file.as_ref().and_then(|file| file.file.clone()),
        offset_bytes: state.progress.next_offset_bytes,
        first_index: state.progress.next_index,
        max_items: request.page_items,
        defaults: Some(request.defaults.clone()),
        stage_prefix: run.scope.stage_prefix(),
    });
    run.call(DataDeclarations::build_manifest, input, policy::DOCUMENTS, None)
        .await
}

/// Writes results. A run that was stopped still writes, because the answers are paid for, but not without end: a worker
/// that is away must not keep a stopped run open.
async fn write(run: &Run, input: WriteResultsInput) -> Result<WriteResultsOutput, StepError> {
    if !run.stop.is_cancelled() {
        let written = run
            .call(
                DataDeclarations::write_results,
                input.clone(),
                policy::DOCUMENTS,
                None,
            )
            .await;
        match written {
            Err(StepError::Cancelled) => {}
            Ok(_) | Err(StepError::Failed(_)) => return written,
        }
    }
    let within = Some(policy::KEEP_WITHIN);
    run.detached()
        .call(DataDeclarations::write_results, input, policy::KEEP, within)
        .await
}

/// Writes a page's results; from then on the page counts as done.
async fn publish(
    run: &Run,
    manifest: &BuildManifestOutput,
    receipts: Vec<workflow_types::proto::ItemReceipt>,
) -> Result<(), StepError> {
    let number = run.ctx.state(|state| state.progress.pages_done);
    let input = WriteResultsInput {
        stage_prefix: run.scope.stage_prefix(),
        work: Some(Work::Page(ResultPage { number, receipts })),
    };
    let _part = write(run, input).await?;
    let items = i32::try_from(manifest.items.len()).unwrap_or(i32::MAX);
    let spent = run.ctx.state_mut(|state| {
        let progress = &mut state.progress;
        progress.pages_done += 1;
        progress.next_index += items;
        progress.next_offset_bytes = manifest.next_offset_bytes;
        page::add_counts(progress.counts.get_or_insert_default(), &state.page);
        usage::add(progress.usage.get_or_insert_default(), &state.page_usage);
        let spent = state.page_usage.cost_micros + state.page_usage.unknown_cost_micros;
        state.page = BatchCounts::default();
        state.page_usage = Usage::default();
        (spent > 0.0).then(|| progress.usage.clone().unwrap_or_default())
    });
    if let Some(usage) = spent {
        run.show_spend(&usage);
    }
    Ok(())
}

/// Joins the pages into one file and removes what was staged for them.
async fn conclude(run: &Run) -> Result<LlmBatchOutput, StepError> {
    enter(run, Stage::Publishing);
    let pages = run.ctx.state(|state| state.progress.pages_done);
    let input = WriteResultsInput {
        stage_prefix: run.scope.stage_prefix(),
        work: Some(Work::Join(ResultJoin { pages })),
    };
    let joined = write(run, input).await?;
    clean_up::discard(run, false).await;
    enter(run, Stage::Done);
    Ok(run.ctx.state(|state| LlmBatchOutput {
        results: joined.file,
        counts: Some(state.progress.counts.unwrap_or_default()),
        usage: Some(state.progress.usage.clone().unwrap_or_default()),
    }))
}

fn with_results(mut failure: Failure, uri: Option<String>) -> Failure {
    if let Some(uri) = uri {
        failure.message = format!("{}; the results so far are in {uri}", failure.message);
    }
    if failure.code == FailureCode::DeadlineExceeded {
        failure.message = format!("{}; start it again with a longer deadline", failure.message);
    }
    failure
}

fn enter(run: &Run, stage: Stage) {
    if run.ctx.state(|state| state.stage) != stage {
        run.ctx.state_mut(|state| state.stage = stage);
        run.show_stage(
            stage
                .as_str_name()
                .trim_start_matches("STAGE_")
                .to_lowercase()
                .as_str(),
        );
    }
}
