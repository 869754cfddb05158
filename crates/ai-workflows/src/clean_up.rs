//! Removing what a run staged, without letting anybody wait for it.
//!
//! A run that has its answer owes two things: the answer to its caller, now, and an empty folder to the blob store, some
//! time. They are in each other's way only while no data-worker is there to remove anything. So a run tries for
//! [`policy::DISCARD_WITHIN`], which is ample where a worker is; what is not done by then it leaves to a
//! [`DiscardStagedWorkflow`](crate::DiscardStagedWorkflow), a child that its parent's end does not touch and that waits
//! for a worker for [`policy::DISCARD_LATER_WITHIN`]. A run that failed, was stopped or ran out of time does the same.
//!
//! A longer wait in the run would make every caller pay for the outage of a worker that they have no more use for. A
//! short one with nothing after it would leave documents behind for good, because the expiry rules of object stores go
//! by the beginning of a name and can't tell a run's `staged/` from the `results/` beside it. And a child for every run
//! would double the number of executions for the sake of the few that need one.
//!
//! What is left after that week stays in the store; the child's failure says so.

use workflow_types::{
    activities::DataDeclarations,
    failure::FailureCode,
    proto::{DiscardStagedInput, DiscardStagedOutput},
    workflows::DiscardStaged,
};

use crate::{failures::StepError, policy, steps::Steps};

/// Removes what the run staged, and its results too when nobody will be given a reference to them.
///
/// There is nothing that a caller could do about what stays, so that is only logged.
pub(crate) async fn discard<W>(run: &Steps<W>, results: bool) {
    let run = run.detached();
    let input = DiscardStagedInput {
        stage_prefix: run.scope.stage_prefix(),
        results,
    };
    let removed: Result<DiscardStagedOutput, StepError> = run
        .call(
            DataDeclarations::discard_staged,
            input.clone(),
            policy::DISCARD,
            Some(policy::DISCARD_WITHIN),
        )
        .await;
    let left = match removed {
        Ok(_) => return,
        Err(error) if is_a_matter_of_time(&error) => leave(&run, input).await,
        Err(error) => Err(error),
    };
    if let Err(error) = left
        && !run.ctx.is_replaying()
    {
        tracing::warn!(%error, "what the run staged stays in the blob store");
    }
}

async fn leave<W>(run: &Steps<W>, input: DiscardStagedInput) -> Result<(), StepError> {
    run.leave_to(
        DiscardStaged,
        input,
        run.scope.clean_up_id(),
        policy::DISCARD_LATER_RUN,
    )
    .await
}

/// Tells whether trying for longer can help: no worker came, or one came and could not yet.
fn is_a_matter_of_time(error: &StepError) -> bool {
    match error {
        StepError::Failed(failure) => {
            failure.code == FailureCode::DeadlineExceeded || failure.code.row().retryable
        }
        StepError::Cancelled => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::Failure;

    #[test]
    fn only_what_more_time_can_mend_is_left_for_later() {
        let later = |code| is_a_matter_of_time(&Failure::new(code, "it failed").into());
        assert!(later(FailureCode::DeadlineExceeded), "no worker came");
        assert!(later(FailureCode::Storage), "the store is away");
        assert!(!later(FailureCode::InvalidInput));
        assert!(!later(FailureCode::Internal));
        assert!(!is_a_matter_of_time(&StepError::Cancelled));
    }
}
