//! `dev`: all of it on one machine, started with one command and stopped with one Ctrl-C.
//!
//! It runs the real binaries with a real configuration in a state folder, so what it starts can as well be started by
//! hand from the same files, and nothing works here that would not work in a cluster. Order matters twice: the server
//! answers before the search attributes are registered and those are there before a worker looks for them; and on the
//! way down the workers drain while the server can still take their results.
//!
//! Every child has a process group of its own, so that Ctrl-C reaches this program alone and the order is kept. What is
//! left when this program is killed is stopped by a [`guard`].

mod child;
mod fleet;
pub(crate) mod guard;
mod ports;
mod readiness;
mod signals;
mod start;
pub(crate) mod state;
mod worker_settings;

use std::path::PathBuf;

use clap::Args;

use crate::{exit::Exit, failure::Failure, session::Session};

use self::{
    fleet::Fleet,
    guard::Guard,
    signals::Signals,
    start::Plan,
    state::{DevState, Hints},
};

/// The state folder, in the current folder.
pub(crate) const STATE_FOLDER: &str = ".dev";

/// How to run everything here.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and any two go together"
)]
pub(crate) struct DevArgs {
    /// The server's port; 0 takes a free one.
    #[arg(long, default_value_t = 7233)]
    port: u16,
    /// The Web UI's port; 0 takes a free one, which is also the default beside `--port 0`.
    #[arg(long)]
    ui_port: Option<u16>,
    /// Starts no Web UI, whatever `--ui-port` says.
    #[arg(long)]
    headless: bool,
    /// Keeps runs in a file over restarts; several times slower than in memory.
    #[arg(long)]
    persist: bool,
    /// Where blobs, journal, logs and settings lie.
    #[arg(long, value_name = "FOLDER", default_value = STATE_FOLDER)]
    state_dir: PathBuf,
    /// Starts the server alone.
    #[arg(long)]
    no_workers: bool,
    /// Leaves a worker that ended down instead of starting it again.
    #[arg(long)]
    no_restart: bool,
    /// Writes addresses, process ids and log files as JSON here when everything is ready.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// The Temporal CLI; default the one that `make setup` fetched.
    #[arg(long, env = "TAW_TEMPORAL_BIN", value_name = "FILE")]
    temporal_bin: Option<PathBuf>,
    /// Where ai-worker and data-worker are; default beside this program.
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
    /// Where `make setup` keeps what it fetched; default temporal-ai-workers in the user's cache folder.
    #[arg(long, env = "TAW_CACHE", value_name = "FOLDER")]
    cache: Option<PathBuf>,
}

/// Runs everything until a signal, or until something that can't be started again has ended.
pub(crate) async fn run(args: &DevArgs, session: &Session) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let plan = Plan::make(args, session)?;
    forget(&plan, args);
    let mut fleet = Fleet::new(Guard::start()?, session.printer, !args.no_restart);
    let ended = tokio::select! {
        ended = serve(&plan, &mut fleet, args, session) => ended,
        () = signals.next() => Ok(()),
    };
    session.printer.remark("stopping; once more to stop at once");
    tokio::select! {
        () = fleet.stop() => {}
        () = signals.next() => fleet.kill().await,
    }
    forget(&plan, args);
    ended.map(|()| Exit::Success)
}

/// Removes what says that everything is ready, also what a killed `dev` left.
fn forget(plan: &Plan, args: &DevArgs) {
    DevState::remove(&plan.state_folder);
    if let Some(path) = &args.ready_file {
        // It need not be there.
        drop(std::fs::remove_file(path));
    }
}

async fn serve(plan: &Plan, fleet: &mut Fleet, args: &DevArgs, session: &Session) -> Result<(), Failure> {
    Box::pin(start::bring_up(plan, fleet, session)).await?;
    let publish = |fleet: &Fleet| -> Result<DevState, Failure> {
        let state = plan.state(fleet);
        state.write(&plan.state_folder)?;
        if let Some(path) = &args.ready_file {
            state.write_to(path)?;
        }
        Ok(state)
    };
    let state = publish(fleet)?;
    session
        .printer
        .either(&state, |state| state.words(&Hints::of(&state.state_folder, args)))?;
    loop {
        fleet.until_changed().await?;
        publish(fleet)?;
    }
}
