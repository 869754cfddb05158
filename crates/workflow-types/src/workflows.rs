//! The workflows as a caller sees them: what starts, signals and asks them.
//!
//! A client needs the types without the code, so each workflow is declared here and implemented in `ai-workflows`; a
//! test over there holds the two against each other.

use temporalio_common::{
    HasWorkflowDefinition, QueryDefinition, SignalDefinition, UpdateDefinition, WorkflowDefinition,
};

use crate::{
    names,
    proto::{
        BudgetState, CancelRequest, DiscardStagedInput, DiscardStagedOutput, LlmBatchInput, LlmBatchOutput,
        LlmBatchStatus, LlmPipelineInput, LlmPipelineOutput, LlmPipelineStatus, RaiseBudget, ReviewDecision,
        ReviewReceipt, Usage,
    },
    wire::Wire,
};

/// One request to a model.
#[derive(Debug, Clone, Copy)]
pub struct LlmPipeline;

/// A JSONL file of requests.
#[derive(Debug, Clone, Copy)]
pub struct LlmBatch;

/// What a run left behind, removed after it.
#[derive(Debug, Clone, Copy)]
pub struct DiscardStaged;

impl WorkflowDefinition for LlmPipeline {
    type Input = Wire<LlmPipelineInput>;
    type Output = Wire<LlmPipelineOutput>;

    fn name(&self) -> &str {
        names::LLM_PIPELINE
    }
}

impl HasWorkflowDefinition for LlmPipeline {
    type Run = Self;
}

impl WorkflowDefinition for LlmBatch {
    type Input = Wire<LlmBatchInput>;
    type Output = Wire<LlmBatchOutput>;

    fn name(&self) -> &str {
        names::LLM_BATCH
    }
}

impl HasWorkflowDefinition for LlmBatch {
    type Run = Self;
}

impl WorkflowDefinition for DiscardStaged {
    type Input = Wire<DiscardStagedInput>;
    type Output = Wire<DiscardStagedOutput>;

    fn name(&self) -> &str {
        names::DISCARD_STAGED_LATER
    }
}

impl HasWorkflowDefinition for DiscardStaged {
    type Run = Self;
}

/// The signal `cancel` of a workflow.
#[derive(Debug, Clone, Copy)]
pub struct Cancel<W>(pub W);

impl<W: WorkflowDefinition> SignalDefinition for Cancel<W> {
    type Workflow = W;
    type Input = Wire<CancelRequest>;

    fn name(&self) -> &str {
        names::CANCEL
    }
}

/// The query `status` of a workflow.
#[derive(Debug, Clone, Copy)]
pub struct Status<W>(pub W);

impl QueryDefinition for Status<LlmPipeline> {
    type Workflow = LlmPipeline;
    type Input = ();
    type Output = Wire<LlmPipelineStatus>;

    fn name(&self) -> &str {
        names::STATUS
    }
}

impl QueryDefinition for Status<LlmBatch> {
    type Workflow = LlmBatch;
    type Input = ();
    type Output = Wire<LlmBatchStatus>;

    fn name(&self) -> &str {
        names::STATUS
    }
}

/// The query `usage` of a workflow.
#[derive(Debug, Clone, Copy)]
pub struct UsageQuery<W>(pub W);

impl<W: WorkflowDefinition> QueryDefinition for UsageQuery<W> {
    type Workflow = W;
    type Input = ();
    type Output = Wire<Usage>;

    fn name(&self) -> &str {
        names::USAGE
    }
}

/// The update `raiseBudget` of a workflow.
#[derive(Debug, Clone, Copy)]
pub struct RaiseBudgetUpdate<W>(pub W);

impl<W: WorkflowDefinition> UpdateDefinition for RaiseBudgetUpdate<W> {
    type Workflow = W;
    type Input = Wire<RaiseBudget>;
    type Output = Wire<BudgetState>;

    fn name(&self) -> &str {
        names::RAISE_BUDGET
    }
}

/// The update `review` of a pipeline.
#[derive(Debug, Clone, Copy)]
pub struct ReviewUpdate;

impl UpdateDefinition for ReviewUpdate {
    type Workflow = LlmPipeline;
    type Input = Wire<ReviewDecision>;
    type Output = Wire<ReviewReceipt>;

    fn name(&self) -> &str {
        names::REVIEW
    }
}

/// The signal `budgetRaised`, by which a batch tells its items.
#[derive(Debug, Clone, Copy)]
pub struct BudgetRaised;

impl SignalDefinition for BudgetRaised {
    type Workflow = LlmPipeline;
    type Input = Wire<BudgetState>;

    fn name(&self) -> &str {
        names::BUDGET_RAISED
    }
}
