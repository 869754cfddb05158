//! Whether a person looks at an answer, and what that person may decide.

use std::time::Duration;

use crate::{
    problem::Problems,
    proto::{self, ReviewTimeout, ReviewVerdict, ReviewWhen, review_decision::Edited},
    request::{NAME_LIMIT_BYTES, bounded_reason, known, parse_actor},
};

const DEFAULT_TIMEOUT_SECONDS: i32 = 86_400;
const LONGEST_TIMEOUT_SECONDS: i32 = 2_592_000;
const MOST_ESCALATIONS: i32 = 5;
/// The longest an edited answer may be, in bytes; it travels inline.
const EDIT_LIMIT_BYTES: usize = super::INLINE_LIMIT_BYTES;

/// How an answer is reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Which answers wait for a person.
    pub when: ReviewWhen,
    /// How long to wait each time.
    pub timeout: Duration,
    /// What happens when nobody decides.
    pub on_timeout: ReviewTimeout,
    /// Whom an escalation names.
    pub escalate_to: Option<String>,
    /// How often a wait is escalated.
    pub max_escalations: i32,
}

impl Review {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(input: proto::ReviewSpec) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let when = known("when", input.when, ReviewWhen::Always, &mut problems);
        let on_timeout = known(
            "onTimeout",
            input.on_timeout,
            ReviewTimeout::Reject,
            &mut problems,
        );
        let seconds = input.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        if !(1..=LONGEST_TIMEOUT_SECONDS).contains(&seconds) {
            problems.at(
                "timeoutSeconds",
                format!("must be 1 to {LONGEST_TIMEOUT_SECONDS}"),
            );
        }
        let max_escalations = input.max_escalations.unwrap_or(1);
        if !(1..=MOST_ESCALATIONS).contains(&max_escalations) {
            problems.at("maxEscalations", format!("must be 1 to {MOST_ESCALATIONS}"));
        }
        let escalate_to = input.escalate_to.filter(|name| !name.trim().is_empty());
        match &escalate_to {
            None if on_timeout == ReviewTimeout::Escalate => {
                problems.at("escalateTo", "is missing; say who is asked after the first wait");
            }
            Some(name) if name.len() > NAME_LIMIT_BYTES => {
                problems.at("escalateTo", format!("is longer than {NAME_LIMIT_BYTES} bytes"));
            }
            Some(_) | None => {}
        }
        problems.or(Self {
            when,
            timeout: Duration::from_secs(u64::try_from(seconds).unwrap_or(1)),
            on_timeout,
            escalate_to,
            max_escalations,
        })
    }
}

impl Review {
    /// Gives how long a review can take with all its escalations.
    pub fn longest(&self) -> Duration {
        let waits = match self.on_timeout {
            ReviewTimeout::Escalate => 1 + self.max_escalations.unsigned_abs(),
            ReviewTimeout::Unspecified | ReviewTimeout::Reject | ReviewTimeout::Approve => 1,
        };
        self.timeout * waits
    }
}

/// A person's decision that can be acted upon.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The decision's name, by which a repetition is known.
    pub id: String,
    /// What was decided.
    pub verdict: ReviewVerdict,
    /// With an edit: what is given instead.
    pub edited: Option<Edited>,
    /// Who decided.
    pub actor: String,
    /// Why.
    pub comment: Option<String>,
}

impl Decision {
    /// Parses what a reviewer sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(input: proto::ReviewDecision) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let verdict = input.verdict();
        if input.decision_id.trim().is_empty() || input.decision_id.len() > NAME_LIMIT_BYTES {
            problems.at("decisionId", format!("must be 1 to {NAME_LIMIT_BYTES} bytes"));
        }
        match (verdict, &input.edited) {
            (ReviewVerdict::Unspecified, _) => problems.at(
                "verdict",
                "must be REVIEW_VERDICT_APPROVE, REVIEW_VERDICT_REJECT or REVIEW_VERDICT_EDIT",
            ),
            (ReviewVerdict::Edit, None) => problems.at("text", "is missing; an edit brings text or json"),
            (ReviewVerdict::Edit, Some(Edited::Text(text))) if text.trim().is_empty() => {
                problems.at("text", "is empty");
            }
            (ReviewVerdict::Edit, Some(Edited::Text(text))) if text.len() > EDIT_LIMIT_BYTES => {
                problems.at("text", format!("is longer than {EDIT_LIMIT_BYTES} bytes"));
            }
            (ReviewVerdict::Approve | ReviewVerdict::Reject, Some(_)) => {
                problems.at("verdict", "only REVIEW_VERDICT_EDIT brings an answer of its own");
            }
            (ReviewVerdict::Edit, Some(_)) | (ReviewVerdict::Approve | ReviewVerdict::Reject, None) => {}
        }
        parse_actor(&input.actor, &mut problems);
        bounded_reason("comment", input.comment.as_deref(), &mut problems);
        problems.or(Self {
            id: input.decision_id,
            verdict,
            edited: input.edited,
            actor: input.actor,
            comment: input.comment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(verdict: ReviewVerdict, edited: Option<Edited>) -> proto::ReviewDecision {
        proto::ReviewDecision {
            decision_id: "d-1".into(),
            verdict: verdict.into(),
            edited,
            actor: "ana".into(),
            comment: None,
        }
    }

    fn paths<T: std::fmt::Debug>(result: Result<T, Problems>) -> Vec<String> {
        let problems = result.unwrap_err().into_vec();
        problems.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn an_edit_and_only_an_edit_brings_an_answer() {
        let text = || Some(Edited::Text("better".into()));
        assert!(Decision::parse(decision(ReviewVerdict::Edit, text())).is_ok());
        assert!(Decision::parse(decision(ReviewVerdict::Approve, None)).is_ok());
        assert_eq!(
            paths(Decision::parse(decision(ReviewVerdict::Edit, None))),
            ["text"]
        );
        assert_eq!(
            paths(Decision::parse(decision(ReviewVerdict::Reject, text()))),
            ["verdict"]
        );
    }

    #[test]
    fn a_decision_has_a_name_and_an_actor() {
        assert_eq!(
            paths(Decision::parse(proto::ReviewDecision::default())),
            ["decisionId", "verdict", "actor"]
        );
    }

    #[test]
    fn an_escalation_names_somebody() {
        let spec = proto::ReviewSpec {
            on_timeout: Some(ReviewTimeout::Escalate.into()),
            timeout_seconds: Some(0),
            ..proto::ReviewSpec::default()
        };
        assert_eq!(paths(Review::parse(spec)), ["timeoutSeconds", "escalateTo"]);
    }
}
