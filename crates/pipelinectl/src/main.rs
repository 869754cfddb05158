#![doc = include_str!("../README.md")]

mod budget;
mod cli;
mod dev;
mod digest;
mod exit;
mod failure;
mod history;
mod llm;
mod moment;
mod money;
mod out_file;
mod output;
mod review;
mod runs;
mod session;
mod setup;
mod spend;
mod stream;
mod table;
mod usage;
mod waits;

use std::{collections::HashMap, process::ExitCode};

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Command, HistoryCommand, LlmCommand},
    exit::Exit,
    failure::Failure,
    output::Printer,
    session::Session,
};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match usage::parse(&arguments) {
        Ok(cli) => cli,
        Err(usage::Refused::Told(failure)) => {
            Printer::new(output::Format::Json, false).failure(&failure);
            return failure.exit.into();
        }
        Err(usage::Refused::Shown(error)) => error.exit(),
    };
    let printer = Printer::new(cli.global.output, cli.global.verbose);
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("the runtime cannot be started: {error}")))
        .and_then(|runtime| runtime.block_on(run(cli, printer)));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}

async fn run(cli: Cli, printer: Printer) -> Result<Exit, Failure> {
    let session = Session::new(cli.global, environment(), printer);
    match cli.command {
        Command::Dev(args) => Box::pin(dev::run(&args, &session)).await,
        Command::Guard => dev::guard::run().await,
        Command::Setup => setup::run(&session).await,
        Command::Llm {
            command: LlmCommand::Run(args),
        } => Box::pin(llm::run(*args, &session)).await,
        Command::Status(args) => runs::status(&args.id, &session).await,
        Command::Watch(args) => Box::pin(runs::watch(&args, &session)).await,
        Command::Follow(args) => Box::pin(runs::stream(&args, &session)).await,
        Command::Result(args) => Box::pin(runs::result(&args, &session)).await,
        Command::Cancel(args) => runs::cancel(&args, &session).await,
        Command::List(args) => runs::list(&args, &session).await,
        Command::Describe(args) => runs::describe(&args, &session).await,
        Command::Budget { command } => Box::pin(budget::run(&command, &session)).await,
        Command::Review { command } => Box::pin(review::run(&command, &session)).await,
        Command::Spend { command } => spend::run(&command, &session).await,
        Command::History {
            command: HistoryCommand::Export(args),
        } => history::export(&args, &session).await,
        Command::Completions { shell } => {
            // Into memory first: the generator panics when a reader such as `head` has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pipelinectl", &mut script);
            output::answer(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Success)
        }
    }
}

/// The variables that are text; nothing that is read here can be anything else.
fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
