//! `DiscardStagedWorkflow`: removes what a run left behind because no worker was there to remove it.
//!
//! A run starts it when it can't wait any longer itself; nobody waits for this one, so it has a week. It removes below
//! one run's prefix and nowhere else: the activity refuses any other, whoever starts this.
#![expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "the SDK's macros generate items without documentation"
)]

use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{WorkflowContext, WorkflowContextView, WorkflowResult};
use workflow_types::{
    activities::DataDeclarations,
    problem::Problems,
    proto::{DiscardStagedInput, DiscardStagedOutput},
    wire::Wire,
};

use crate::{
    failures::{Failure, StepError, cancelled},
    policy,
    steps::Steps,
};

/// What a run left behind, removed after it.
#[workflow]
pub struct DiscardStagedWorkflow {
    input: Result<DiscardStagedInput, Problems>,
}

#[workflow_methods]
impl DiscardStagedWorkflow {
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: Wire<DiscardStagedInput>) -> Self {
        Self {
            input: input.into_message(),
        }
    }

    #[run(name = "DiscardStagedWorkflow")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Wire<DiscardStagedOutput>> {
        let input = ctx
            .state(|state| state.input.clone())
            .map_err(|found| Failure::from(found).terminate())?;
        let steps = Steps::new(ctx);
        let within = Some(policy::DISCARD_LATER_WITHIN);
        let removed = steps
            .call(DataDeclarations::discard_staged, input, policy::DISCARD, within)
            .await;
        removed.map(Wire::new).map_err(|error| match error {
            StepError::Failed(failure) => failure.terminate(),
            StepError::Cancelled => cancelled(steps.stop.reason()),
        })
    }
}
