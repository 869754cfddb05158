//! A failed attempt as it crosses to the workflow.
//!
//! A failure can have cost money too, so it carries what the effect has used until then; also one that is retried, because
//! the last of those is what a time-out reports.

use activity_context::{Failure, with_sources};
use effect_journal::{Amount, EffectKey, OverBudget};
use workflow_types::{
    proto::{BudgetShortfall, FailureDetails, Usage},
    request::to_double,
    wire::Wire,
};

use crate::error::Error;

/// Why an attempt gave no result, and what is known beside it.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Why.
    pub error: Error,
    /// What the effect has used until now, if anything.
    pub usage: Option<Usage>,
    /// The model is left to the next one, although the failure would be worth another try.
    pub leaves: bool,
}

impl From<Error> for Box<Failed> {
    fn from(error: Error) -> Self {
        Box::new(Failed {
            error,
            usage: None,
            leaves: false,
        })
    }
}

impl Failed {
    /// Converts into what crosses to the workflow.
    pub(crate) fn into_failure(self) -> Failure {
        let code = self.error.code();
        // Neither an error here nor what lies under it quotes a prompt or an answer.
        let message = with_sources(&self.error);
        let (delay, retryable) = (self.error.delay(), code.row().retryable && !self.leaves);
        let failure = if retryable {
            Failure::retryable(code.as_str(), message)
        } else {
            Failure::non_retryable(code.as_str(), message)
        };
        let failure = failure.with_details(Wire::new(self.into_details()));
        match delay {
            Some(delay) => failure.after(delay),
            None => failure,
        }
    }

    fn into_details(self) -> FailureDetails {
        let mut details = FailureDetails {
            code: self.error.code().as_str().to_owned(),
            usage: self.usage,
            ..FailureDetails::default()
        };
        if let Error::Input(problems) = self.error {
            details.problems = problems.into_vec();
        } else if let Error::OverBudget(over) = self.error {
            details.shortfall = Some(shortfall(&over));
        }
        details
    }
}

/// Gives what a call would have needed and did not find.
fn shortfall(over: &OverBudget) -> BudgetShortfall {
    let (used, needed) = (double(over.used), double(over.needed));
    BudgetShortfall {
        account: shown(over),
        max_cost_micros: over.max.cost_micros.map(|micros| to_double(positive(micros))),
        max_tokens: over.max.tokens.map(to_double),
        used_cost_micros: used.0,
        used_tokens: used.1,
        needed_cost_micros: needed.0,
        needed_tokens: needed.1,
        resets_in_seconds: over.resets_in.map(|left| left.as_secs_f64()),
    }
}

/// Gives whose budget it is as people know it: `run:<workflow id>` or `tenant:<name>`.
pub(crate) fn shown(over: &OverBudget) -> String {
    let account = over.account.as_str();
    // An account's path is that of a key without its step.
    let key = account
        .strip_prefix("run:")
        .and_then(|path| format!("{path}/budget").parse::<EffectKey>().ok());
    match key {
        Some(key) => format!("run:{}", key.workflow_id()),
        None => account.to_owned(),
    }
}

fn double(amount: Amount) -> (f64, f64) {
    (to_double(positive(amount.cost_micros)), to_double(amount.tokens))
}

fn positive(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use effect_journal::{Account, Allowance, Period};

    use super::*;

    #[test]
    fn what_is_missing_in_a_budget_crosses_with_the_failure() {
        let over = OverBudget {
            account: Account::run("default", "llm/a b", "run-1").unwrap(),
            period: Period::Total,
            max: Allowance {
                cost_micros: Some(100),
                tokens: None,
            },
            used: Amount {
                cost_micros: 70,
                tokens: 7,
            },
            needed: Amount {
                cost_micros: 31,
                tokens: 3,
            },
            resets_in: None,
        };
        let failed = Box::<Failed>::from(Error::OverBudget(Box::new(over.clone())));
        assert_eq!(
            failed.error.to_string(),
            "the budget run:llm/a b has no room for the call: of 100 micros 70 are used and up to 31 more are needed"
        );
        let found = failed.into_details();
        let expected = BudgetShortfall {
            account: "run:llm/a b".into(),
            max_cost_micros: Some(100.0),
            max_tokens: None,
            used_cost_micros: 70.0,
            used_tokens: 7.0,
            needed_cost_micros: 31.0,
            needed_tokens: 3.0,
            resets_in_seconds: None,
        };
        assert_eq!(
            (found.code.as_str(), found.shortfall),
            ("BudgetExceeded", Some(expected))
        );
        let tenant = OverBudget {
            account: Account::tenant("acme").unwrap(),
            resets_in: Some(Duration::from_secs(90)),
            ..over
        };
        let found = shortfall(&tenant);
        assert_eq!(
            (found.account.as_str(), found.resets_in_seconds),
            ("tenant:acme", Some(90.0))
        );
    }
}
