//! The command line of the program, and the files that it names.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chaos_provider::{Algorithm, By, Counts, Limit, Options, Script};
use clap::{Args, Parser, Subcommand};
use serde::de::DeserializeOwned;

/// Runs a model provider on 127.0.0.1 that misbehaves on script, and prints its base address.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sums the calls of a log up.
    Bill(BillArguments),
}

#[derive(Debug, Args)]
pub(crate) struct BillArguments {
    /// The log that a provider wrote.
    pub(crate) log: PathBuf,
    /// What the calls are summed by.
    #[arg(long, value_enum, default_value = "model")]
    pub(crate) by: By,
    /// Prints JSON and no table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File that every call is written to, as JSON lines; an existing one is continued.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Script as a JSON file; without one every request gets a normal answer.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Rate limits as a JSON file with a list of them.
    #[arg(long, conflicts_with_all = ["requests_per_minute", "tokens_per_minute", "in_flight"])]
    limits: Option<PathBuf>,
    /// Prices as a JSON file with a list of them; without one every call is free.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Seed that chances and latencies are drawn by; one is made up and printed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Key that every request must bear.
    #[arg(long)]
    api_key: Option<String>,
    /// Header whose value is noted as the key of a call.
    #[arg(long, default_value = "idempotency-key")]
    key_header: String,
    /// Requests in a minute that are let through for each model and key.
    #[arg(long)]
    requests_per_minute: Option<u32>,
    /// Tokens in a minute that are let through for each model and key.
    #[arg(long)]
    tokens_per_minute: Option<u64>,
    /// Calls at the same time that are let through for each model and key.
    #[arg(long)]
    in_flight: Option<u32>,
    /// How a minute is counted.
    #[arg(long, value_enum, default_value = "token-bucket")]
    algorithm: Algorithm,
    /// Which tokens of a call count.
    #[arg(long, value_enum, default_value = "actual")]
    counts: Counts,
}

impl Serve {
    /// Reads the files that the arguments name.
    pub(crate) fn options(self) -> anyhow::Result<Options> {
        let one = Limit {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            in_flight: self.in_flight,
            algorithm: self.algorithm,
            counts: self.counts,
            ..Limit::default()
        };
        let is_limited =
            one.requests_per_minute.is_some() || one.tokens_per_minute.is_some() || one.in_flight.is_some();
        let limits = match &self.limits {
            Some(path) => read("limits", path)?,
            None if is_limited => vec![one],
            None => Vec::new(),
        };
        Ok(Options {
            port: self.port,
            log: self.log,
            script: self
                .script
                .map_or_else(|| Ok(Script::default()), |path| read("script", &path))?,
            limits,
            prices: self
                .prices
                .map_or_else(|| Ok(Vec::new()), |path| read("prices", &path))?,
            seed: self.seed,
            api_key: self.api_key,
            key_header: self.key_header,
        })
    }
}

fn read<T: DeserializeOwned>(what: &str, path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).with_context(|| format!("cannot read the {what} {}", path.display()))?;
    let mut json = serde_json::Deserializer::from_slice(&text);
    serde_path_to_error::deserialize(&mut json)
        .with_context(|| format!("the {what} {} is wrong", path.display()))
}
