//! The flags of `budget`: what a run or a tenant may spend.

use clap::{Args, Subcommand, ValueEnum};

use crate::money::CostArg;

use super::{DurationArg, IdArgs, spend::JournalArgs};

/// Commands of `budget`.
#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// Gives a run more money, tokens or time; one that waits for it goes on.
    Raise(RaiseArgs),
    /// Shows what a run may spend, what it spent, and who raised it.
    Show(IdArgs),
    /// What tenants may spend, over all their runs.
    Tenant {
        #[command(subcommand)]
        command: TenantCommand,
    },
}

/// Commands of `budget tenant`.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Sets what a tenant may spend in each day, each month, or in all; what is not named is not limited.
    Set(TenantSetArgs),
    /// Lists the tenants' budgets and what is used of them.
    List(TenantListArgs),
    /// Removes a budget; the tenant's calls go on being counted.
    Remove(TenantRemoveArgs),
}

/// What a run gets more of.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("more").required(true).multiple(true)))]
pub(crate) struct RaiseArgs {
    /// The workflow id.
    pub(crate) id: String,
    /// The new limit of money, in the price table's currency, for example 2.50.
    #[arg(long, value_name = "AMOUNT", group = "more")]
    pub(crate) max_cost: Option<CostArg>,
    /// The new limit of tokens, read and written together.
    #[arg(long, value_name = "TOKENS", group = "more")]
    pub(crate) max_tokens: Option<u64>,
    /// The new deadline, counted from the start of the run, for example 2h.
    #[arg(long, value_name = "TIME", group = "more")]
    pub(crate) deadline: Option<DurationArg>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

/// Who changes something, and why.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WhoArgs {
    /// Why; kept.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Who does it; default the login name. It is recorded as unverified.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
}

/// What a tenant may spend.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("limit").required(true).multiple(true)))]
pub(crate) struct TenantSetArgs {
    /// The tenant.
    pub(crate) name: String,
    /// The time it counts over; days and months are those of UTC.
    #[arg(long, value_enum)]
    pub(crate) period: PeriodArg,
    /// The most money, in the price table's currency, for example 100.
    #[arg(long, value_name = "AMOUNT", group = "limit")]
    pub(crate) max_cost: Option<CostArg>,
    /// The most tokens, read and written together.
    #[arg(long, value_name = "TOKENS", group = "limit")]
    pub(crate) max_tokens: Option<u64>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

/// Whose budgets to list.
#[derive(Debug, Args)]
pub(crate) struct TenantListArgs {
    /// Only this tenant's.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

/// Which budget to remove.
#[derive(Debug, Args)]
pub(crate) struct TenantRemoveArgs {
    /// The tenant.
    pub(crate) name: String,
    /// The time it counts over.
    #[arg(long, value_enum)]
    pub(crate) period: PeriodArg,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

/// The time that a tenant's budget counts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeriodArg {
    /// Each day.
    Day,
    /// Each month.
    Month,
    /// From the beginning.
    Total,
}
