//! The flags about money, stand-ins, review and stream, as the parts of the message that they fill.

use workflow_types::{
    proto::{Budget, BudgetExhausted, LlmPipelineInput, ReviewSpec, ReviewTimeout, ReviewWhen, StreamSpec},
    request::{LARGEST_AMOUNT, to_double},
};

use crate::{
    cli::{DurationArg, ExhaustedArg, ReviewArg, ReviewTimeoutArg, SpendingArgs},
    money::CostArg,
};

/// Fills the parts that the flags name; of what is not given, the workflow decides.
pub(super) fn fill(input: &mut LlmPipelineInput, flags: &SpendingArgs) {
    input.budget = budget(flags);
    input.fallback_models.clone_from(&flags.fallback);
    input.fallback_on.clone_from(&flags.fallback_on);
    input.fallback_patience_seconds = flags.fallback_patience;
    input.review = flags.review.map(|when| review(when, flags));
    input.stream = flags.stream_flush.map(|milliseconds| StreamSpec {
        flush_milliseconds: Some(milliseconds),
    });
}

/// Reads an amount of tokens as the contracts take it; a larger one stays too large, so that it is refused.
pub(crate) fn tokens(amount: u64) -> f64 {
    if amount > LARGEST_AMOUNT {
        return f64::INFINITY;
    }
    to_double(amount)
}

fn budget(flags: &SpendingArgs) -> Option<Budget> {
    let budget = Budget {
        max_cost_micros: flags.max_cost.map(CostArg::to_double),
        max_tokens: flags.max_tokens_total.map(tokens),
        on_exhausted: flags.on_exhausted.map(|then| {
            let then = match then {
                ExhaustedArg::Park => BudgetExhausted::Park,
                ExhaustedArg::Fail => BudgetExhausted::Fail,
            };
            then.into()
        }),
    };
    (budget != Budget::default()).then_some(budget)
}

fn review(when: ReviewArg, flags: &SpendingArgs) -> ReviewSpec {
    let when = match when {
        ReviewArg::Always => ReviewWhen::Always,
        ReviewArg::Problem => ReviewWhen::Problem,
    };
    ReviewSpec {
        when: Some(when.into()),
        timeout_seconds: flags.review_timeout.map(DurationArg::seconds),
        on_timeout: flags.on_review_timeout.map(|then| {
            let then = match then {
                ReviewTimeoutArg::Reject => ReviewTimeout::Reject,
                ReviewTimeoutArg::Approve => ReviewTimeout::Approve,
                ReviewTimeoutArg::Escalate => ReviewTimeout::Escalate,
            };
            then.into()
        }),
        escalate_to: flags.escalate_to.clone(),
        max_escalations: flags.max_escalations,
    }
}
