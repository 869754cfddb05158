//! The flags of `spend`: reading the ledger, and correcting it by a person's word.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::{moment::MomentArg, money::CostArg};

/// Which effect journal: that of the workers.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct JournalArgs {
    /// The workers' effect journal, sqlite:///… or postgres://…; default that of `pipelinectl dev` in this folder, else
    /// the one in the user's state folder.
    #[arg(long, env = "PIPELINECTL__JOURNAL__URL", value_name = "URL")]
    pub(crate) journal: Option<String>,
    /// A file with the password of a PostgreSQL journal.
    #[arg(
        long,
        env = "PIPELINECTL__JOURNAL__POSTGRES__PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub(crate) journal_password_file: Option<PathBuf>,
    /// A PEM file with the authorities that may vouch for the server of a PostgreSQL journal.
    #[arg(long, env = "PIPELINECTL__JOURNAL__POSTGRES__CA_FILE", value_name = "FILE")]
    pub(crate) journal_ca_file: Option<PathBuf>,
    /// The schema that holds the tables of a PostgreSQL journal.
    #[arg(long, env = "PIPELINECTL__JOURNAL__POSTGRES__SCHEMA", value_name = "NAME")]
    pub(crate) journal_schema: Option<String>,
}

/// Commands of `spend`.
#[derive(Debug, Subcommand)]
pub(crate) enum SpendCommand {
    /// Sums what was spent.
    Report(ReportArgs),
    /// Lists calls one by one.
    Attempts(AttemptsArgs),
    /// Ends a call of unknown outcome by what the provider's bill says; leaves a note.
    Settle(SettleArgs),
    /// Lists what was changed by hand, the latest first.
    Notes(NotesArgs),
}

/// Which calls.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which calls")]
pub(crate) struct CallArgs {
    /// Only calls claimed since: a day in UTC, a time, or how long ago, for example 2026-11-05 or 7d.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<MomentArg>,
    /// Only calls claimed before: a day in UTC, a time, or how long ago.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<MomentArg>,
    /// Only calls for this tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only calls of this model, as the provider names it.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Only calls to this provider.
    #[arg(long)]
    pub(crate) provider: Option<String>,
}

/// What to sum.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// What to sum by, in this order; several are separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["tenant", "model"])]
    pub(crate) by: Vec<DimensionArg>,
    #[command(flatten)]
    pub(crate) calls: CallArgs,
    /// Only calls of workflows whose id begins like this, in the namespace of `--namespace` or in any.
    #[arg(long, value_name = "ID")]
    pub(crate) workflow: Option<String>,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

/// What calls can be summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DimensionArg {
    /// The tenant.
    Tenant,
    /// The model.
    Model,
    /// The provider.
    Provider,
    /// The workflow.
    Workflow,
    /// The run.
    Run,
    /// The day in UTC.
    Day,
    /// The version of the prices.
    PriceTable,
    /// Where the call stands.
    State,
}

/// Which calls to list.
#[derive(Debug, Args)]
pub(crate) struct AttemptsArgs {
    /// Only calls that stand here; `unknown` are those that can be settled by hand.
    #[arg(long, value_enum)]
    pub(crate) state: Option<StateArg>,
    #[command(flatten)]
    pub(crate) calls: CallArgs,
    /// Only calls of this workflow, in the namespace of `--namespace` or `default`.
    #[arg(long, value_name = "ID")]
    pub(crate) workflow: Option<String>,
    /// The most calls to list.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateArg {
    /// Granted, and nothing has left the worker.
    Reserved,
    /// Sent to the provider.
    Sent,
    /// Answered.
    Settled,
    /// Ended without a bill.
    Released,
    /// Sent, and what became of it could not be learned.
    Unknown,
}

/// What became of a call.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("outcome").required(true)))]
pub(crate) struct SettleArgs {
    /// The effect's key, as `spend attempts` shows it.
    pub(crate) key: String,
    /// The number of the attempt within the effect.
    pub(crate) fence: u32,
    /// The provider billed it, as the other flags say.
    #[arg(long, group = "outcome", requires_all = ["input_tokens", "output_tokens", "cost"])]
    pub(crate) billed: bool,
    /// The provider did not bill it.
    #[arg(long, group = "outcome")]
    pub(crate) not_billed: bool,
    /// Tokens read, cached ones included.
    #[arg(long, value_name = "TOKENS", conflicts_with = "not_billed")]
    pub(crate) input_tokens: Option<u64>,
    /// Tokens written, reasoning included.
    #[arg(long, value_name = "TOKENS", conflicts_with = "not_billed")]
    pub(crate) output_tokens: Option<u64>,
    /// What it cost, in the price table's currency, for example 0.0125.
    #[arg(long, value_name = "AMOUNT", conflicts_with = "not_billed")]
    pub(crate) cost: Option<CostArg>,
    /// Why, for example the number of the bill; kept.
    #[arg(long)]
    pub(crate) reason: String,
    /// Who says so; default the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

/// Which notes.
#[derive(Debug, Args)]
pub(crate) struct NotesArgs {
    /// Only notes of this kind.
    #[arg(long, value_enum)]
    pub(crate) action: Option<ActionArg>,
    /// Only notes on this effect.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Only notes by this person.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// The most notes to list.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    /// Only notes before the one of this number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<i64>,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
}

/// What a note remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActionArg {
    /// A call was settled by hand.
    SettleByHand,
    /// An answer came after all and replaced such a word.
    LateAnswer,
    /// A tenant's budget was set or removed.
    SetTenantBudget,
}
