//! The audit as a program, so that whoever doubts a verdict can ask for it again.

use std::{
    collections::HashMap,
    env,
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use anyhow::Context as _;
use auditor::{Verdict, audit, evidence, table};
use clap::Parser as _;

mod arguments;

use arguments::Arguments;

/// The verdict doesn't hold.
const BROKEN: u8 = 1;
/// There was no audit.
const FAULT: u8 = 70;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(verdict) if verdict.holds => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(BROKEN),
        Err(error) => {
            // Nobody is left to be told that even this failed.
            drop(writeln!(stderr(), "audit: {error:#}"));
            ExitCode::from(FAULT)
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<Verdict> {
    let mut found = evidence(&arguments.sources(), &environment()).await?;
    found.every_key_answered = arguments.every_key_answered;
    let verdict = audit(&found);
    let text = if arguments.json {
        serde_json::to_string_pretty(&verdict)? + "\n"
    } else {
        table(&verdict)
    };
    stdout()
        .write_all(text.as_bytes())
        .context("cannot print the verdict")?;
    Ok(verdict)
}

/// The variables that are text; nothing that is read here can be anything else.
fn environment() -> HashMap<String, String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
