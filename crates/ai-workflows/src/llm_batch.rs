//! `LlmBatchWorkflow`: a JSONL file of requests, each answered once.
//!
//! The file's text never comes here: a page of work is a list of positions, an item's result a receipt. What is carried
//! over continue-as-new is a position and sums, so a run's history is bounded whatever the size of the file.
#![expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the SDK's macros generate items without documentation"
)]

mod flow;
mod page;

use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
};
use workflow_types::{
    batch::BatchRequest,
    problem::Problems,
    proto::{
        BatchCounts, CancelRequest, LlmBatchInput, LlmBatchOutput, LlmBatchProgress, LlmBatchStatus, Stage,
        Usage,
    },
    wire::Wire,
};

use crate::{
    failures::{Failure, StepError, cancelled},
    signals::Signals,
    steps::{FAILED, Steps},
};

/// The value of the search attribute `AiPipeline`.
const KIND: &str = "llm-batch";

/// A JSONL file of requests, durable.
#[workflow]
pub struct LlmBatchWorkflow {
    input: LlmBatchInput,
    request: Result<BatchRequest, Problems>,
    progress: LlmBatchProgress,
    page: BatchCounts,
    page_usage: Usage,
    in_flight: i32,
    stage: Stage,
    signals: Signals,
}

#[workflow_methods]
impl LlmBatchWorkflow {
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: Wire<LlmBatchInput>) -> Self {
        let (input, request) = match input.into_message() {
            Ok(input) => (input.clone(), BatchRequest::parse(input)),
            Err(problems) => (LlmBatchInput::default(), Err(problems)),
        };
        let progress = input.progress.clone().unwrap_or_default();
        Self {
            input,
            request,
            signals: Signals::resumed(progress.rejected_signals.clone()),
            progress,
            page: BatchCounts::default(),
            page_usage: Usage::default(),
            in_flight: 0,
            stage: Stage::Unspecified,
        }
    }

    #[run(name = "LlmBatchWorkflow")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Wire<LlmBatchOutput>> {
        let steps = Steps::new(ctx);
        let request = ctx.state(|state| state.request.clone()).map_err(|found| {
            steps.show_refused(KIND);
            Failure::from(found).terminate()
        })?;
        ctx.state_mut(|state| state.signals.arm(steps.stop.clone()));
        let tenant = request.defaults.tenant.as_deref();
        let model = request
            .defaults
            .model
            .as_deref()
            .unwrap_or(workflow_types::request::DEFAULT_MODEL);
        steps.describe(KIND, tenant, model);
        match flow::execute(&steps, &request).await {
            Ok(flow::End::Done(output)) => Ok(Wire::new(output)),
            Ok(flow::End::NextRun) => {
                let next = ctx.state(|state| LlmBatchInput {
                    progress: Some(LlmBatchProgress {
                        rejected_signals: state.signals.rejected(),
                        ..state.progress.clone()
                    }),
                    ..state.input.clone()
                });
                match ctx.continue_as_new(Wire::new(next), ContinueAsNewOptions::default())? {}
            }
            Ok(flow::End::Cancelled(output)) => {
                steps.show_stage("cancelled");
                Err(WorkflowTermination::cancelled_with_details(Wire::new(output)))
            }
            Err(StepError::Failed(failure)) => {
                steps.show_stage(FAILED);
                Err(failure.terminate())
            }
            Err(StepError::Cancelled) => {
                steps.show_stage("cancelled");
                let by_signal = ctx.state(|state| state.signals.cancel_reason());
                Err(cancelled(by_signal.or_else(|| steps.stop.reason())))
            }
        }
    }

    #[signal(name = "cancel")]
    pub fn cancel(&mut self, _ctx: &mut SyncWorkflowContext<Self>, request: Wire<CancelRequest>) {
        self.signals.cancel(request);
    }

    #[query(name = "status")]
    pub fn status(&self, _ctx: &WorkflowContextView) -> Wire<LlmBatchStatus> {
        let mut counts = self.progress.counts.unwrap_or_default();
        page::add_counts(&mut counts, &self.page);
        Wire::new(LlmBatchStatus {
            stage: self.stage.into(),
            items_total: self.progress.file.as_ref().map_or(0, |file| file.items),
            items_done: page::total(&counts),
            counts: Some(counts),
            in_flight: self.in_flight,
            cancel_reason: self.signals.cancel_reason(),
            rejected_signals: self.signals.rejected(),
            replayed_calls: self.progress.replayed_calls,
        })
    }

    #[query(name = "usage")]
    pub fn usage(&self, _ctx: &WorkflowContextView) -> Wire<Usage> {
        let mut usage = self.progress.usage.unwrap_or_default();
        crate::usage::add(&mut usage, &self.page_usage);
        Wire::new(usage)
    }
}
