//! The provider as a program, for faults that need it to be a process of its own: one that is killed, or outlives a
//! worker that is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chaos_provider::{Options, Provider, Script};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a scripted OpenAI-compatible provider on 127.0.0.1 and prints its base address.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File that every call is written to, as JSON lines; an existing one is continued.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Script as a JSON file; without one every request gets a normal answer.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Header whose value is noted as the key of a call.
    #[arg(long, default_value = "idempotency-key")]
    key_header: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments {
        port,
        log,
        script,
        key_header,
    } = Arguments::parse();
    let script = script
        .as_deref()
        .map_or_else(|| Ok(Script::default()), read_script)?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let provider = Provider::start(Options {
        port,
        log,
        script,
        key_header,
        ..Options::default()
    })
    .await?;
    writeln!(std::io::stdout(), "{}", provider.base_url()).context("cannot print the address")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for an interrupt")?,
        _ = terminated.recv() => {}
    }
    provider.stop().await;
    Ok(())
}

fn read_script(path: &Path) -> anyhow::Result<Script> {
    let text = std::fs::read(path).with_context(|| format!("cannot read the script {}", path.display()))?;
    let mut json = serde_json::Deserializer::from_slice(&text);
    serde_path_to_error::deserialize(&mut json)
        .with_context(|| format!("the script {} is wrong", path.display()))
}
