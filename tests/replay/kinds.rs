//! The runs that there have to be, and that each shows what its name says.
//!
//! A replay holds for the ways through a workflow that were recorded and for no other, so a file that is missing takes
//! a way out of the gate without a word, and one that was recorded when something else happened does too. `make
//! histories` writes all of them.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "Temporal has sixty kinds of events and these rules are about a few"
)]

use std::collections::BTreeSet;

use temporalio_common::protos::temporal::api::{
    enums::v1::ParentClosePolicy,
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::{History, history_event::Attributes},
};
use workflow_types::{
    failure::FailureCode,
    names,
    proto::{LlmPipelineOutput, ReviewVerdict, llm_pipeline_output},
    wire,
};

use crate::gate::{Recorded, recorded, started, workflow_type};

/// A file's name, and whether a run is what belongs into it.
type Kind = (&'static str, fn(&History) -> bool);

/// Every run that has to be there, but for those of the chain below.
const KINDS: &[Kind] = &[
    ("discard-staged", |run| {
        completed(run) && scheduled(run) == [names::DISCARD_STAGED]
    }),
    ("llm-batch-cancelled", |run| {
        cancelled(run) && ends_with_discarding(run)
    }),
    ("llm-batch-refused", |run| {
        failed_with(run, FailureCode::InvalidInput) && scheduled(run).is_empty() && shows_its_stage(run)
    }),
    ("llm-batch-with-child", |run| {
        completed(run) && child(run) == Some(names::LLM_PIPELINE)
    }),
    ("llm-pipeline-cancelled", |run| {
        cancelled(run) && ends_with_discarding(run)
    }),
    ("llm-pipeline-child", |run| {
        completed(run) && started(run).parent_workflow_execution.is_some()
    }),
    ("llm-pipeline-chunks", |run| {
        calls(run) > 2 && answered(run).is_some_and(|output| output.chunks > 1)
    }),
    ("llm-pipeline-deadline", |run| {
        failed_with(run, FailureCode::DeadlineExceeded) && timed(run) && ends_with_discarding(run)
    }),
    ("llm-pipeline-edited", |run| {
        updated(run) == [names::REVIEW] && reviewed(run) == Some(ReviewVerdict::Edit)
    }),
    ("llm-pipeline-fallback", |run| {
        calls(run) == 2 && answered(run).is_some_and(|output| output.route_trace.len() == 1)
    }),
    ("llm-pipeline-inline", |run| {
        scheduled(run) == [names::GENERATE_TEXT] && answered(run).is_some()
    }),
    ("llm-pipeline-json", |run| {
        let answer = answered(run).and_then(|output| output.answer);
        matches!(answer, Some(llm_pipeline_output::Answer::Json(_)))
    }),
    ("llm-pipeline-left-behind", |run| {
        answered(run).is_some() && leaves_its_clean_up(run)
    }),
    ("llm-pipeline-no-model", |run| {
        failed_with(run, FailureCode::ModelGone) && ends_with_discarding(run)
    }),
    ("llm-pipeline-parked", |run| {
        updated(run) == [names::RAISE_BUDGET] && calls(run) == 2 && answered(run).is_some()
    }),
    ("llm-pipeline-provider-error", |run| {
        failed_with(run, FailureCode::Auth) && calls(run) == 1 && ends_with_discarding(run)
    }),
    ("llm-pipeline-refused", |run| {
        failed_with(run, FailureCode::InvalidInput) && scheduled(run).is_empty() && shows_its_stage(run)
    }),
    ("llm-pipeline-rejected", |run| {
        ends_with_discarding(run) && reviewed(run) == Some(ReviewVerdict::Reject)
    }),
    ("llm-pipeline-repaired", |run| {
        calls(run) == 2 && answered(run).is_some_and(|output| output.repairs == 1)
    }),
    ("llm-pipeline-retry-after", |run| {
        retried_after(run, FailureCode::RateLimited) && answered(run).is_some()
    }),
];

/// How the files of a batch that continued as new begin; its runs are numbered from 1.
const CHAIN: &str = "llm-batch-continued-";

fn attributes(run: &History) -> impl Iterator<Item = &Attributes> {
    run.events.iter().filter_map(|event| event.attributes.as_ref())
}

fn last(run: &History) -> &Attributes {
    attributes(run).last().unwrap()
}

/// Gives the activities that a run asked for, in order.
fn scheduled(run: &History) -> Vec<&str> {
    attributes(run)
        .filter_map(|attributes| match attributes {
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                Some(scheduled.activity_type.as_ref()?.name.as_str())
            }
            _ => None,
        })
        .collect()
}

fn calls(run: &History) -> usize {
    scheduled(run)
        .iter()
        .filter(|name| **name == names::GENERATE_TEXT)
        .count()
}

fn ends_with_discarding(run: &History) -> bool {
    scheduled(run).last() == Some(&names::DISCARD_STAGED)
}

fn completed(run: &History) -> bool {
    matches!(
        last(run),
        Attributes::WorkflowExecutionCompletedEventAttributes(_)
    )
}

fn cancelled(run: &History) -> bool {
    matches!(last(run), Attributes::WorkflowExecutionCanceledEventAttributes(_))
}

/// Gives what a pipeline came to.
fn answered(run: &History) -> Option<LlmPipelineOutput> {
    match last(run) {
        Attributes::WorkflowExecutionCompletedEventAttributes(end) => {
            wire::parse_json(&end.result.as_ref()?.payloads.first()?.data).ok()
        }
        _ => None,
    }
}

/// Gives what a person decided about the answer.
fn reviewed(run: &History) -> Option<ReviewVerdict> {
    Some(answered(run)?.review?.verdict())
}

/// Gives the updates that a run accepted, in order.
fn updated(run: &History) -> Vec<&str> {
    attributes(run)
        .filter_map(|attributes| match attributes {
            Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(accepted) => {
                Some(accepted.accepted_request.as_ref()?.input.as_ref()?.name.as_str())
            }
            _ => None,
        })
        .collect()
}

/// Gives the type of an application failure, which is a failure code.
fn code(failure: Option<&Failure>) -> Option<&str> {
    match failure?.failure_info.as_ref()? {
        FailureInfo::ApplicationFailureInfo(info) => Some(&info.r#type),
        _ => None,
    }
}

fn failed_with(run: &History, expected: FailureCode) -> bool {
    match last(run) {
        Attributes::WorkflowExecutionFailedEventAttributes(end) => {
            code(end.failure.as_ref()) == Some(expected.as_str())
        }
        _ => false,
    }
}

fn retried_after(run: &History, expected: FailureCode) -> bool {
    attributes(run).any(|attributes| match attributes {
        Attributes::ActivityTaskStartedEventAttributes(started) => {
            started.attempt > 1 && code(started.last_failure.as_ref()) == Some(expected.as_str())
        }
        _ => false,
    })
}

/// Tells whether the run's own clock ended it, and not that of an activity.
fn timed(run: &History) -> bool {
    attributes(run).any(|attributes| matches!(attributes, Attributes::TimerFiredEventAttributes(_)))
}

fn shows_its_stage(run: &History) -> bool {
    attributes(run).any(|attributes| match attributes {
        Attributes::UpsertWorkflowSearchAttributesEventAttributes(shown) => {
            let fields = shown
                .search_attributes
                .as_ref()
                .map(|shown| &shown.indexed_fields);
            fields.is_some_and(|fields| fields.contains_key(names::search_attribute::STAGE))
        }
        _ => false,
    })
}

/// Gives the type of the first child that a run started.
fn child(run: &History) -> Option<&str> {
    attributes(run).find_map(|attributes| match attributes {
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(child) => {
            Some(child.workflow_type.as_ref()?.name.as_str())
        }
        _ => None,
    })
}

fn leaves_its_clean_up(run: &History) -> bool {
    child(run) == Some(names::DISCARD_STAGED_LATER)
        && attributes(run).any(|attributes| match attributes {
            Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(child) => {
                child.parent_close_policy() == ParentClosePolicy::Abandon
            }
            _ => false,
        })
}

/// Says what is wrong with a set of recorded runs.
fn complaints(runs: &[Recorded]) -> Vec<String> {
    let listed: BTreeSet<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    let mut complaints = Vec::new();
    for (name, shows) in KINDS {
        match runs.iter().find(|run| run.name == *name) {
            None => complaints.push(format!("{name} is missing")),
            Some(run) if shows(&run.history) => {}
            Some(_) => complaints.push(format!("{name} does not show what its name says")),
        }
    }
    for run in runs {
        if !listed.contains(run.name.as_str()) && !run.name.starts_with(CHAIN) {
            complaints.push(format!("{} is not listed here", run.name));
        }
    }
    complaints.extend(broken_chain(runs));
    complaints
}

/// Says where the runs of the batch that continued as new don't make one chain from its start to its end.
fn broken_chain(runs: &[Recorded]) -> Option<String> {
    let named = |number: usize| {
        let name = format!("{CHAIN}{number}");
        runs.iter().find(|run| run.name == name)
    };
    let links = runs.iter().filter(|run| run.name.starts_with(CHAIN)).count();
    let mut handed_on = String::new();
    for number in 1..=links {
        let Some(run) = named(number) else {
            return Some(format!("{CHAIN}{number} is missing"));
        };
        let start = started(&run.history);
        let goes_on = number == 1 || start.original_execution_run_id == handed_on;
        if workflow_type(&run.history) != names::LLM_BATCH || !goes_on {
            return Some(format!("{} does not go on from the run before it", run.name));
        }
        match last(&run.history) {
            Attributes::WorkflowExecutionContinuedAsNewEventAttributes(next) => {
                handed_on.clone_from(&next.new_execution_run_id);
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(_) if number > 1 && number == links => {
                return None;
            }
            _ => break,
        }
    }
    Some(format!(
        "the last of {CHAIN}1 to {links} did not complete the batch"
    ))
}

#[test]
fn every_way_through_a_workflow_is_recorded() {
    let complaints = complaints(&recorded());
    assert!(
        complaints.is_empty(),
        "\n  {}\nwhat to do: `make histories` records all of them; a new one is listed here and recorded there",
        complaints.join("\n  ")
    );
}

#[test]
fn a_run_that_is_missing_or_shows_something_else_is_noticed() {
    for taken in 0..recorded().len() {
        let mut runs = recorded();
        let name = runs.remove(taken).name;
        assert!(!complaints(&runs).is_empty(), "nobody misses {name}");

        let mut runs = recorded();
        runs[taken].history.events.truncate(4);
        assert!(!complaints(&runs).is_empty(), "a torso passes for {name}");
    }
    let mut runs = recorded();
    let (one, other) = (
        place(&runs, "llm-pipeline-json"),
        place(&runs, "llm-pipeline-cancelled"),
    );
    let swapped = std::mem::take(&mut runs[one].history);
    runs[one].history = std::mem::replace(&mut runs[other].history, swapped);
    assert_eq!(complaints(&runs).len(), 2);
}

fn place(runs: &[Recorded], name: &str) -> usize {
    runs.iter().position(|run| run.name == name).unwrap()
}
