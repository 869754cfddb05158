//! Measures what is claimed of the workers, and prints Markdown tables.
//!
//! Processes are measured from outside, as an operator would: the binaries as they are shipped, `/proc`, and the probes.
//! A harness inside the process would measure itself too. Only the journal and the local model are called as libraries,
//! because their times are small beside everything around them. What is compared is measured in turns, so that a machine
//! that grows slower on the way does not decide the comparison; the median is shown, with the extremes beside it.
//!
//! Nothing is built here and nothing is judged: `docs/performance.md` says how to run it and how to read it.

mod arguments;
mod journal;
mod model;
mod pipeline;
mod proc;
mod report;
mod sizes;
mod stack;
mod workers;

use anyhow::Context as _;
use arguments::{Arguments, Bench, What};
use clap::{Parser as _, ValueEnum as _};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    let mut wanted = std::mem::take(&mut arguments.what);
    if wanted.is_empty() {
        wanted = What::value_variants().to_vec();
    }
    let bench = Bench::new(arguments)?;
    report::line(&proc::machine(&bench.bins))?;
    for what in wanted {
        let table = match what {
            What::Startup => workers::startup(&bench).await,
            What::Memory => workers::memory(&bench).await,
            What::Sizes => sizes::measure(&bench),
            What::Journal => journal::measure(&bench).await,
            What::Model => model::measure(&bench).await,
            What::Pipeline => pipeline::measure(&bench).await,
        };
        report::line(&table.with_context(|| format!("{what:?} was not measured"))?)?;
    }
    Ok(())
}
