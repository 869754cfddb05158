//! The flags of `review`: answers that wait for a person.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::BlobStoreArgs;

/// Commands of `review`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// Lists the runs whose answer waits for a person.
    List(ReviewListArgs),
    /// Prints the answer that waits; what is known of it goes to standard error.
    Show(ReviewShowArgs),
    /// Gives the answer.
    Approve(DecisionArgs),
    /// Withholds the answer.
    Reject(DecisionArgs),
    /// Gives another answer instead.
    Edit(EditArgs),
}

/// Which reviews to list.
#[derive(Debug, Args)]
pub(crate) struct ReviewListArgs {
    /// Only this tenant's.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Also the first line of each answer.
    #[arg(long)]
    pub(crate) show: bool,
    /// The most runs to list.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

/// Which review to show.
#[derive(Debug, Args)]
pub(crate) struct ReviewShowArgs {
    /// The workflow id.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) store: BlobStoreArgs,
}

/// A decision.
#[derive(Debug, Args)]
pub(crate) struct DecisionArgs {
    /// The workflow id.
    pub(crate) id: String,
    /// Why; kept.
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// A name for this decision, so that it can be sent again and is applied once; default a new one.
    #[arg(long, value_name = "NAME")]
    pub(crate) decision_id: Option<String>,
    /// Who decides; default the login name. It is recorded as unverified.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
}

/// An answer instead of the one that waits.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("answer").required(true)))]
pub(crate) struct EditArgs {
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
    /// The text; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", group = "answer")]
    pub(crate) text: Option<String>,
    /// A file of text.
    #[arg(long, value_name = "FILE", group = "answer")]
    pub(crate) text_file: Option<PathBuf>,
    /// A file of JSON, where a schema was asked for; `-` reads it from standard input.
    #[arg(long, value_name = "FILE", group = "answer")]
    pub(crate) json_file: Option<PathBuf>,
}
