//! What a request may spend, and how that is raised.
//!
//! Money and tokens cross as doubles, because proto3 JSON writes 64-bit integers as strings; here they are integers again,
//! and a fraction or a number beyond what a double holds exactly is refused instead of rounded.

use crate::{
    problem::Problems,
    proto::{self, BudgetExhausted, BudgetState, RaiseBudget},
    request::{bounded_reason, known, parse_actor},
};

/// The largest amount that is taken; beyond it a double no longer holds every integer.
pub const LARGEST_AMOUNT: u64 = 1 << 53;

/// What a request may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The most money, in millionths of the price table's currency.
    pub max_cost_micros: Option<u64>,
    /// The most tokens read and written together.
    pub max_tokens: Option<u64>,
    /// What happens when the next call doesn't fit.
    pub on_exhausted: BudgetExhausted,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_cost_micros: None,
            max_tokens: None,
            on_exhausted: BudgetExhausted::Park,
        }
    }
}

impl Budget {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(input: proto::Budget) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let max_cost_micros = amount("maxCostMicros", input.max_cost_micros, &mut problems);
        let max_tokens = amount("maxTokens", input.max_tokens, &mut problems);
        let on_exhausted = known(
            "onExhausted",
            input.on_exhausted,
            BudgetExhausted::Park,
            &mut problems,
        );
        problems.or(Self {
            max_cost_micros,
            max_tokens,
            on_exhausted,
        })
    }
}

impl From<Budget> for proto::Budget {
    fn from(budget: Budget) -> Self {
        Self {
            max_cost_micros: budget.max_cost_micros.map(to_double),
            max_tokens: budget.max_tokens.map(to_double),
            on_exhausted: Some(budget.on_exhausted.into()),
        }
    }
}

/// The budget in force of a run, with its deadline, as raises change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// The limits.
    pub budget: Budget,
    /// How often it was raised.
    pub revision: i32,
    /// The deadline, in seconds from the start of the run.
    pub deadline_seconds: i32,
}

impl Allowed {
    /// Applies a raise, or says why it is none.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path: not above what is in force, a limit that there is none of, or an
    /// actor that is missing.
    pub fn raised(self, raise: &RaiseBudget) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        parse_actor(&raise.actor, &mut problems);
        bounded_reason("reason", raise.reason.as_deref(), &mut problems);
        if raise.max_cost_micros.is_none() && raise.max_tokens.is_none() && raise.deadline_seconds.is_none() {
            problems.at(
                "$",
                "raises nothing; set maxCostMicros, maxTokens or deadlineSeconds",
            );
        }
        let mut next = self;
        let asked = amount("maxCostMicros", raise.max_cost_micros, &mut problems);
        higher(
            "maxCostMicros",
            &mut next.budget.max_cost_micros,
            asked,
            &mut problems,
        );
        let asked = amount("maxTokens", raise.max_tokens, &mut problems);
        higher("maxTokens", &mut next.budget.max_tokens, asked, &mut problems);
        if let Some(seconds) = raise.deadline_seconds {
            if seconds <= self.deadline_seconds {
                problems.at(
                    "deadlineSeconds",
                    format!("must be above the {} in force", self.deadline_seconds),
                );
            }
            next.deadline_seconds = seconds;
        }
        next.revision += 1;
        problems.or(next)
    }

    /// Takes over what a later revision says; an earlier one changes nothing.
    ///
    /// # Errors
    ///
    /// That its values can't be used.
    pub fn replaced(self, state: &BudgetState) -> Result<Self, Problems> {
        let budget = Budget::parse(state.budget.unwrap_or_default())?;
        if state.revision <= self.revision {
            return Ok(self);
        }
        Ok(Self {
            budget: Budget {
                on_exhausted: self.budget.on_exhausted,
                ..budget
            },
            revision: state.revision,
            deadline_seconds: self.deadline_seconds,
        })
    }
}

impl From<Allowed> for BudgetState {
    fn from(allowed: Allowed) -> Self {
        Self {
            budget: Some(allowed.budget.into()),
            revision: allowed.revision,
            deadline_seconds: allowed.deadline_seconds,
        }
    }
}

/// Writes an amount as it crosses; amounts are bounded so that none is rounded.
#[expect(
    clippy::cast_precision_loss,
    reason = "amounts are at most 2^53, which a double holds exactly"
)]
pub fn to_double(amount: u64) -> f64 {
    amount.min(LARGEST_AMOUNT) as f64
}

/// Reads an amount that crossed between workers, where nothing but whole numbers is written.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is clamped to whole numbers from 0 to 2^53 first"
)]
pub fn from_double(amount: f64) -> u64 {
    let most = to_double(LARGEST_AMOUNT);
    if amount.is_nan() {
        0
    } else {
        amount.clamp(0.0, most).round() as u64
    }
}

fn amount(name: &str, value: Option<f64>, problems: &mut Problems) -> Option<u64> {
    let value = value?;
    if !(0.0..=to_double(LARGEST_AMOUNT)).contains(&value) || value.fract() != 0.0 {
        problems.at(name, format!("must be a whole number from 0 to {LARGEST_AMOUNT}"));
        return None;
    }
    Some(from_double(value))
}

fn higher(name: &str, limit: &mut Option<u64>, asked: Option<u64>, problems: &mut Problems) {
    let Some(asked) = asked else { return };
    match *limit {
        None => problems.at(name, "there is no such limit to raise"),
        Some(now) if asked <= now => problems.at(name, format!("must be above the {now} in force")),
        Some(_) => *limit = Some(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Allowed {
        Allowed {
            budget: Budget {
                max_cost_micros: Some(100),
                ..Budget::default()
            },
            revision: 0,
            deadline_seconds: 60,
        }
    }

    fn raise(max_cost_micros: f64) -> RaiseBudget {
        RaiseBudget {
            max_cost_micros: Some(max_cost_micros),
            actor: "ana".into(),
            ..RaiseBudget::default()
        }
    }

    fn paths(problems: Problems) -> Vec<String> {
        problems
            .into_vec()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    }

    #[test]
    fn only_whole_amounts_are_taken() {
        for wrong in [-1.0, 0.5, f64::NAN, f64::INFINITY, 1e17] {
            let budget = proto::Budget {
                max_tokens: Some(wrong),
                ..proto::Budget::default()
            };
            assert_eq!(
                paths(Budget::parse(budget).unwrap_err()),
                ["maxTokens"],
                "{wrong}"
            );
        }
        let budget = proto::Budget {
            max_cost_micros: Some(0.0),
            ..proto::Budget::default()
        };
        assert_eq!(Budget::parse(budget).unwrap().max_cost_micros, Some(0));
    }

    #[test]
    fn a_raise_is_above_what_is_in_force_and_has_an_actor() {
        let next = allowed().raised(&raise(101.0)).unwrap();
        assert_eq!((next.budget.max_cost_micros, next.revision), (Some(101), 1));
        assert_eq!(
            paths(allowed().raised(&raise(100.0)).unwrap_err()),
            ["maxCostMicros"]
        );
        let nobody = RaiseBudget {
            max_tokens: Some(5.0),
            deadline_seconds: Some(60),
            ..RaiseBudget::default()
        };
        assert_eq!(
            paths(allowed().raised(&nobody).unwrap_err()),
            ["actor", "maxTokens", "deadlineSeconds"]
        );
        assert_eq!(
            paths(
                allowed()
                    .raised(&RaiseBudget {
                        actor: "ana".into(),
                        ..RaiseBudget::default()
                    })
                    .unwrap_err()
            ),
            ["$"]
        );
    }

    #[test]
    fn a_deadline_is_extended_and_never_shortened() {
        let longer = |seconds| RaiseBudget {
            deadline_seconds: Some(seconds),
            actor: "ana".into(),
            ..RaiseBudget::default()
        };
        assert_eq!(allowed().raised(&longer(90)).unwrap().deadline_seconds, 90);
        assert_eq!(
            paths(allowed().raised(&longer(60)).unwrap_err()),
            ["deadlineSeconds"]
        );
    }

    #[test]
    fn an_older_revision_changes_nothing() {
        let newer = allowed().raised(&raise(500.0)).unwrap();
        assert_eq!(newer.replaced(&allowed().into()), Ok(newer));
        assert_eq!(allowed().replaced(&newer.into()), Ok(newer));
    }
}
