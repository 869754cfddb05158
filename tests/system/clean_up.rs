//! What runs leave behind: nothing, and nobody waits for it.

use std::time::Duration;

use chaos_provider::{Options, Provider, Reply, Rule, Script};
use serde_json::json;
use temporalio_client::{
    UntypedWorkflow, WorkflowExecutionInfo, WorkflowFetchHistoryOptions, WorkflowHandle,
};
use temporalio_common::protos::temporal::api::history::v1::{HistoryEvent, history_event::Attributes};
use testkit::{Rig, prompt, within};
use tokio::time::timeout;
use workflow_types::{
    names,
    proto::{DiscardStagedOutput, LlmPipelineInput, Placement},
    wire,
};

use crate::stack::{Plan, SCRIPTED, Stack};

/// What a caller may have to wait beyond the answer: well below the patience of any clean-up that would be waited for.
const PROMPTLY: Duration = Duration::from_secs(45);

async fn history(rig: &Rig, workflow_id: &str) -> anyhow::Result<Vec<HistoryEvent>> {
    let handle: WorkflowHandle<_, UntypedWorkflow> = WorkflowExecutionInfo::builder()
        .namespace(rig.client.namespace().to_owned())
        .workflow_id(workflow_id)
        .build()
        .bind_untyped(rig.client.sdk().clone());
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    Ok(history.into_events().await?)
}

/// Gives what a run of the workflow that removes later has removed, once it has ended.
fn removed(events: &[HistoryEvent]) -> Option<DiscardStagedOutput> {
    let Some(Attributes::WorkflowExecutionCompletedEventAttributes(end)) = &events.last()?.attributes else {
        return None;
    };
    wire::parse_json(&end.result.as_ref()?.payloads[0].data).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_does_not_wait_for_a_data_worker_that_is_away_and_what_was_staged_goes_when_it_is_back() {
    let script = Script::new([Rule::always(Reply::text("the answer").behind("answer"))]);
    let rig = Rig::start(script).await.unwrap();
    let _ai_worker = rig.ai_worker().await.unwrap();
    let mut data_worker = rig.data_worker().await.unwrap();
    let input = LlmPipelineInput {
        placement: Some(Placement::DataWorker.into()),
        ..prompt("staged")
    };
    let run = rig.run("staged", input).await.unwrap();
    assert_eq!(rig.provider.wait_for(1).await.len(), 1, "its chunk is staged");
    data_worker.kill().unwrap();
    rig.provider.open_gate("answer");

    let output = timeout(PROMPTLY, run.result()).await;
    output.expect("the answer comes without the data-worker").unwrap();
    let first_run = first_run_id(&history(&rig, "staged").await.unwrap());
    let later = format!("staged/clean-up/{first_run}");
    let events = history(&rig, &later).await.unwrap();
    assert_eq!(removed(&events), None, "it waits for a worker: {events:#?}");

    let _data_worker = rig.data_worker().await.unwrap();
    within(Duration::from_mins(1), "what was staged is removed", async || {
        Ok(removed(&history(&rig, &later).await?).is_some())
    })
    .await
    .unwrap();
    let output = removed(&history(&rig, &later).await.unwrap()).unwrap();
    assert_eq!(output.objects, 1, "the chunk");
}

fn first_run_id(events: &[HistoryEvent]) -> String {
    match &events[0].attributes {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
            started.first_execution_run_id.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_goes_when_the_call_that_was_to_repair_it_fails() {
    let wrong = json!({"n": "x".repeat(70 * 1024)}).to_string();
    let script = Script::new([
        Rule::once(Reply::text(wrong)),
        Rule::always(Reply::new(chaos_provider::Behaviour::refused(401))),
    ]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::start(&Plan {
        provider: Some(provider.base_url()),
        context_window: Some(200_000),
        ..Plan::default()
    });
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let schema = stack.write("schema.json", &schema.to_string());
    let said = stack
        .ctl(&[
            "llm", "run", "One.", "--model", SCRIPTED, "--schema", &schema, "--id", "large", "--output",
            "json",
        ])
        .await;
    assert_eq!(said.error()["code"], "Auth", "{said:?}");
    assert_eq!(provider.requests().len(), 2, "the second was the repair");
    assert_eq!(
        stack.activities("large").await,
        [names::GENERATE_TEXT, names::GENERATE_TEXT, names::DISCARD_STAGED]
    );
    assert_eq!(stack.blobs("large"), [""; 0]);
}
