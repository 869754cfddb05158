//! A person's look at an answer before it is given.
//!
//! The answer is there and paid for; what waits is its release. The wait is no part of the run's deadline, which is about
//! the machine's work, and has a limit of its own. A decision arrives as an update, so whoever decides is told at once
//! whether it stands: one that came too late or without a name is refused and leaves no trace in history, an edit that
//! does not match the schema is answered with what is wrong, and the answer waits on. A decision that is sent twice under
//! the same name is answered twice and applied once.

use std::{collections::BTreeMap, time::Duration};

use workflow_types::{
    activities::DataDeclarations,
    json,
    problem::Problems,
    proto::{
        Awaiting, Content, DataKind, LlmPipelineOutput, Outcome, Problem, ReviewDecision, ReviewReceipt,
        ReviewRecord, ReviewSpec, ReviewTimeout, ReviewVerdict, ReviewWait, ReviewWhen, ValidateDataInput,
        ValidateDataOutput, awaiting::Reason, content, llm_pipeline_output, review_decision::Edited,
        review_wait,
    },
    request::{Decision, Format, Review},
    wire::Wire,
};

use crate::{
    failures::StepError,
    policy,
    steps::Steps,
    waiting::{self, Waited},
};

/// How long checking an edit may take.
const CHECK_WITHIN: Duration = Duration::from_mins(5);

/// A workflow whose answer can be reviewed.
pub(crate) trait Reviewed {
    /// Gives the review.
    fn desk(&self) -> &Desk;
    /// Gives the review, to be changed.
    fn desk_mut(&mut self) -> &mut Desk;
}

/// The answer on the table, and what was decided about it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    wait: Option<Awaiting>,
    offered: Option<Decision>,
    receipts: BTreeMap<String, ReviewReceipt>,
    unanswered: usize,
}

impl Desk {
    /// Gives what is waited for.
    pub(crate) fn awaiting(&self) -> Option<Awaiting> {
        self.wait.clone()
    }

    /// Checks whether a decision can be taken now.
    pub(crate) fn check(&self, decision: &Wire<ReviewDecision>) -> Result<(), Problems> {
        let decision = Decision::parse(decision.clone().into_message()?)?;
        if self
            .receipts
            .get(&decision.id)
            .is_some_and(|receipt| receipt.applied)
        {
            return Ok(());
        }
        if self.wait.is_none() {
            return Err(Problems::one(
                "$",
                "no answer waits for a decision; see the query status",
            ));
        }
        if self.offered.is_some() {
            return Err(Problems::one(
                "$",
                "another decision is being applied; look again",
            ));
        }
        Ok(())
    }

    /// Takes a decision that was checked; its receipt follows.
    pub(crate) fn offer(&mut self, decision: Wire<ReviewDecision>) -> Result<String, Problems> {
        let decision = Decision::parse(decision.into_message()?)?;
        let id = decision.id.clone();
        if !self.receipts.get(&id).is_some_and(|receipt| receipt.applied) {
            self.receipts.remove(&id);
            self.offered = Some(decision);
        }
        self.unanswered += 1;
        Ok(id)
    }

    /// Gives a decision's receipt once there is one.
    pub(crate) fn receipt(&self, id: &str) -> Option<ReviewReceipt> {
        self.receipts.get(id).cloned()
    }

    /// Notes that a receipt was handed over.
    pub(crate) fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }
}

/// Gives how long a review can take in all, for whoever has to wait for it.
pub(crate) fn longest_review(spec: &ReviewSpec) -> Duration {
    Review::parse(spec.clone()).map_or(Duration::ZERO, |review| review.longest())
}

/// Waits for a decision about an answer and applies it.
pub(crate) async fn review<W: Reviewed>(
    steps: &Steps<W>,
    spec: &Review,
    format: &Format,
    mut output: LlmPipelineOutput,
) -> Result<LlmPipelineOutput, StepError> {
    let outcome = output.outcome();
    if spec.when == ReviewWhen::Problem && outcome == Outcome::Completed {
        return Ok(output);
    }
    steps.show_awaiting(Some("review"));
    let (record, edited) = decide(steps, spec, format, &output).await?;
    steps.ctx.state_mut(|state| state.desk_mut().wait = None);
    steps.show_awaiting(None);
    match (record.verdict(), edited) {
        (ReviewVerdict::Reject, _) => {
            output.set_outcome(Outcome::Rejected);
            output.answer = None;
        }
        (_, Some(edited)) => {
            output.set_outcome(Outcome::Completed);
            output.problems.clear();
            output.answer = Some(match edited {
                Edited::Text(text) => llm_pipeline_output::Answer::Text(text),
                Edited::Json(value) => llm_pipeline_output::Answer::Json(value),
            });
        }
        (ReviewVerdict::Approve | ReviewVerdict::Edit | ReviewVerdict::Unspecified, None) => {}
    }
    output.review = Some(record);
    // Whoever decided is told before the run is gone.
    steps
        .ctx
        .wait_condition(|state: &W| state.desk().unanswered == 0)
        .await
        .map_err(|_| StepError::Cancelled)?;
    Ok(output)
}

async fn decide<W: Reviewed>(
    steps: &Steps<W>,
    spec: &Review,
    format: &Format,
    output: &LlmPipelineOutput,
) -> Result<(ReviewRecord, Option<Edited>), StepError> {
    let since = steps.now();
    let mut escalations = 0;
    let mut until = since + spec.timeout.as_secs_f64();
    loop {
        let wait = wait(spec, output, escalations, until);
        steps.ctx.state_mut(|state| {
            state.desk_mut().wait = Some(Awaiting {
                reason: Some(Reason::Review(wait)),
                since_unix_seconds: since,
            });
        });
        let left = Duration::try_from_secs_f64(until - steps.now()).unwrap_or_default();
        let offered = |state: &W| state.desk().offered.is_some();
        match waiting::until(steps, Some(left.max(Duration::from_millis(1))), offered).await {
            Waited::Stopped => return Err(StepError::Cancelled),
            Waited::Met => {
                if let Some(decided) = apply(steps, format, escalations).await? {
                    return Ok(decided);
                }
            }
            Waited::TimeUp => {
                if let Some(verdict) = after_silence(spec, escalations) {
                    return Ok((silent(verdict, escalations, steps.now()), None));
                }
                escalations += 1;
                until = steps.now() + spec.timeout.as_secs_f64();
            }
        }
    }
}

/// What follows when nobody decided in time: a verdict, or another wait.
fn after_silence(spec: &Review, escalations: i32) -> Option<ReviewVerdict> {
    match spec.on_timeout {
        ReviewTimeout::Escalate if escalations < spec.max_escalations => None,
        ReviewTimeout::Approve => Some(ReviewVerdict::Approve),
        ReviewTimeout::Escalate | ReviewTimeout::Reject | ReviewTimeout::Unspecified => {
            Some(ReviewVerdict::Reject)
        }
    }
}

/// Applies the decision on the table, or says what is wrong with its edit and leaves the answer waiting.
async fn apply<W: Reviewed>(
    steps: &Steps<W>,
    format: &Format,
    escalations: i32,
) -> Result<Option<(ReviewRecord, Option<Edited>)>, StepError> {
    let Some(decision) = steps.ctx.state(|state| state.desk().offered.clone()) else {
        return Ok(None);
    };
    let problems = match &decision.edited {
        Some(edited) => check_edit(steps, format, edited).await?,
        None => Vec::new(),
    };
    let record = ReviewRecord {
        verdict: decision.verdict.into(),
        actor: decision.actor,
        actor_verified: false,
        decision_id: decision.id.clone(),
        comment: decision.comment,
        decided_unix_seconds: steps.now(),
        escalations,
        by_timeout: false,
    };
    let applied = problems.is_empty();
    let receipt = ReviewReceipt {
        applied,
        problems,
        record: applied.then(|| record.clone()),
    };
    steps.ctx.state_mut(|state| {
        let desk = state.desk_mut();
        desk.offered = None;
        desk.receipts.insert(decision.id, receipt);
    });
    Ok(applied.then_some((record, decision.edited)))
}

/// Holds an edit against the form that was asked for. Schemas are checked where documents are worked on, never here: all
/// workflows of a worker share one thread.
async fn check_edit<W: Reviewed>(
    steps: &Steps<W>,
    format: &Format,
    edited: &Edited,
) -> Result<Vec<Problem>, StepError> {
    let wrong = |path: &str, message: &str| Problems::one(path, message).into_vec();
    let (form, value) = match (format, edited) {
        (Format::Text, Edited::Text(_)) => return Ok(Vec::new()),
        (Format::Text, Edited::Json(_)) => return Ok(wrong("json", "text was asked for; edit with text")),
        (Format::Json(_), Edited::Text(_)) => return Ok(wrong("text", "JSON was asked for; edit with json")),
        (Format::Json(form), Edited::Json(value)) => (form, value),
    };
    let text = json::from_value(value).to_string();
    let input = ValidateDataInput {
        content: Some(Content {
            source: Some(content::Source::Text(text)),
        }),
        kind: DataKind::Json.into(),
        schema: form.schema.as_object().map(json::to_struct),
    };
    let checked: Result<ValidateDataOutput, StepError> = steps
        .call(
            DataDeclarations::validate_data,
            input,
            policy::DOCUMENTS,
            Some(CHECK_WITHIN),
        )
        .await;
    match checked {
        Ok(checked) => Ok(checked.problems),
        Err(StepError::Cancelled) => Err(StepError::Cancelled),
        // The decision can be sent again; the answer that waits is not lost over it.
        Err(StepError::Failed(failure)) => Ok(wrong(
            "json",
            &format!("could not be checked, try again: {}", failure.message),
        )),
    }
}

fn wait(spec: &Review, output: &LlmPipelineOutput, escalations: i32, until: f64) -> ReviewWait {
    ReviewWait {
        answer: output.answer.clone().map(|answer| match answer {
            llm_pipeline_output::Answer::Text(text) => review_wait::Answer::Text(text),
            llm_pipeline_output::Answer::Json(value) => review_wait::Answer::Json(value),
            llm_pipeline_output::Answer::Blob(blob) => review_wait::Answer::Blob(blob),
        }),
        outcome: output.outcome,
        problems: output.problems.clone(),
        asked: match escalations {
            0 => String::new(),
            _ => spec.escalate_to.clone().unwrap_or_default(),
        },
        escalations,
        until_unix_seconds: until,
    }
}

fn silent(verdict: ReviewVerdict, escalations: i32, now: f64) -> ReviewRecord {
    ReviewRecord {
        verdict: verdict.into(),
        decided_unix_seconds: now,
        escalations,
        by_timeout: true,
        ..ReviewRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(id: &str) -> Wire<ReviewDecision> {
        Wire::new(ReviewDecision {
            decision_id: id.into(),
            verdict: ReviewVerdict::Approve.into(),
            actor: "ana".into(),
            ..ReviewDecision::default()
        })
    }

    #[test]
    fn a_decision_is_taken_only_while_an_answer_waits() {
        let mut desk = Desk::default();
        assert!(desk.check(&decision("d")).is_err());
        desk.wait = Some(Awaiting::default());
        assert!(desk.check(&decision("d")).is_ok());
        desk.offer(decision("d")).unwrap();
        assert!(desk.check(&decision("e")).is_err(), "one at a time");
    }

    #[test]
    fn the_same_decision_again_gets_the_same_receipt_and_is_not_applied_again() {
        let mut desk = Desk::default();
        let receipt = ReviewReceipt {
            applied: true,
            ..ReviewReceipt::default()
        };
        desk.receipts.insert("d".into(), receipt.clone());
        assert!(
            desk.check(&decision("d")).is_ok(),
            "also when nothing waits any more"
        );
        assert_eq!(desk.offer(decision("d")).unwrap(), "d");
        assert!(desk.offered.is_none());
        assert_eq!(desk.receipt("d"), Some(receipt));
    }

    #[test]
    fn silence_is_escalated_as_often_as_allowed_and_then_rejects() {
        let spec = |on_timeout| Review {
            when: ReviewWhen::Always,
            timeout: Duration::from_secs(1),
            on_timeout,
            escalate_to: Some("lead".into()),
            max_escalations: 2,
        };
        assert_eq!(after_silence(&spec(ReviewTimeout::Escalate), 1), None);
        assert_eq!(
            after_silence(&spec(ReviewTimeout::Escalate), 2),
            Some(ReviewVerdict::Reject)
        );
        assert_eq!(
            after_silence(&spec(ReviewTimeout::Approve), 0),
            Some(ReviewVerdict::Approve)
        );
        assert_eq!(
            after_silence(&spec(ReviewTimeout::Reject), 0),
            Some(ReviewVerdict::Reject)
        );
    }
}
