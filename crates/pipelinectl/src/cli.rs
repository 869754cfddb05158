//! The command line as types.
//!
//! All flags lie here and below, because they are a contract with scripts and are reviewed as one. Doc comments are the
//! help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{dev::DevArgs, output::Format};

mod budget;
mod llm;
mod review;
mod spend;
mod spending;

pub(crate) use budget::{
    BudgetCommand, PeriodArg, RaiseArgs, TenantCommand, TenantListArgs, TenantRemoveArgs, TenantSetArgs,
    WhoArgs,
};
pub(crate) use llm::{BlobStoreArgs, DurationArg, OnUnknownArg, PlacementArg, RequestArgs, RunArgs};
pub(crate) use review::{DecisionArgs, EditArgs, ReviewCommand, ReviewListArgs, ReviewShowArgs};
pub(crate) use spend::{
    ActionArg, AttemptsArgs, CallArgs, DimensionArg, JournalArgs, NotesArgs, ReportArgs, SettleArgs,
    SpendCommand, StateArg,
};
pub(crate) use spending::{ExhaustedArg, ReviewArg, ReviewTimeoutArg, SpendingArgs};

/// Starts, watches, stops and inspects durable AI pipelines.
#[derive(Debug, Parser)]
#[command(name = "pipelinectl", version, max_term_width = 110, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "The connection is set by Temporal's own TEMPORAL_* variables and profile file, as for every \
Temporal program.\n\nExit codes: 0 done, 1 the run failed, 2 usage, 3 the run was cancelled, 64 bad input or setting, \
69 no server or worker, 70 fault, 75 the time to wait is over, 130 interrupted.";

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct GlobalArgs {
    /// What is printed: text for people, JSON for programs.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) output: Format,
    /// Shows step times and other details on standard error.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// The server, instead of `TEMPORAL_ADDRESS`.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) address: Option<String>,
    /// The namespace, instead of `TEMPORAL_NAMESPACE`.
    #[arg(long, global = true)]
    pub(crate) namespace: Option<String>,
    /// The profile in Temporal's profile file, instead of `TEMPORAL_PROFILE`.
    #[arg(long, global = true)]
    pub(crate) profile: Option<String>,
    /// The profile file, instead of `TEMPORAL_CONFIG_FILE`.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) profile_file: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a Temporal server with its Web UI and both workers on this machine; Ctrl-C stops all.
    Dev(DevArgs),
    /// Registers the search attributes in a namespace; safe to repeat.
    Setup,
    /// Asks a model, durably.
    Llm {
        #[command(subcommand)]
        command: LlmCommand,
    },
    /// Shows where a run is and what it used.
    Status(IdArgs),
    /// Follows a run until it ends, then prints its result; the exit code is the result's.
    Watch(FollowArgs),
    /// Prints the answer of a run while it is generated, from any machine that reaches the blob store.
    Follow(StreamArgs),
    /// Prints the result of a run, waiting for it if necessary.
    Result(ResultArgs),
    /// Stops a run, which cleans up after itself.
    Cancel(CancelArgs),
    /// Lists runs, the latest first.
    List(ListArgs),
    /// Shows what the server knows of a run, with pending activities and their last failures.
    Describe(DescribeArgs),
    /// What runs and tenants may spend.
    Budget {
        #[command(subcommand)]
        command: BudgetCommand,
    },
    /// Answers that wait for a person's decision.
    Review {
        #[command(subcommand)]
        command: ReviewCommand,
    },
    /// What was spent, from the workers' effect journal.
    Spend {
        #[command(subcommand)]
        command: SpendCommand,
    },
    /// Exports the history of a run.
    History {
        #[command(subcommand)]
        command: HistoryCommand,
    },
    /// Prints the completions of a shell, for example `pipelinectl completions bash`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Stops what a killed `dev` left; started by `dev` itself.
    #[command(hide = true)]
    Guard,
}

/// Commands of `llm`.
#[derive(Debug, Subcommand)]
pub(crate) enum LlmCommand {
    /// Runs one request, or every file of a folder, or every line of a JSONL file.
    Run(Box<RunArgs>),
}

/// Commands of `history`.
#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Writes a history as JSON for replay (the Rust SDK's form, not that of the Temporal CLI).
    Export(ExportArgs),
}

/// A run.
#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// The workflow id.
    pub(crate) id: String,
}

/// A run to follow.
#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// The workflow id.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) result: ResultPrintArgs,
    /// Gives up waiting after this time, for example 90s, 10m, 2h; the run goes on.
    #[arg(long, value_name = "TIME")]
    pub(crate) wait_timeout: Option<DurationArg>,
}

/// A run whose answer is read while it is generated.
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    /// The workflow id.
    pub(crate) id: String,
    /// Gives up waiting after this time, for example 90s, 10m, 2h; the run goes on.
    #[arg(long, value_name = "TIME")]
    pub(crate) wait_timeout: Option<DurationArg>,
    #[command(flatten)]
    pub(crate) store: BlobStoreArgs,
}

/// A run whose result is wanted.
#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
    /// Ends with 75 when the run has not ended.
    #[arg(long, conflicts_with = "wait_timeout")]
    pub(crate) no_wait: bool,
}

/// How a result is printed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Result")]
pub(crate) struct ResultPrintArgs {
    /// Writes the answer, or a batch's results as JSONL, to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Ends with 1 unless every answer is complete and in the form that was asked for.
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) store: BlobStoreArgs,
}

/// A run to stop.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The workflow id.
    pub(crate) id: String,
    /// Why; kept in the run's history.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Uses Temporal's own cancellation instead of the signal `cancel`.
    #[arg(long)]
    pub(crate) native: bool,
}

/// Which runs to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only runs in this state.
    #[arg(long, value_enum)]
    pub(crate) status: Option<StatusArg>,
    /// Only runs of this pipeline.
    #[arg(long, value_enum)]
    pub(crate) pipeline: Option<PipelineArg>,
    /// Only this tenant's runs.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only runs that wait for this.
    #[arg(long, value_enum)]
    pub(crate) awaiting: Option<AwaitingArg>,
    /// Also the runs that a batch started for its items.
    #[arg(long)]
    pub(crate) children: bool,
    /// The most runs to list.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

/// A run to describe.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The workflow id.
    pub(crate) id: String,
    /// One run of it; default the latest.
    #[arg(long)]
    pub(crate) run_id: Option<String>,
}

/// A history to export.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The workflow id.
    pub(crate) id: String,
    /// One run of it; default the latest. A batch that continued as new has one history a run.
    #[arg(long)]
    pub(crate) run_id: Option<String>,
    /// The file to write; default standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// A state to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusArg {
    /// Not ended.
    Running,
    /// Gave its output.
    Completed,
    /// Failed.
    Failed,
    /// Cancelled, and cleaned up.
    Canceled,
    /// Ended from outside.
    Terminated,
    /// Reached its execution timeout.
    TimedOut,
}

/// What a run can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AwaitingArg {
    /// Room in a budget.
    Budget,
    /// A person's decision about its answer.
    Review,
}

/// A pipeline to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PipelineArg {
    /// One request to a model.
    Llm,
    /// A file of requests.
    LlmBatch,
}

#[cfg(test)]
mod tests;
