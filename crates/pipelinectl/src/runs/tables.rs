//! Statuses, lists and descriptions in words.

use std::fmt::Write as _;

use temporal_client::{
    description::{Description, PendingActivity},
    listing::Summary,
};
use workflow_types::proto::{
    Awaiting, BatchCounts, BudgetRaise, BudgetState, LlmBatchOutput, LlmBatchStatus, LlmPipelineOutput,
    LlmPipelineStatus, RejectedSignal, Usage,
};

use crate::{
    money,
    table::{self, Facts, columns},
    waits,
};

use super::progress::stage_word;

/// Where a request is.
pub(super) fn pipeline_status(id: &str, status: &LlmPipelineStatus, usage: &Usage) -> String {
    let chunks =
        (status.chunks_total > 0).then(|| format!("{} of {}", status.chunks_done, status.chunks_total));
    let replayed = (status.replayed_calls > 0).then(|| status.replayed_calls.to_string());
    let facts = Facts::default()
        .line("id", id.to_owned())
        .line("stage", stage_word(status.stage()).to_owned())
        .line("waits for", waits_for(id, status.awaiting.as_ref()))
        .line("chunks", chunks)
        .line("usage", waits::usage(usage))
        .line("replayed", replayed)
        .line("stream", status.stream.clone())
        .line("stopping", status.cancel_reason.clone());
    let facts = budget(facts, status.budget.as_ref(), &status.raises);
    rejected(facts, &status.rejected_signals).text()
}

/// Where a batch is.
pub(super) fn batch_status(id: &str, status: &LlmBatchStatus, usage: &Usage) -> String {
    let items = (status.items_total > 0).then(|| format!("{} of {}", status.items_done, status.items_total));
    let facts = Facts::default()
        .line("id", id.to_owned())
        .line("stage", stage_word(status.stage()).to_owned())
        .line("waits for", waits_for(id, status.awaiting.as_ref()))
        .line("items", items)
        .line("so far", status.counts.as_ref().map(counts))
        .line("in flight", status.in_flight.to_string())
        .line("usage", waits::usage(usage))
        .line("stopping", status.cancel_reason.clone());
    let facts = budget(facts, status.budget.as_ref(), &status.raises);
    rejected(facts, &status.rejected_signals).text()
}

fn waits_for(id: &str, awaiting: Option<&Awaiting>) -> Option<String> {
    awaiting.and_then(|awaiting| waits::awaiting(id, awaiting))
}

/// Adds the budget where there is one; without a limit and a raise there is nothing to say.
fn budget(facts: Facts, state: Option<&BudgetState>, raises: &[BudgetRaise]) -> Facts {
    let limited = state.filter(|state| {
        let limits = state.budget.unwrap_or_default();
        limits.max_cost_micros.is_some() || limits.max_tokens.is_some() || state.revision > 0
    });
    let facts = facts.line("budget", limited.map(waits::budget));
    raises
        .iter()
        .fold(facts, |facts, made| facts.line("raised", waits::raise(made)))
}

fn rejected(facts: Facts, signals: &[RejectedSignal]) -> Facts {
    signals.iter().fold(facts, |facts, rejected| {
        let why: Vec<String> = rejected
            .problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect();
        facts.line(
            "rejected",
            format!("signal {}: {}", rejected.signal, why.join("; ")),
        )
    })
}

/// How a batch ended.
pub(super) fn batch(output: &LlmBatchOutput) -> String {
    let usage = output.usage.clone().unwrap_or_default();
    Facts::default()
        .line("items", counts(&output.counts.unwrap_or_default()))
        .line("usage", waits::usage(&usage))
        .line("results", output.results.as_ref().map(|blob| blob.uri.clone()))
        .text()
}

/// What items came to, in words.
pub(super) fn counts(counts: &BatchCounts) -> String {
    let parts = [
        (counts.completed, "completed"),
        (counts.truncated, "truncated"),
        (counts.schema_mismatch, "not in the form asked for"),
        (counts.content_filtered, "withheld"),
        (counts.failed, "failed"),
        (counts.rejected, "rejected in review"),
        (counts.cancelled, "cancelled"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What there is to know of an answer beside the answer.
pub(super) fn pipeline_facts(output: &LlmPipelineOutput) -> String {
    let usage = output.usage.clone().unwrap_or_default();
    let served = output.served_by.clone().unwrap_or_default();
    let mut words = format!("{}/{}, {}", served.provider, served.model, waits::usage(&usage));
    if output.chunks > 1 {
        let _written = write!(words, ", {} chunks", output.chunks);
    }
    if let Some(language) = &output.language {
        let _written = write!(words, ", language {language}");
    }
    words
}

/// A list as columns.
pub(super) fn list(runs: &[Summary]) -> String {
    if runs.is_empty() {
        return "no runs".to_owned();
    }
    let mut rows = vec![table::header(&[
        "ID",
        "STATUS",
        "PIPELINE",
        "STAGE",
        "WAITS FOR",
        "MODEL",
        "TENANT",
        "SPENT",
        "STARTED",
    ])];
    for run in runs {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let attributes = &run.attributes;
        rows.push(vec![
            run.id.clone(),
            run.status.clone(),
            attributes
                .pipeline
                .clone()
                .unwrap_or_else(|| run.workflow_type.clone()),
            shown(&attributes.stage),
            shown(&attributes.awaiting),
            shown(&attributes.model),
            shown(&attributes.tenant),
            shown(&attributes.spend_micros.map(money::micros)),
            shown(&run.started.as_deref().map(to_the_second)),
        ]);
    }
    columns(&rows)
}

/// `2026-11-23T12:00:00.123456789Z` without what is behind the second.
fn to_the_second(time: &str) -> String {
    time.split_once('.')
        .map_or_else(|| time.to_owned(), |(second, _)| format!("{second}Z"))
}

/// What the server knows of a run.
pub(super) fn description(found: &Description) -> String {
    let attempt = found.workflow_task_attempt.filter(|attempt| *attempt > 1);
    let facts = Facts::default()
        .line("id", found.id.clone())
        .line("run", found.run_id.clone())
        .line("type", found.workflow_type.clone())
        .line("status", found.status.clone())
        .line("stage", found.attributes.stage.clone())
        .line("waits for", found.attributes.awaiting.clone())
        .line("model", found.attributes.model.clone())
        .line("tenant", found.attributes.tenant.clone())
        .line("spent", found.attributes.spend_micros.map(money::micros))
        .line("parent", found.parent.clone())
        .line("started", found.started.as_deref().map(to_the_second))
        .line("ended", found.closed.as_deref().map(to_the_second))
        .line("expires", found.expires.as_deref().map(to_the_second))
        .line("queue", found.task_queue.clone())
        .line(
            "history",
            format!("{} events, {} bytes", found.history_events, found.history_bytes),
        )
        .line(
            "cancelling",
            found
                .cancel_requested
                .then(|| "Temporal's own cancellation was asked for".to_owned()),
        )
        .line(
            "code fails",
            attempt.map(|attempt| {
                format!("the workflow task is tried for the {attempt}. time; see the worker's log")
            }),
        );
    let mut text = facts.text();
    for activity in &found.pending_activities {
        text.push_str(&pending(activity));
    }
    if !found.pending_children.is_empty() {
        let _written = writeln!(text, "children    {}", found.pending_children.join(", "));
    }
    text
}

fn pending(activity: &PendingActivity) -> String {
    let most = activity
        .maximum_attempts
        .map(|most| format!(" of {most}"))
        .unwrap_or_default();
    let mut text = format!(
        "pending     {} {}: {}, attempt {}{most}\n",
        activity.activity_type, activity.id, activity.state, activity.attempt
    );
    if let Some(failure) = &activity.last_failure {
        let code = failure
            .code
            .as_ref()
            .map(|code| format!("{code}: "))
            .unwrap_or_default();
        let _written = writeln!(text, "              last failure: {code}{}", failure.message);
    }
    if let Some(next) = &activity.next_attempt {
        let _written = writeln!(text, "              next attempt: {}", to_the_second(next));
    }
    if let Some(worker) = &activity.last_worker {
        let _written = writeln!(text, "              worker: {worker}");
    }
    text
}

#[cfg(test)]
mod tests;
