//! `budget tenant`: limits over all runs of a tenant, kept in the effect journal.

use effect_journal::{Allowance, Amount, Journal, Period, TenantBudget, TenantStanding};
use serde_json::json;

use crate::{
    cli::{PeriodArg, TenantCommand, TenantListArgs, TenantRemoveArgs, TenantSetArgs, WhoArgs},
    exit::Exit,
    failure::Failure,
    moment,
    money::{CostArg, micros},
    session::Session,
    spend::{camel, open},
    table::{columns, header},
};

/// Runs a command of `budget tenant`.
pub(super) async fn run(command: &TenantCommand, session: &Session) -> Result<Exit, Failure> {
    match command {
        TenantCommand::Set(args) => set(args, session).await,
        TenantCommand::List(args) => list(args, session).await,
        TenantCommand::Remove(args) => remove(args, session).await,
    }
}

async fn set(args: &TenantSetArgs, session: &Session) -> Result<Exit, Failure> {
    check_name(&args.name)?;
    let budget = TenantBudget {
        tenant: args.name.clone(),
        period: period(args.period),
        max: Allowance {
            cost_micros: args.max_cost.map(CostArg::micros),
            tokens: args.max_tokens,
        },
    };
    let journal = open(&args.journal, session).await?;
    change(journal.as_ref(), budget.clone(), &args.who, session).await?;
    session.printer.either(&camel(&budget)?, |_| {
        format!(
            "tenant {} may spend {} {}",
            budget.tenant,
            allowance(budget.max),
            each(budget.period)
        )
    })?;
    Ok(Exit::Success)
}

async fn remove(args: &TenantRemoveArgs, session: &Session) -> Result<Exit, Failure> {
    let period = period(args.period);
    let journal = open(&args.journal, session).await?;
    let budgets = journal.tenant_budgets().await?;
    let there =
        |standing: &TenantStanding| standing.budget.tenant == args.name && standing.budget.period == period;
    if !budgets.iter().any(there) {
        return Err(Failure::not_found(format!(
            "tenant `{}` has no budget for {period}; `pipelinectl budget tenant list` shows those there are",
            args.name
        )));
    }
    // A budget that limits nothing is none.
    let budget = TenantBudget {
        tenant: args.name.clone(),
        period,
        max: Allowance::default(),
    };
    change(journal.as_ref(), budget, &args.who, session).await?;
    let answer = json!({"tenant": args.name, "period": period, "removed": true});
    session.printer.either(&answer, |_| {
        format!("removed the budget of tenant {} {}", args.name, each(period))
    })?;
    Ok(Exit::Success)
}

async fn change(
    journal: &dyn Journal,
    budget: TenantBudget,
    who: &WhoArgs,
    session: &Session,
) -> Result<(), Failure> {
    let actor = session.actor(who.actor.as_deref())?;
    let reason = who.reason.as_deref().unwrap_or_default();
    Ok(journal.set_tenant_budget(&actor, reason, budget).await?)
}

async fn list(args: &TenantListArgs, session: &Session) -> Result<Exit, Failure> {
    let journal = open(&args.journal, session).await?;
    let mut budgets = journal.tenant_budgets().await?;
    budgets.retain(|standing| {
        args.tenant
            .as_ref()
            .is_none_or(|tenant| standing.budget.tenant == *tenant)
    });
    session.printer.either(&camel(&budgets)?, |_| table(&budgets))?;
    Ok(Exit::Success)
}

/// A request's tenant can hold nothing else, so a budget for another name would never count.
fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(Failure::bad_input(format!(
            "`{name}` can be no tenant: give 1 to 64 letters, digits or ._-"
        )));
    }
    Ok(())
}

fn period(arg: PeriodArg) -> Period {
    match arg {
        PeriodArg::Day => Period::Day,
        PeriodArg::Month => Period::Month,
        PeriodArg::Total => Period::Total,
    }
}

fn each(period: Period) -> &'static str {
    match period {
        Period::Day => "each day",
        Period::Month => "each month",
        Period::Total => "in all",
    }
}

fn allowance(max: Allowance) -> String {
    let money = max.cost_micros.map(micros);
    let tokens = max.tokens.map(|tokens| format!("{tokens} tokens"));
    let parts: Vec<String> = money.into_iter().chain(tokens).collect();
    parts.join(" and ")
}

fn used(max: Allowance, used: Amount) -> String {
    let money = max.cost_micros.map(|_| micros(used.cost_micros));
    let tokens = max.tokens.map(|_| format!("{} tokens", used.tokens));
    let parts: Vec<String> = money.into_iter().chain(tokens).collect();
    parts.join(" and ")
}

fn table(budgets: &[TenantStanding]) -> String {
    if budgets.is_empty() {
        return "no tenant has a budget".to_owned();
    }
    let mut rows = vec![header(&[
        "TENANT",
        "PERIOD",
        "MAY SPEND",
        "USED",
        "BEGINS ANEW",
        "SET",
        "BY",
    ])];
    for standing in budgets {
        rows.push(vec![
            standing.budget.tenant.clone(),
            standing.budget.period.to_string(),
            allowance(standing.budget.max),
            used(standing.budget.max, standing.used),
            standing
                .resets_unix_ms
                .map_or_else(|| "-".to_owned(), moment::shown),
            moment::shown(standing.changed_unix_ms),
            standing.changed_by.clone(),
        ]);
    }
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_s_budget_is_shown_in_the_units_it_limits() {
        let standing = TenantStanding {
            budget: TenantBudget {
                tenant: "acme".into(),
                period: Period::Day,
                max: Allowance {
                    cost_micros: Some(100_000_000),
                    tokens: None,
                },
            },
            used: Amount {
                cost_micros: 1_250_000,
                tokens: 900,
            },
            resets_unix_ms: Some(86_400_000),
            changed_unix_ms: 0,
            changed_by: "ana".into(),
        };
        let text = table(&[standing]);
        assert!(
            text.contains("acme    day     100.00     1.25  1970-01-02T00:00:00Z"),
            "{text}"
        );
        assert!(!text.contains("900"), "{text}");
        assert_eq!(table(&[]), "no tenant has a budget");
    }

    #[test]
    fn a_name_that_no_request_can_have_is_refused() {
        assert!(check_name("acme-1").is_ok());
        for name in ["", "a b", "a/b", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
