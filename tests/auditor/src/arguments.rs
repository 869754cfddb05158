//! The command line of the program.

use std::path::PathBuf;

use auditor::Sources;
use clap::Parser;
use temporal_client::connection;

/// Holds a provider's bill, an effect journal and the runs' histories against each other.
#[derive(Debug, Parser)]
#[command(
    name = "audit",
    after_help = "Exit codes: 0 the verdict holds, 1 it doesn't, 70 there was no audit."
)]
pub(crate) struct Arguments {
    /// The log of a chaos-provider; may be repeated.
    #[arg(long = "bill", required = true, value_name = "FILE")]
    bills: Vec<PathBuf>,
    /// The journal: `sqlite:///path/journal.db` or `postgres://user@host/database`.
    #[arg(long, value_name = "URL")]
    journal: String,
    /// A file with the password of the journal's database.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The Temporal server whose histories are read.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// The namespace on that server.
    #[arg(long, default_value = "default", requires = "address")]
    namespace: String,
    /// Histories in files, as `pipelinectl history export` writes them.
    histories: Vec<PathBuf>,
    /// An effect that was asked for and has no result is a fault.
    #[arg(long)]
    pub(crate) every_key_answered: bool,
    /// Prints JSON and no table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// Gives where the accounts are.
    pub(crate) fn sources(&self) -> Sources {
        let mut journal = effect_journal::Options {
            url: self.journal.clone(),
            ..effect_journal::Options::default()
        };
        journal.postgres.password_file.clone_from(&self.password_file);
        let server = self.address.clone().map(|address| connection::Options {
            address: Some(address),
            namespace: Some(self.namespace.clone()),
            identity: "auditor".to_owned(),
            ..connection::Options::default()
        });
        Sources {
            bills: self.bills.clone(),
            journal,
            server,
            histories: self.histories.clone(),
        }
    }
}
