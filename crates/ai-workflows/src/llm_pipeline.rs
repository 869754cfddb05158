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
mod prompts;

use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult};
use workflow_types::{
    names,
    problem::Problems,
    proto::{
        BudgetState, CancelRequest, LlmPipelineInput, LlmPipelineOutput, LlmPipelineStatus, RaiseBudget,
        ReviewDecision, ReviewReceipt, Usage,
    },
    request::PipelineRequest,
    wire::Wire,
};

use crate::{
    failures::{Failure, StepError, cancelled},
    review::{Desk, Reviewed},
    saga::Saga,
    signals::Signals,
    spending::{Spending, Spends},
    steps::{FAILED, Steps, unix_seconds},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The value of the search attribute `AiPipeline`.
const KIND: &str = "llm";

/// One request to a model, durable.
#[workflow]
pub struct LlmPipelineWorkflow {
    request: Result<PipelineRequest, Problems>,
    status: LlmPipelineStatus,
    usage: Usage,
    signals: Signals,
    spending: Spending,
    desk: Desk,
}

impl Spends for LlmPipelineWorkflow {
    fn spending(&self) -> &Spending {
        &self.spending
    }

    fn spending_mut(&mut self) -> &mut Spending {
        &mut self.spending
    }
}

impl Reviewed for LlmPipelineWorkflow {
    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn desk_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }
}

#[workflow_methods]
impl LlmPipelineWorkflow {
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: Wire<LlmPipelineInput>) -> Self {
        let request = input.into_message().and_then(PipelineRequest::parse);
        let mut spending = Spending::default();
        // Before the first update can come, which may be before the first step.
        if let Ok(request) = &request {
            spending.resume(Spending::asked(request.budget, request.deadline), Vec::new());
        }
        Self {
            request,
            status: LlmPipelineStatus::default(),
            usage: Usage::default(),
            signals: Signals::default(),
            spending,
            desk: Desk::default(),
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
        let account = request.account.clone().unwrap_or_else(|| steps.scope.account());
        ctx.state_mut(|state| state.spending.begin(account, steps.now()));
        let mut saga = Saga::default();
        let result = Box::pin(flow::run(&steps, request, &mut saga)).await;
        let usage = ctx.state(|state| state.usage.clone());
        steps.show_spend(&usage);
        let error = match result {
            Ok(output) => {
                steps.show_stage("done");
                return Ok(Wire::new(output));
            }
            Err(error) => error,
        };
        flow::compensate(&steps, saga).await;
        match error {
            StepError::Failed(failure) => {
                steps.show_stage(FAILED);
                Err(Failure { usage, ..*failure }.terminate())
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

    #[signal(name = "budgetRaised")]
    pub fn budget_raised(&mut self, _ctx: &mut SyncWorkflowContext<Self>, state: Wire<BudgetState>) {
        if let Err(problems) = self.spending.replace(state) {
            self.signals.reject(names::BUDGET_RAISED, problems);
        }
    }

    #[update_validator(raise_budget)]
    fn check_raise(&self, _ctx: &WorkflowContextView, raise: &Wire<RaiseBudget>) -> Result<(), BoxError> {
        if self
            .request
            .as_ref()
            .is_ok_and(|request| request.account.is_some())
        {
            return Err("the batch that this run belongs to pays for it; raise the batch's budget".into());
        }
        self.spending.check(raise).map(drop).map_err(Into::into)
    }

    #[update(name = "raiseBudget")]
    pub fn raise_budget(
        &mut self,
        ctx: &mut SyncWorkflowContext<Self>,
        raise: Wire<RaiseBudget>,
    ) -> Result<Wire<BudgetState>, BoxError> {
        let state = self.spending.raise(raise, unix_seconds(ctx.workflow_time()))?;
        Ok(Wire::new(state))
    }

    #[update_validator(review)]
    fn check_review(
        &self,
        _ctx: &WorkflowContextView,
        decision: &Wire<ReviewDecision>,
    ) -> Result<(), BoxError> {
        self.desk.check(decision).map_err(Into::into)
    }

    #[update(name = "review")]
    pub async fn review(
        ctx: &mut WorkflowContext<Self>,
        decision: Wire<ReviewDecision>,
    ) -> Result<Wire<ReviewReceipt>, BoxError> {
        let id = ctx.state_mut(|state| state.desk.offer(decision))?;
        ctx.wait_condition(|state| state.desk.receipt(&id).is_some())
            .await?;
        let receipt = ctx.state_mut(|state| {
            state.desk.answered();
            state.desk.receipt(&id)
        });
        Ok(Wire::new(receipt.unwrap_or_default()))
    }

    #[query(name = "status")]
    pub fn status(&self, _ctx: &WorkflowContextView) -> Wire<LlmPipelineStatus> {
        Wire::new(LlmPipelineStatus {
            cancel_reason: self.signals.cancel_reason(),
            rejected_signals: self.signals.rejected(),
            awaiting: self.desk.awaiting().or_else(|| self.spending.awaiting()),
            budget: Some(self.spending.allowed.into()),
            raises: self.spending.raises(),
            ..self.status.clone()
        })
    }

    #[query(name = "usage")]
    pub fn usage(&self, _ctx: &WorkflowContextView) -> Wire<Usage> {
        Wire::new(self.usage.clone())
    }
}
