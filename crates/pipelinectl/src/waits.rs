//! What a run waits for, what it may spend and which models it tried, in words.
//!
//! A run that waits is not stuck: somebody is asked to do something. So the words end with the command that does it.

use workflow_types::{
    proto::{
        Awaiting, BudgetRaise, BudgetShortfall, BudgetState, ReviewRecord, ReviewVerdict, RouteStep, Usage,
        awaiting::Reason,
    },
    request::from_double,
};

use crate::{moment, money};

/// Says in a few words what is waited for, for a line of progress.
pub(crate) fn briefly(awaiting: Option<&Awaiting>) -> Option<&'static str> {
    match awaiting?.reason.as_ref()? {
        Reason::Budget(_) => Some("waiting for budget"),
        Reason::Review(_) => Some("waiting for a review"),
    }
}

/// Says what is waited for and what to do about it.
pub(crate) fn awaiting(workflow_id: &str, awaiting: &Awaiting) -> Option<String> {
    let since = moment::shown_seconds(awaiting.since_unix_seconds);
    Some(match awaiting.reason.as_ref()? {
        Reason::Budget(missing) => {
            format!(
                "budget since {since}: {}; {}",
                shortfall(missing),
                remedy(workflow_id, missing)
            )
        }
        Reason::Review(wait) => {
            let asked = if wait.asked.is_empty() {
                String::new()
            } else {
                format!(", asked: {}", wait.asked)
            };
            let until = moment::shown_seconds(wait.until_unix_seconds);
            format!(
                "review since {since}, until {until}{asked}: `pipelinectl review show {workflow_id}` shows the answer"
            )
        }
    })
}

/// Says what did not fit into which budget; a limit that has room is left out.
fn shortfall(missing: &BudgetShortfall) -> String {
    let short = |most: Option<f64>, used: f64, needed: f64| most.filter(|most| used + needed > *most);
    let mut parts = Vec::new();
    let cost = short(
        missing.max_cost_micros,
        missing.used_cost_micros,
        missing.needed_cost_micros,
    );
    if let Some(most) = cost {
        parts.push(format!(
            "{} of {} used, the next call can need {}",
            money::crossed(missing.used_cost_micros),
            money::crossed(most),
            money::crossed(missing.needed_cost_micros)
        ));
    }
    if let Some(most) = short(missing.max_tokens, missing.used_tokens, missing.needed_tokens) {
        parts.push(format!(
            "{} of {} tokens used, the next call can need {}",
            money::count(missing.used_tokens),
            money::count(most),
            money::count(missing.needed_tokens)
        ));
    }
    if let Some(seconds) = missing.resets_in_seconds {
        parts.push(format!("whole again in {}", moment::span(from_double(seconds))));
    }
    format!("{}: {}", missing.account, parts.join("; "))
}

fn remedy(workflow_id: &str, missing: &BudgetShortfall) -> String {
    if let Some(tenant) = missing.account.strip_prefix("tenant:") {
        return format!("`pipelinectl budget tenant set {tenant}` gives the tenant more");
    }
    let money = missing
        .max_cost_micros
        .is_some_and(|most| missing.used_cost_micros + missing.needed_cost_micros > most);
    let flag = if money || missing.max_tokens.is_none() {
        "--max-cost"
    } else {
        "--max-tokens"
    };
    format!("`pipelinectl budget raise {workflow_id} {flag} …` lets it go on")
}

/// Says what a run may spend.
pub(crate) fn budget(state: &BudgetState) -> String {
    let budget = state.budget.unwrap_or_default();
    let mut parts = Vec::new();
    parts.extend(budget.max_cost_micros.map(money::crossed));
    parts.extend(
        budget
            .max_tokens
            .map(|tokens| format!("{} tokens", money::count(tokens))),
    );
    if parts.is_empty() {
        parts.push("no limit".to_owned());
    }
    let raised = match state.revision {
        0 => String::new(),
        1 => ", raised once".to_owned(),
        times => format!(", raised {times} times"),
    };
    format!("{}{raised}", parts.join(" and "))
}

/// Says who raised what, when and why.
pub(crate) fn raise(made: &BudgetRaise) -> String {
    let raise = made.raise.clone().unwrap_or_default();
    let mut to = Vec::new();
    to.extend(raise.max_cost_micros.map(money::crossed));
    to.extend(
        raise
            .max_tokens
            .map(|tokens| format!("{} tokens", money::count(tokens))),
    );
    to.extend(
        raise
            .deadline_seconds
            .map(|seconds| format!("a deadline of {seconds} s")),
    );
    let why = raise
        .reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    format!(
        "{} by {} to {}{why}",
        moment::shown_seconds(made.raised_unix_seconds),
        actor(&raise.actor, made.actor_verified),
        to.join(", ")
    )
}

/// Says who acted, and whether anybody vouches for that.
pub(crate) fn actor(name: &str, verified: bool) -> String {
    if verified {
        name.to_owned()
    } else {
        format!("{name} (unverified)")
    }
}

/// Says how a review ended.
pub(crate) fn review(record: &ReviewRecord) -> String {
    let verdict = match record.verdict() {
        ReviewVerdict::Approve => "approved",
        ReviewVerdict::Reject => "rejected",
        ReviewVerdict::Edit => "edited",
        ReviewVerdict::Unspecified => "undecided",
    };
    let who = if record.by_timeout {
        "because nobody decided in time".to_owned()
    } else {
        format!("by {}", actor(&record.actor, record.actor_verified))
    };
    let why = record
        .comment
        .as_ref()
        .map(|comment| format!(": {comment}"))
        .unwrap_or_default();
    format!("{verdict} {who}{why}")
}

/// Says which model was left, and why.
pub(crate) fn route(step: &RouteStep) -> String {
    format!("{} ({}): {}: {}", step.model, step.step, step.code, step.message)
}

/// Says what calls used and cost.
pub(crate) fn usage(usage: &Usage) -> String {
    let calls = if usage.calls == 1 { "call" } else { "calls" };
    let about = if usage.estimated { " (estimated)" } else { "" };
    let mut words = format!(
        "{} {calls}, {} tokens in, {} out{about}",
        usage.calls, usage.input_tokens, usage.output_tokens
    );
    // What costs nothing has no price table.
    if usage.cost_micros > 0.0 || !usage.price_table.is_empty() {
        words = format!("{words}, {}", money::crossed(usage.cost_micros));
    }
    if usage.unknown_calls > 0 {
        words = format!(
            "{words}; {} of unknown outcome, at most {} more",
            usage.unknown_calls,
            money::crossed(usage.unknown_cost_micros)
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use workflow_types::proto::{Budget, RaiseBudget, ReviewWait};

    use super::*;

    fn missing(account: &str) -> Awaiting {
        Awaiting {
            reason: Some(Reason::Budget(BudgetShortfall {
                account: account.into(),
                max_cost_micros: Some(500_000.0),
                used_cost_micros: 480_000.0,
                needed_cost_micros: 30_000.0,
                resets_in_seconds: account.starts_with("tenant:").then_some(7_200.0),
                ..BudgetShortfall::default()
            })),
            since_unix_seconds: 0.0,
        }
    }

    #[test]
    fn a_wait_names_the_command_that_ends_it() {
        let text = awaiting("x", &missing("run:x")).unwrap();
        assert!(
            text.contains("0.48 of 0.50 used, the next call can need 0.03")
                && text.contains("`pipelinectl budget raise x --max-cost …`"),
            "{text}"
        );
        let text = awaiting("x", &missing("tenant:acme")).unwrap();
        assert!(
            text.contains("whole again in 2 h") && text.contains("`pipelinectl budget tenant set acme`"),
            "{text}"
        );
        let review = Awaiting {
            reason: Some(Reason::Review(ReviewWait {
                asked: "lead".into(),
                ..ReviewWait::default()
            })),
            since_unix_seconds: 0.0,
        };
        let text = awaiting("x", &review).unwrap();
        assert!(
            text.contains("asked: lead") && text.contains("review show x"),
            "{text}"
        );
        assert_eq!(briefly(Some(&review)), Some("waiting for a review"));
        assert_eq!(briefly(None), None);
    }

    #[test]
    fn a_limit_with_room_is_not_what_is_missing() {
        let missing = BudgetShortfall {
            account: "run:x".into(),
            max_cost_micros: Some(5.0),
            max_tokens: Some(20.0),
            used_tokens: 15.0,
            needed_tokens: 6.0,
            ..BudgetShortfall::default()
        };
        assert_eq!(
            shortfall(&missing),
            "run:x: 15 of 20 tokens used, the next call can need 6"
        );
        assert!(remedy("x", &missing).contains("--max-tokens"));
    }

    #[test]
    fn a_budget_says_its_limits_and_its_raises() {
        assert_eq!(budget(&BudgetState::default()), "no limit");
        let state = BudgetState {
            budget: Some(Budget {
                max_cost_micros: Some(1_000_000.0),
                max_tokens: Some(5_000.0),
                on_exhausted: None,
            }),
            revision: 2,
            deadline_seconds: 60,
        };
        assert_eq!(budget(&state), "1.00 and 5000 tokens, raised 2 times");
        let made = BudgetRaise {
            raise: Some(RaiseBudget {
                max_cost_micros: Some(2_000_000.0),
                actor: "ana".into(),
                reason: Some("more pages".into()),
                ..RaiseBudget::default()
            }),
            ..BudgetRaise::default()
        };
        assert_eq!(
            raise(&made),
            "1970-01-01T00:00:00Z by ana (unverified) to 2.00: more pages"
        );
    }

    #[test]
    fn money_is_said_where_there_is_any() {
        let mut used = Usage {
            calls: 1,
            ..Usage::default()
        };
        assert_eq!(usage(&used), "1 call, 0 tokens in, 0 out");
        used.cost_micros = 1_500.0;
        used.unknown_calls = 1;
        used.unknown_cost_micros = 20_000.0;
        assert_eq!(
            usage(&used),
            "1 call, 0 tokens in, 0 out, 0.0015; 1 of unknown outcome, at most 0.02 more"
        );
    }
}
