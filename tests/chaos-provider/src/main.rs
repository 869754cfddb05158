//! The provider as a program, for faults that need it to be a process of its own: one that is killed, or outlives a
//! worker that is. It also sums up what its log says.

use std::io::{Write as _, stderr, stdout};

use anyhow::Context as _;
use chaos_provider::{Options, Provider, read_log, sums, table, total};
use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

mod arguments;

use arguments::{Arguments, BillArguments, Command};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Bill(arguments)) => print_bill(&arguments),
        None => serve(arguments.serve.options()?).await,
    }
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let provider = Provider::start(options).await?;
    writeln!(stderr(), "seed {}", provider.seed()).context("cannot print the seed")?;
    writeln!(stdout(), "{}", provider.base_url()).context("cannot print the address")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for an interrupt")?,
        _ = terminated.recv() => {}
    }
    provider.stop().await;
    Ok(())
}

fn print_bill(BillArguments { log, by, json }: &BillArguments) -> anyhow::Result<()> {
    let records = read_log(log)?;
    let (mut rows, total) = (sums(&records, *by), total(&records));
    let text = if *json {
        let bill = json!({"by": by, "rows": rows, "total": total});
        serde_json::to_string_pretty(&bill)? + "\n"
    } else {
        rows.push(total);
        table(&rows)
    };
    stdout()
        .write_all(text.as_bytes())
        .context("cannot print the bill")
}
