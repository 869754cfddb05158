//! One page of a batch: its items, a bounded number at once, each to a receipt.
//!
//! The rule for how an item runs is the manifest's: a small one is one activity that reads its own line, a large one or
//! one by reference is a child `LlmPipelineWorkflow`. An item's failure is its receipt and never the batch's failure.

use std::time::Duration;

use workflow_types::{
    batch::BatchRequest,
    proto::{
        BatchCounts, BatchLine, BuildManifestOutput, FailureDetails, GenerateTextOutput, ItemReceipt,
        LineRef, LlmPipelineInput, LlmPipelineOutput, ManifestItem, OnUnknown, Outcome, Problem, Usage,
        generate_text_input::Request, generate_text_output, llm_pipeline_output, manifest_item::Route,
    },
    workflows::LlmPipeline,
};

use super::flow::Run;
use crate::{
    failures::{Failure, StepError},
    inference::{self, Answer, Question, Reply},
    lanes,
    review::longest_review,
    usage,
};

/// What a child may take beyond its own deadline, to clean up.
const CHILD_MARGIN: Duration = Duration::from_mins(10);
const DEFAULT_ITEM_SECONDS: i32 = 3_600;

/// A page that was worked on.
pub(super) struct Worked {
    /// One receipt an item, in order.
    pub receipts: Vec<ItemReceipt>,
    /// Somebody stopped the batch meanwhile.
    pub stopped: bool,
}

/// Runs a page's items.
pub(super) async fn run(run: &Run, request: &BatchRequest, manifest: &BuildManifestOutput) -> Worked {
    let receipts = lanes::run(manifest.items.len(), request.window, |index| async move {
        let receipt = item(run, request, manifest, &manifest.items[index]).await;
        run.ctx.state_mut(|state| {
            count(&mut state.page, &receipt);
            usage::add(&mut state.page_usage, &receipt.usage.clone().unwrap_or_default());
        });
        receipt
    })
    .await;
    Worked {
        stopped: run.stop.is_cancelled(),
        receipts,
    }
}

async fn item(
    run: &Run,
    request: &BatchRequest,
    manifest: &BuildManifestOutput,
    item: &ManifestItem,
) -> ItemReceipt {
    if run.stop.is_cancelled() {
        return named(
            item,
            ItemReceipt {
                error: Some(cancelled_details()),
                ..ItemReceipt::default()
            },
        );
    }
    run.ctx.state_mut(|state| state.in_flight += 1);
    let result = match item.route.clone() {
        Some(Route::Line(line)) => line_item(run, request, manifest, item.index, line).await,
        Some(Route::Child(child)) => child_item(run, item.index, child).await,
        Some(Route::Invalid(details)) => Ok(invalid(details)),
        None => Ok(invalid(FailureDetails::default())),
    };
    run.ctx.state_mut(|state| state.in_flight -= 1);
    named(item, result.unwrap_or_else(failed))
}

async fn line_item(
    run: &Run,
    request: &BatchRequest,
    manifest: &BuildManifestOutput,
    index: i32,
    line: LineRef,
) -> Result<ItemReceipt, StepError> {
    let defaults = &request.defaults;
    let seconds = defaults.deadline_seconds.unwrap_or(DEFAULT_ITEM_SECONDS);
    let question = Question {
        step: format!("item/{index}"),
        request: Request::Line(BatchLine {
            line: Some(line),
            defaults: manifest.defaults.clone(),
            model: None,
        }),
        on_unknown: match defaults.on_unknown() {
            OnUnknown::Unspecified | OnUnknown::Repeat => OnUnknown::Repeat,
            OnUnknown::Fail => OnUnknown::Fail,
        },
        store: true,
        store_name: format!("staged/items/{index}.answer"),
        within: Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(1))),
        model: request.model.clone(),
        fallback: request.fallback.clone(),
        tenant: defaults.tenant.clone(),
        stream: None,
    };
    match inference::ask(run, question).await? {
        Reply::Answer(answer) => {
            run.ctx
                .state_mut(|state| state.progress.replayed_calls += answer.replayed);
            Ok(from_answer(*answer))
        }
        Reply::TooLong(too_long) => child_item(run, index, too_long.request.unwrap_or_default()).await,
    }
}

/// Runs an item as a workflow of its own, on the batch's budget.
async fn child_item(run: &Run, index: i32, child: LlmPipelineInput) -> Result<ItemReceipt, StepError> {
    let seconds = child.deadline_seconds.unwrap_or(DEFAULT_ITEM_SECONDS);
    let review = child.review.as_ref().map_or(Duration::ZERO, longest_review);
    let within = Duration::from_secs(u64::try_from(seconds).unwrap_or(1)) + review + CHILD_MARGIN;
    let workflow_id = format!("{}/item/{index}", run.ctx.workflow_id());
    let child = run.ctx.state_mut(|state| {
        state.children.insert(workflow_id.clone());
        LlmPipelineInput {
            budget: Some(state.spending.allowed.budget.into()),
            account: Some(state.spending.account.clone()),
            ..child
        }
    });
    let output: Result<LlmPipelineOutput, StepError> =
        run.child(LlmPipeline, child, workflow_id.clone(), within).await;
    run.ctx.state_mut(|state| state.children.remove(&workflow_id));
    output.map(from_output)
}

fn from_answer(answer: Answer) -> ItemReceipt {
    let GenerateTextOutput {
        outcome,
        answer: given,
        problems,
        ..
    } = answer.output;
    let blob = match given {
        Some(generate_text_output::Answer::Blob(blob)) => Some(blob),
        Some(generate_text_output::Answer::Text(_) | generate_text_output::Answer::Json(_)) | None => None,
    };
    receipt(outcome, blob, answer.usage, problems)
}

fn from_output(output: LlmPipelineOutput) -> ItemReceipt {
    let blob = match output.answer {
        Some(llm_pipeline_output::Answer::Blob(blob)) => Some(blob),
        Some(llm_pipeline_output::Answer::Text(_) | llm_pipeline_output::Answer::Json(_)) | None => None,
    };
    receipt(
        output.outcome,
        blob,
        output.usage.unwrap_or_default(),
        output.problems,
    )
}

fn receipt(
    outcome: i32,
    answer: Option<workflow_types::proto::BlobRef>,
    usage: Usage,
    problems: Vec<Problem>,
) -> ItemReceipt {
    let json = answer
        .as_ref()
        .is_some_and(|blob| blob.media_type.as_deref() == Some("application/json"));
    let error = (!problems.is_empty()).then(|| FailureDetails {
        problems,
        ..FailureDetails::default()
    });
    ItemReceipt {
        outcome,
        answer,
        json,
        usage: Some(usage),
        error,
        ..ItemReceipt::default()
    }
}

fn failed(error: StepError) -> ItemReceipt {
    match error {
        StepError::Cancelled => ItemReceipt {
            error: Some(cancelled_details()),
            ..ItemReceipt::default()
        },
        StepError::Failed(failure) => ItemReceipt {
            usage: Some(failure.usage.clone()),
            error: Some(failure.details()),
            message: Some(short(&failure)),
            ..ItemReceipt::default()
        },
    }
}

fn invalid(details: FailureDetails) -> ItemReceipt {
    let message = Some("the line can't be used".to_owned());
    ItemReceipt {
        error: Some(details),
        message,
        ..ItemReceipt::default()
    }
}

const CANCELLED: &str = "Cancelled";

fn cancelled_details() -> FailureDetails {
    FailureDetails {
        code: CANCELLED.to_owned(),
        ..FailureDetails::default()
    }
}

/// A receipt is carried in history twice, so what a failure says is kept short.
fn short(failure: &Failure) -> String {
    failure.message.chars().take(500).collect()
}

fn named(item: &ManifestItem, receipt: ItemReceipt) -> ItemReceipt {
    ItemReceipt {
        index: item.index,
        id: item.id.clone(),
        ..receipt
    }
}

fn count(counts: &mut BatchCounts, receipt: &ItemReceipt) {
    let slot = match receipt.outcome() {
        Outcome::Completed => &mut counts.completed,
        Outcome::Truncated => &mut counts.truncated,
        Outcome::SchemaMismatch => &mut counts.schema_mismatch,
        Outcome::ContentFiltered => &mut counts.content_filtered,
        Outcome::Rejected => &mut counts.rejected,
        Outcome::Unspecified => match &receipt.error {
            Some(details) if details.code == CANCELLED => &mut counts.cancelled,
            Some(_) | None => &mut counts.failed,
        },
    };
    *slot += 1;
}

/// Adds the counts of a page.
pub(super) fn add_counts(total: &mut BatchCounts, part: &BatchCounts) {
    total.completed += part.completed;
    total.truncated += part.truncated;
    total.schema_mismatch += part.schema_mismatch;
    total.content_filtered += part.content_filtered;
    total.failed += part.failed;
    total.cancelled += part.cancelled;
    total.rejected += part.rejected;
}

/// Gives how many items ended, in whatever way.
pub(super) fn total(counts: &BatchCounts) -> i32 {
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
    fn every_receipt_is_counted_once() {
        let mut counts = BatchCounts::default();
        for outcome in [
            Outcome::Completed,
            Outcome::Truncated,
            Outcome::SchemaMismatch,
            Outcome::ContentFiltered,
            Outcome::Rejected,
        ] {
            count(
                &mut counts,
                &receipt(outcome.into(), None, Usage::default(), Vec::new()),
            );
        }
        count(&mut counts, &failed(StepError::Cancelled));
        count(&mut counts, &invalid(FailureDetails::default()));
        let expected = BatchCounts {
            completed: 1,
            truncated: 1,
            schema_mismatch: 1,
            content_filtered: 1,
            failed: 1,
            cancelled: 1,
            rejected: 1,
        };
        assert_eq!(counts, expected);
        assert_eq!(total(&counts), 7);
    }
}
