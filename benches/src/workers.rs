//! How long a worker takes to start and how much memory it holds.
//!
//! Both workers are started in turns beside one server that runs already. A start ends when the start-up probe passes,
//! which means that the process is configured, connected, checked, and polls.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    Bench, proc,
    report::{Table, spread},
    stack::{Stack, Worker},
};

const WORKERS: [&str; 2] = ["ai-worker", "data-worker"];
/// How long a worker is left alone before its memory is read, so that what only its start needed is given back.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures the time to start.
pub(crate) async fn startup(bench: &Bench) -> anyhow::Result<String> {
    let stack = Stack::start(bench, None).await?;
    let mut samples = WORKERS.map(|_| Vec::new());
    // The first round warms the page cache and is not counted.
    for round in 0..=bench.repeats {
        for (name, samples) in WORKERS.iter().zip(&mut samples) {
            let worker = Worker::start(bench, &stack, name, false).await?;
            if round > 0 {
                samples.push(worker.until_polling.as_secs_f64() * 1000.0);
            }
            worker.process.stop().await?;
        }
    }
    stack.stop().await?;
    let heading = format!("Start until the worker polls, ms ({} starts each)", bench.repeats);
    let mut table = Table::new(&heading, &["worker", "median", "least", "most"]);
    for (name, samples) in WORKERS.iter().zip(&samples) {
        row(&mut table, name, spread(samples, 0));
    }
    Ok(table.text())
}

/// Measures resident memory.
pub(crate) async fn memory(bench: &Bench) -> anyhow::Result<String> {
    let stack = Stack::start(bench, None).await?;
    let cases = [
        ("data-worker", "data-worker, idle", false),
        ("ai-worker", "ai-worker, idle", false),
        ("ai-worker", "ai-worker, local model loaded", true),
    ];
    let mut samples = cases.map(|_| Vec::new());
    for _round in 0..bench.repeats {
        for ((name, _, load_model), samples) in cases.iter().zip(&mut samples) {
            let worker = Worker::start(bench, &stack, name, *load_model).await?;
            sleep(SETTLE).await;
            samples.push(proc::memory_mb(worker.process.pid()?, "VmRSS")?);
            worker.process.stop().await?;
        }
    }
    stack.stop().await?;
    let heading = format!("Resident memory, MB ({} starts each)", bench.repeats);
    let mut table = Table::new(&heading, &["process", "median", "least", "most"]);
    for ((_, label, _), samples) in cases.iter().zip(&samples) {
        row(&mut table, label, spread(samples, 1));
    }
    Ok(table.text())
}

fn row(table: &mut Table, label: &str, [median, least, most]: [String; 3]) {
    table.row(&[label, &median, &least, &most]);
}
