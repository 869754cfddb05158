//! `budget`: what runs and tenants may spend.
//!
//! The two live in different places. A run's budget is part of the run: it is raised by an update and stands in its
//! history. A tenant's outlives runs and is kept in the effect journal, where every call of the tenant reserves what it
//! can cost; a change is written there with the name of whoever made it.

mod tenant;

use serde_json::json;
use temporal_client::run::AnyRun;
use workflow_types::proto::{Awaiting, BudgetRaise, BudgetState, RaiseBudget, Usage};

use crate::{
    cli::{BudgetCommand, DurationArg, IdArgs, RaiseArgs},
    exit::Exit,
    failure::Failure,
    llm::tokens,
    money::CostArg,
    session::Session,
    table::Facts,
    waits,
};

/// Runs a command of `budget`.
pub(crate) async fn run(command: &BudgetCommand, session: &Session) -> Result<Exit, Failure> {
    match command {
        BudgetCommand::Raise(args) => raise(args, session).await,
        BudgetCommand::Show(args) => show(args, session).await,
        BudgetCommand::Tenant { command } => tenant::run(command, session).await,
    }
}

async fn raise(args: &RaiseArgs, session: &Session) -> Result<Exit, Failure> {
    let raise = RaiseBudget {
        max_cost_micros: args.max_cost.map(CostArg::to_double),
        max_tokens: args.max_tokens.map(tokens),
        deadline_seconds: args.deadline.map(DurationArg::seconds),
        actor: session.actor(args.who.actor.as_deref())?,
        reason: args.who.reason.clone(),
    };
    let client = session.connect().await?;
    let run = client.find_run(&args.id).await?;
    let state = run.raise_budget(raise).await?;
    let answer = json!({"workflowId": args.id, "budget": state});
    session.printer.either(&answer, |_| {
        format!(
            "{} may spend {}; its deadline is {} s after its start",
            args.id,
            waits::budget(&state),
            state.deadline_seconds
        )
    })?;
    Ok(Exit::Success)
}

/// What there is to say about a run's budget.
struct Standing {
    budget: BudgetState,
    raises: Vec<BudgetRaise>,
    awaiting: Option<Awaiting>,
    usage: Usage,
}

async fn show(args: &IdArgs, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let standing = match client.find_run(&args.id).await? {
        AnyRun::LlmPipeline(run) => {
            let (status, usage) = (run.status().await?, run.usage().await?);
            Standing {
                budget: status.budget.unwrap_or_default(),
                raises: status.raises,
                awaiting: status.awaiting,
                usage,
            }
        }
        AnyRun::LlmBatch(run) => {
            let (status, usage) = (run.status().await?, run.usage().await?);
            Standing {
                budget: status.budget.unwrap_or_default(),
                raises: status.raises,
                awaiting: status.awaiting,
                usage,
            }
        }
    };
    let answer = json!({
        "workflowId": args.id,
        "budget": standing.budget,
        "usage": standing.usage,
        "raises": standing.raises,
        "awaiting": standing.awaiting,
    });
    session.printer.either(&answer, |_| words(&args.id, &standing))?;
    Ok(Exit::Success)
}

fn words(id: &str, standing: &Standing) -> String {
    let awaiting = standing.awaiting.as_ref();
    let facts = Facts::default()
        .line("id", id.to_owned())
        .line("budget", waits::budget(&standing.budget))
        .line("used", waits::usage(&standing.usage))
        .line(
            "deadline",
            format!("{} s after its start", standing.budget.deadline_seconds),
        )
        .line(
            "waits for",
            awaiting.and_then(|awaiting| waits::awaiting(id, awaiting)),
        );
    standing
        .raises
        .iter()
        .fold(facts, |facts, made| facts.line("raised", waits::raise(made)))
        .text()
}

#[cfg(test)]
mod tests {
    use workflow_types::proto::Budget;

    use super::*;

    #[test]
    fn a_budget_is_shown_with_what_was_used_of_it() {
        let standing = Standing {
            budget: BudgetState {
                budget: Some(Budget {
                    max_cost_micros: Some(500_000.0),
                    ..Budget::default()
                }),
                revision: 1,
                deadline_seconds: 600,
            },
            raises: vec![BudgetRaise::default()],
            awaiting: None,
            usage: Usage {
                calls: 2,
                cost_micros: 120_000.0,
                ..Usage::default()
            },
        };
        let text = words("x", &standing);
        for line in [
            "budget      0.50, raised once\n",
            "used        2 calls, 0 tokens in, 0 out, 0.12\n",
            "deadline    600 s after its start\n",
            "raised      1970",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("waits for"), "{text}");
    }
}
