//! What is measured, with what, and where: the command line and what it comes to.
//!
//! All folders are made absolute here, because the processes that are measured run in folders of their own.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

/// Measures the workers and prints Markdown tables.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What to measure; everything when absent.
    #[arg(value_enum)]
    pub(crate) what: Vec<What>,
    /// Where ai-worker, data-worker and pipelinectl are.
    #[arg(long, value_name = "FOLDER", default_value = "target/release")]
    bins: PathBuf,
    /// What `make setup` fetched.
    #[arg(long, value_name = "FOLDER", env = "TAW_CACHE")]
    cache: Option<PathBuf>,
    /// The local model; default the one in the cache.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Where journals and states of the measured processes are written, on the disk that matters.
    #[arg(long, value_name = "FOLDER", default_value = ".dev/bench")]
    scratch: PathBuf,
    /// Repeats of every measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Workflows of one repeat of `pipeline`.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    workflows: u32,
    /// Effects of one repeat of `journal`.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    effects: u32,
    #[arg(long, hide = true, env = "HOME")]
    home: Option<PathBuf>,
    #[arg(long, hide = true, env = "XDG_CACHE_HOME")]
    user_cache: Option<PathBuf>,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Time from start until the worker polls.
    Startup,
    /// Resident memory, idle and with the model loaded.
    Memory,
    /// Sizes of the binaries, of their sections, and of the crates in their code.
    Sizes,
    /// Latency and throughput of the effect journal on SQLite and PostgreSQL.
    Journal,
    /// Loading the local model, taking in a prompt, producing tokens.
    Model,
    /// Processor time of the ai-worker for a workflow, with a provider that answers at once.
    Pipeline,
}

/// What every measurement needs.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Where ai-worker, data-worker and pipelinectl are, absolute.
    pub(crate) bins: PathBuf,
    /// What set-up fetched, absolute.
    pub(crate) cache: PathBuf,
    /// The GGUF file of the local model.
    pub(crate) model: PathBuf,
    /// Where journals and states are written, absolute.
    pub(crate) scratch: PathBuf,
    /// Repeats of every measurement.
    pub(crate) repeats: u32,
    /// Workflows of one repeat of `pipeline`.
    pub(crate) workflows: u32,
    /// Effects of one repeat of `journal`.
    pub(crate) effects: u32,
}

impl Bench {
    /// Finds every folder and fails when one is not there.
    pub(crate) fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let cache = arguments
            .cache
            .or_else(|| Some(arguments.user_cache?.join("temporal-ai-workers")))
            .or_else(|| Some(arguments.home?.join(".cache/temporal-ai-workers")))
            .context("no home folder: give --cache")?;
        std::fs::create_dir_all(&arguments.scratch)
            .with_context(|| format!("cannot make {}", arguments.scratch.display()))?;
        let absolute = |path: &PathBuf| {
            path.canonicalize()
                .with_context(|| format!("{} is not there; build it, or name another", path.display()))
        };
        let model = cache.join("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
        Ok(Self {
            bins: absolute(&arguments.bins)?,
            model: arguments.model.unwrap_or(model),
            cache: absolute(&cache)?,
            scratch: absolute(&arguments.scratch)?,
            repeats: arguments.repeats,
            workflows: arguments.workflows,
            effects: arguments.effects,
        })
    }
}
