//! Names, and that what is declared is what is implemented.
//!
//! A client starts a workflow by a declaration in `workflow-types`, and a worker runs the code that the SDK's macros made
//! in `ai-workflows`. Nothing but these tests ties the two: the functions below don't compile when their payloads differ,
//! and fail when their names do.

use ai_workflows::{DiscardStagedWorkflow, LlmBatchWorkflow, LlmPipelineWorkflow};
use serde_json::json;
use temporalio_common::{
    ActivityDefinition, HasWorkflowDefinition, QueryDefinition, SignalDefinition, UpdateDefinition,
    WorkflowDefinition,
};
use workflow_types::{
    activities::{DataDeclarations, LlmDeclarations},
    failure::FailureCode,
    names::{self, AI_CONTRACT, DATA_CONTRACT, QueueContract, search_attribute},
    proto,
    wire::Wire,
    workflows::{
        BudgetRaised, Cancel, DiscardStaged, LlmBatch, LlmPipeline, RaiseBudgetUpdate, ReviewUpdate, Status,
        UsageQuery,
    },
};

use crate::snapshots;

#[test]
fn every_name_is_the_one_that_running_workflows_know() {
    let queue = |contract: &QueueContract| {
        json!({
            "queue": contract.queue,
            "workflows": contract.workflows,
            "activities": contract.activities,
        })
    };
    let names = json!({
        "queues": [queue(&AI_CONTRACT), queue(&DATA_CONTRACT)],
        "signals": [names::CANCEL, names::BUDGET_RAISED],
        "updates": [names::RAISE_BUDGET, names::REVIEW],
        "queries": [names::STATUS, names::USAGE],
        "searchAttributes": {
            "keyword": search_attribute::KEYWORDS,
            "int": search_attribute::INTS,
        },
        "failureCodes": FailureCode::ALL.map(FailureCode::as_str),
    });
    snapshots().bind(|| insta::assert_json_snapshot!("names", names));
}

/// Holds that two workflows have one name; their payloads are the same type or this doesn't compile.
fn same_workflow<A, B>(declared: &A, implemented: &B)
where
    A: WorkflowDefinition,
    B: WorkflowDefinition<Input = A::Input, Output = A::Output>,
{
    assert_eq!(declared.name(), implemented.name());
}

/// The same for a signal of the workflow `W`.
fn same_signal<W, A, B>(declared: &A, implemented: &B)
where
    W: HasWorkflowDefinition,
    A: SignalDefinition,
    B: SignalDefinition<Workflow = W::Run, Input = A::Input>,
{
    assert_eq!(declared.name(), implemented.name());
}

/// The same for a query of the workflow `W`.
fn same_query<W, A, B>(declared: &A, implemented: &B)
where
    W: HasWorkflowDefinition,
    A: QueryDefinition,
    B: QueryDefinition<Workflow = W::Run, Input = A::Input, Output = A::Output>,
{
    assert_eq!(declared.name(), implemented.name());
}

/// The same for an update of the workflow `W`.
fn same_update<W, A, B>(declared: &A, implemented: &B)
where
    W: HasWorkflowDefinition,
    A: UpdateDefinition,
    B: UpdateDefinition<Workflow = W::Run, Input = A::Input, Output = A::Output>,
{
    assert_eq!(declared.name(), implemented.name());
}

#[test]
fn the_pipeline_is_implemented_as_declared() {
    same_workflow(&LlmPipeline, &LlmPipelineWorkflow::run);
    assert_eq!(LlmPipelineWorkflow::name(), names::LLM_PIPELINE);
    same_signal::<LlmPipelineWorkflow, _, _>(&Cancel(LlmPipeline), &LlmPipelineWorkflow::cancel);
    same_signal::<LlmPipelineWorkflow, _, _>(&BudgetRaised, &LlmPipelineWorkflow::budget_raised);
    same_update::<LlmPipelineWorkflow, _, _>(
        &RaiseBudgetUpdate(LlmPipeline),
        &LlmPipelineWorkflow::raise_budget,
    );
    same_update::<LlmPipelineWorkflow, _, _>(&ReviewUpdate, &LlmPipelineWorkflow::review);
    same_query::<LlmPipelineWorkflow, _, _>(&Status(LlmPipeline), &LlmPipelineWorkflow::status);
    same_query::<LlmPipelineWorkflow, _, _>(&UsageQuery(LlmPipeline), &LlmPipelineWorkflow::usage);
}

#[test]
fn the_batch_is_implemented_as_declared() {
    same_workflow(&LlmBatch, &LlmBatchWorkflow::run);
    assert_eq!(LlmBatchWorkflow::name(), names::LLM_BATCH);
    same_signal::<LlmBatchWorkflow, _, _>(&Cancel(LlmBatch), &LlmBatchWorkflow::cancel);
    same_update::<LlmBatchWorkflow, _, _>(&RaiseBudgetUpdate(LlmBatch), &LlmBatchWorkflow::raise_budget);
    same_query::<LlmBatchWorkflow, _, _>(&Status(LlmBatch), &LlmBatchWorkflow::status);
    same_query::<LlmBatchWorkflow, _, _>(&UsageQuery(LlmBatch), &LlmBatchWorkflow::usage);
}

#[test]
fn what_removes_later_is_implemented_as_declared() {
    same_workflow(&DiscardStaged, &DiscardStagedWorkflow::run);
    assert_eq!(DiscardStagedWorkflow::name(), names::DISCARD_STAGED_LATER);
}

/// Gives an activity's name; its payloads are `I` and `O` or this doesn't compile.
fn name_of<I, O, A>(activity: &A) -> String
where
    A: ActivityDefinition<Input = Wire<I>, Output = Wire<O>>,
    Wire<I>: 'static,
    Wire<O>: 'static,
{
    activity.name().to_owned()
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_declared_activities_are_those_of_the_queues_contracts() {
    use proto::{
        BuildManifestInput, BuildManifestOutput, DiscardStagedInput, DiscardStagedOutput, GenerateTextInput,
        GenerateTextOutput, PreprocessDataInput, PreprocessDataOutput, ValidateDataInput, ValidateDataOutput,
        WriteResultsInput, WriteResultsOutput,
    };
    let generate = name_of::<GenerateTextInput, GenerateTextOutput, _>(&LlmDeclarations::generate_text);
    assert_eq!([generate], *sorted(AI_CONTRACT.activities));

    let mut data = vec![
        name_of::<ValidateDataInput, ValidateDataOutput, _>(&DataDeclarations::validate_data),
        name_of::<PreprocessDataInput, PreprocessDataOutput, _>(&DataDeclarations::preprocess_data),
        name_of::<BuildManifestInput, BuildManifestOutput, _>(&DataDeclarations::build_manifest),
        name_of::<WriteResultsInput, WriteResultsOutput, _>(&DataDeclarations::write_results),
        name_of::<DiscardStagedInput, DiscardStagedOutput, _>(&DataDeclarations::discard_staged),
    ];
    data.sort();
    assert_eq!(data, sorted(DATA_CONTRACT.activities));
}
