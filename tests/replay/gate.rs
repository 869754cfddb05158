//! The gate, and the proof that it can close.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "Temporal has sixty kinds of events and these rules are about a few"
)]

use std::{collections::BTreeSet, fs, mem, path::Path};

use ai_workflows::{DiscardStagedWorkflow, LlmBatchWorkflow, LlmPipelineWorkflow};
use temporalio_client::WorkflowHistory;
use temporalio_common::protos::temporal::api::history::v1::{
    History, HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes,
};
use temporalio_sdk::workflow_replayer::{
    WorkflowReplayError, WorkflowReplayFailure, WorkflowReplayer, WorkflowReplayerOptions,
};
use workflow_types::names::{AI_CONTRACT, DATA_CONTRACT, DISCARD_STAGED_LATER};

use crate::payloads;

/// Where recorded runs are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/histories");

/// A recorded run.
pub(crate) struct Recorded {
    /// What it shows: the name of its file without the ending.
    pub(crate) name: String,
    /// Its events.
    pub(crate) history: History,
}

/// Reads every recorded run.
pub(crate) fn recorded() -> Vec<Recorded> {
    let mut files: Vec<_> = fs::read_dir(FOLDER)
        .unwrap_or_else(|error| panic!("{FOLDER} can't be read ({error}); record runs into it, see above"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "{FOLDER} has no recorded run; see above how to record one"
    );
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Recorded {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let history: History = serde_json::from_slice(&fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{name} was not written by `pipelinectl history export`: {error}"));
    assert!(
        history.events.len() > 3,
        "{name} has hardly an event; record a run that has ended"
    );
    Recorded { name, history }
}

/// Gives how a run started.
pub(crate) fn started(history: &History) -> &WorkflowExecutionStartedEventAttributes {
    match history.events.first().and_then(|event| event.attributes.as_ref()) {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => started,
        other => panic!("a history begins with the start of a run, not with {other:?}"),
    }
}

/// Gives the type of a run's workflow.
pub(crate) fn workflow_type(history: &History) -> &str {
    &started(history).workflow_type.as_ref().unwrap().name
}

async fn replay(history: History) -> Result<(), WorkflowReplayError> {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<LlmPipelineWorkflow>()
        .unwrap()
        .register_workflow::<LlmBatchWorkflow>()
        .unwrap()
        .register_workflow::<DiscardStagedWorkflow>()
        .unwrap()
        .build();
    WorkflowReplayer::new(options)?
        .replay_workflow(WorkflowHistory::from(history))
        .await
}

#[tokio::test]
async fn every_recorded_run_takes_the_same_decisions_today() {
    let mut differing = Vec::new();
    for run in recorded() {
        if let Err(error) = replay(run.history).await {
            differing.push(format!("{}: {error}", run.name));
        }
    }
    assert!(
        differing.is_empty(),
        "\n  {}\nwhat to do: put the change behind a patch marker and record a run of the new behaviour beside the old",
        differing.join("\n  ")
    );
}

#[test]
fn every_workflow_has_a_recorded_run() {
    let runs = recorded();
    let shown: BTreeSet<&str> = runs.iter().map(|run| workflow_type(&run.history)).collect();
    let listed: BTreeSet<&str> = [AI_CONTRACT, DATA_CONTRACT]
        .iter()
        .flat_map(|contract| contract.workflows)
        .copied()
        .collect();
    assert_eq!(
        shown, listed,
        "workflows with a recorded run (left) and all workflows (right)"
    );
}

/// Makes a run that asked for another activity than it did; gives nothing when it asked for none.
fn with_another_activity(mut history: History) -> Option<History> {
    let scheduled = history
        .events
        .iter_mut()
        .find_map(|event| match &mut event.attributes {
            Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) => Some(scheduled),
            _ => None,
        })?;
    scheduled.activity_type.as_mut()?.name = "anotherActivity".to_owned();
    Some(history)
}

/// Makes a run that asked for an activity before what it really asked for first.
fn in_another_order(mut history: History) -> Option<History> {
    let pair = history
        .events
        .windows(2)
        .position(|pair| is_another_command(&pair[0]) && is_activity(&pair[1]))?;
    let (above, below) = history.events.split_at_mut(pair + 1);
    let (first, second) = (&mut above[pair], &mut below[0]);
    mem::swap(&mut first.event_type, &mut second.event_type);
    mem::swap(&mut first.attributes, &mut second.attributes);
    Some(history)
}

fn is_activity(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(Attributes::ActivityTaskScheduledEventAttributes(_))
    )
}

fn is_another_command(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(
            Attributes::UpsertWorkflowSearchAttributesEventAttributes(_)
                | Attributes::TimerStartedEventAttributes(_)
                | Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_)
        )
    )
}

/// Holds that a changed copy of at least one recorded run of every workflow is told from the run, but for a workflow
/// that can't be changed so.
async fn is_told_apart(change: fn(History) -> Option<History>, but: &[&str]) {
    let mut noticed = BTreeSet::new();
    for run in recorded() {
        let kind = workflow_type(&run.history).to_owned();
        let Some(changed) = change(run.history) else {
            continue;
        };
        match replay(changed).await {
            Err(WorkflowReplayError::Replay(WorkflowReplayFailure::Nondeterminism { .. })) => {
                noticed.insert(kind);
            }
            other => panic!(
                "{}: the changed run passed for the recorded one: {other:?}",
                run.name
            ),
        }
    }
    let listed: BTreeSet<String> = AI_CONTRACT
        .workflows
        .iter()
        .filter(|name| !but.contains(name))
        .map(|&name| name.to_owned())
        .collect();
    assert_eq!(noticed, listed);
}

#[tokio::test]
async fn a_run_with_another_activity_is_told_from_the_recorded_one() {
    is_told_apart(with_another_activity, &[]).await;
}

#[tokio::test]
async fn a_run_in_another_order_is_told_from_the_recorded_one() {
    // What removes later asks for one thing, which has no order.
    is_told_apart(in_another_order, &[DISCARD_STAGED_LATER]).await;
}

#[test]
fn today_s_types_read_every_payload_of_every_recorded_run() {
    let mut unread = Vec::new();
    for run in recorded() {
        let found = payloads::read(&run.history);
        assert!(
            found.tried > 1,
            "{}: only {} payloads were found",
            run.name,
            found.tried
        );
        unread.extend(found.unread.iter().map(|what| format!("{}: {what}", run.name)));
    }
    assert!(
        unread.is_empty(),
        "\n  {}\nwhat to do: contracts only grow; bring the field or name back",
        unread.join("\n  ")
    );
}

/// Makes a run whose start has a field that no contract has.
fn with_an_unknown_field(mut history: History) -> Option<History> {
    match history.events.first_mut()?.attributes.as_mut()? {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => {
            started.input.as_mut()?.payloads.first_mut()?.data = br#"{"noSuchField": 1}"#.to_vec();
            Some(history)
        }
        _ => None,
    }
}

#[test]
fn a_payload_that_today_s_types_lost_is_found() {
    for run in recorded() {
        let lost = payloads::read(&with_an_unknown_field(run.history.clone()).unwrap());
        assert_eq!(lost.unread.len(), 1, "{}: {:?}", run.name, lost.unread);
        assert!(lost.unread[0].contains("noSuchField"), "{:?}", lost.unread);
        let Some(renamed) = with_another_activity(run.history) else {
            continue;
        };
        assert!(!payloads::read(&renamed).unread.is_empty(), "{}", run.name);
    }
}
