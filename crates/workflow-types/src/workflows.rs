//! The workflows as a caller sees them: what starts, signals and asks them.
//!
//! A client needs the types without the code, so each workflow is declared here and implemented in `ai-workflows`; a
//! test over there holds the two against each other.

use temporalio_common::{HasWorkflowDefinition, QueryDefinition, SignalDefinition, WorkflowDefinition};

use crate::{
    names,
    proto::{
        CancelRequest, DiscardStagedInput, DiscardStagedOutput, LlmBatchInput, LlmBatchOutput,
        LlmBatchStatus, LlmPipelineInput, LlmPipelineOutput, LlmPipelineStatus, Usage,
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
