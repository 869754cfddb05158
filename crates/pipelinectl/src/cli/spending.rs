//! The flags of `llm run` that say what a request may cost, who stands in, who looks at it, and how it can be followed.

use clap::{Args, ValueEnum};

use crate::money::CostArg;

use super::DurationArg;

/// What a request may cost, who stands in when a model fails, and who looks at the answer.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(crate) struct SpendingArgs {
    /// The most money, in the price table's currency, for example 0.50; for a batch, of the whole file.
    #[arg(long, value_name = "AMOUNT", help_heading = "Budget")]
    pub(crate) max_cost: Option<CostArg>,
    /// The most tokens read and written together; for a batch, of the whole file.
    #[arg(long, value_name = "TOKENS", help_heading = "Budget")]
    pub(crate) max_tokens_total: Option<u64>,
    /// What happens when the next call does not fit: wait for `budget raise`, or fail.
    #[arg(long, value_enum, help_heading = "Budget")]
    pub(crate) on_exhausted: Option<ExhaustedArg>,
    /// `provider/model` to try when the one before fails; up to three times, in this order.
    #[arg(long, value_name = "MODEL", help_heading = "Fallback")]
    pub(crate) fallback: Vec<String>,
    /// A failure code that lets the next model be tried, instead of the usual ones; may be repeated.
    #[arg(long, value_name = "CODE", requires = "fallback", help_heading = "Fallback")]
    pub(crate) fallback_on: Vec<String>,
    /// How long a model that has a next one is tried, waits included, in seconds: 0 to 3600.
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "fallback",
        help_heading = "Fallback"
    )]
    pub(crate) fallback_patience: Option<i32>,
    /// Asks a person about the answer before it is given: always, or when it has a problem.
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        default_missing_value = "always",
        help_heading = "Review"
    )]
    pub(crate) review: Option<ReviewArg>,
    /// How long to wait for a decision, for example 90s, 10m, 2h, 3d.
    #[arg(long, value_name = "TIME", requires = "review", help_heading = "Review")]
    pub(crate) review_timeout: Option<DurationArg>,
    /// What happens when nobody decides in time.
    #[arg(long, value_enum, requires = "review", help_heading = "Review")]
    pub(crate) on_review_timeout: Option<ReviewTimeoutArg>,
    /// Who is asked after the first wait; a name.
    #[arg(long, value_name = "NAME", requires = "review", help_heading = "Review")]
    pub(crate) escalate_to: Option<String>,
    /// How often a wait is escalated, 1 to 5.
    #[arg(long, value_name = "TIMES", requires = "review", help_heading = "Review")]
    pub(crate) max_escalations: Option<i32>,
    /// Makes the answer readable while it is generated, this often, in milliseconds: 100 to 5000.
    #[arg(long, value_name = "MILLISECONDS", help_heading = "Stream")]
    pub(crate) stream_flush: Option<i32>,
}

/// What happens when the next call does not fit into the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExhaustedArg {
    /// Wait until the budget is raised or the deadline passes.
    Park,
    /// Fail.
    Fail,
}

/// Which answers wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReviewArg {
    /// Every answer.
    Always,
    /// Answers that were cut, filtered, or don't match their schema.
    Problem,
}

/// What happens when nobody decides in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReviewTimeoutArg {
    /// The answer is withheld.
    Reject,
    /// The answer is given.
    Approve,
    /// Somebody else is asked, for the same time again.
    Escalate,
}
