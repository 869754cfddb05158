//! `LlmPipelineWorkflow`: one request to a model.
//!
//! The macros of the SDK generate items without documentation, so this file holds the workflow's face only: its state,
//! what it answers and how it ends. What it does is in [`flow`].
#![expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the SDK's macros generate items without documentation"
)]

mod flow;

use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult};
use workflow_types::{
    problem::Problems,
    proto::{CancelRequest, LlmPipelineInput, LlmPipelineOutput, LlmPipelineStatus, Usage},
    request::PipelineRequest,
    wire::Wire,
};

use crate::{
    failures::{Failure, StepError, cancelled},
    saga::Saga,
    signals::Signals,
    steps::{FAILED, Steps},
    supervision,
};

/// The value of the search attribute `AiPipeline`.
const KIND: &str = "llm";

/// One request to a model, durable.
#[workflow]
pub struct LlmPipelineWorkflow {
    request: Result<PipelineRequest, Problems>,
    status: LlmPipelineStatus,
    usage: Usage,
    signals: Signals,
}

#[workflow_methods]
impl LlmPipelineWorkflow {
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: Wire<LlmPipelineInput>) -> Self {
        Self {
            request: input.into_message().and_then(PipelineRequest::parse),
            status: LlmPipelineStatus::default(),
            usage: Usage::default(),
            signals: Signals::default(),
        }
    }

    #[run(name = "LlmPipelineWorkflow")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Wire<LlmPipelineOutput>> {
        let steps = Steps::new(ctx);
        let request = ctx.state(|state| state.request.clone()).map_err(|found| {
            steps.show_refused(KIND);
            Failure::from(found).terminate()
        })?;
        ctx.state_mut(|state| state.signals.arm(steps.stop.clone()));
        steps.describe(KIND, request.tenant.as_deref(), &request.model.to_string());
        let mut saga = Saga::default();
        let deadline = request.deadline;
        let result = supervision::within(&steps, deadline, flow::execute(&steps, request, &mut saga)).await;
        let error = match result {
            Ok(output) => return Ok(Wire::new(output)),
            Err(error) => error,
        };
        flow::compensate(&steps, saga).await;
        match error {
            StepError::Failed(failure) => {
                steps.show_stage(FAILED);
                Err(failure.terminate())
            }
            StepError::Cancelled => {
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
    pub fn status(&self, _ctx: &WorkflowContextView) -> Wire<LlmPipelineStatus> {
        Wire::new(LlmPipelineStatus {
            cancel_reason: self.signals.cancel_reason(),
            rejected_signals: self.signals.rejected(),
            ..self.status.clone()
        })
    }

    #[query(name = "usage")]
    pub fn usage(&self, _ctx: &WorkflowContextView) -> Wire<Usage> {
        Wire::new(self.usage)
    }
}
