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

use std::collections::BTreeSet;

use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, SignalWorkflowOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination, join_all,
};
use workflow_types::{
    batch::BatchRequest,
    problem::Problems,
    proto::{
        BatchCounts, BudgetState, CancelRequest, LlmBatchInput, LlmBatchOutput, LlmBatchProgress,
        LlmBatchStatus, RaiseBudget, Stage, Usage,
    },
    request::Allowed,
    wire::Wire,
    workflows::BudgetRaised,
};

use crate::{
    failures::{Failure, StepError, cancelled},
    signals::Signals,
    spending::{Spending, Spends},
    steps::{FAILED, Steps, unix_seconds},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    spending: Spending,
    /// The children at work, who have to be told of a raise.
    children: BTreeSet<String>,
}

impl Spends for LlmBatchWorkflow {
    fn spending(&self) -> &Spending {
        &self.spending
    }

    fn spending_mut(&mut self) -> &mut Spending {
        &mut self.spending
    }
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
        let mut spending = Spending::default();
        // Before the first update can come, which may be before the first step.
        if let Ok(request) = &request {
            let asked = Spending::asked(request.budget, request.deadline);
            spending.resume(carried(asked, &progress), progress.raises.clone());
        }
        Self {
            input,
            request,
            signals: Signals::resumed(progress.rejected_signals.clone()),
            progress,
            page: BatchCounts::default(),
            page_usage: Usage::default(),
            in_flight: 0,
            stage: Stage::Unspecified,
            spending,
            children: BTreeSet::new(),
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
        ctx.state_mut(|state| {
            let begun = state.progress.started_unix_seconds;
            let started = if begun > 0.0 { begun } else { steps.now() };
            state.progress.started_unix_seconds = started;
            state.spending.begin(steps.scope.account(), started);
        });
        match flow::execute(&steps, &request).await {
            Ok(flow::End::Done(output)) => Ok(Wire::new(output)),
            Ok(flow::End::NextRun) => {
                let next = ctx.state(|state| LlmBatchInput {
                    progress: Some(LlmBatchProgress {
                        rejected_signals: state.signals.rejected(),
                        budget: Some(state.spending.allowed.into()),
                        raises: state.spending.raises(),
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
                let usage = ctx.state(Self::used);
                Err(Failure { usage, ..*failure }.terminate())
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

    #[update_validator(raise_budget)]
    fn check_raise(&self, _ctx: &WorkflowContextView, raise: &Wire<RaiseBudget>) -> Result<(), BoxError> {
        self.spending.check(raise).map(drop).map_err(Into::into)
    }

    #[update(name = "raiseBudget")]
    pub async fn raise_budget(
        ctx: &mut WorkflowContext<Self>,
        raise: Wire<RaiseBudget>,
    ) -> Result<Wire<BudgetState>, BoxError> {
        let now = unix_seconds(ctx.workflow_time());
        let raised = ctx.state_mut(|state| state.spending.raise(raise, now))?;
        let children = ctx.state(|state| state.children.clone());
        let told = children.into_iter().map(|child| {
            let child = ctx.external_workflow(child, None);
            async move {
                let options = SignalWorkflowOptions::default();
                child.signal(BudgetRaised, Wire::new(raised), options).await
            }
        });
        // One that has ended meanwhile needs no raise.
        let _ended = join_all(told).await;
        Ok(Wire::new(raised))
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
            awaiting: self.spending.awaiting(),
            budget: Some(self.spending.allowed.into()),
            raises: self.spending.raises(),
        })
    }

    #[query(name = "usage")]
    pub fn usage(&self, _ctx: &WorkflowContextView) -> Wire<Usage> {
        Wire::new(self.used())
    }
}

impl LlmBatchWorkflow {
    fn used(&self) -> Usage {
        let mut usage = self.progress.usage.clone().unwrap_or_default();
        crate::usage::add(&mut usage, &self.page_usage);
        usage
    }
}

/// Gives what is allowed: what the request asks, or what an earlier run was given since.
fn carried(asked: Allowed, progress: &LlmBatchProgress) -> Allowed {
    let Some(state) = &progress.budget else {
        return asked;
    };
    let deadline_seconds = state.deadline_seconds.max(asked.deadline_seconds);
    asked.replaced(state).map_or(asked, |allowed| Allowed {
        deadline_seconds,
        ..allowed
    })
}
