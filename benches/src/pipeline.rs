//! What one `LlmPipelineWorkflow` costs the worker when the model costs nothing.
//!
//! The provider is the scripted one of the tests, on this machine, and answers at once. What remains is ours and the
//! SDK's: workflow tasks, activities, the journal's writes, HTTP and gRPC. Processor time is what is read, because the
//! time on the clock is that of the dev server on the same processors.

use std::{collections::HashMap, time::Instant};

use anyhow::Context as _;
use chaos_provider::Provider;
use serde_json::json;
use temporal_client::{Client, connection, start};
use tokio::task::JoinSet;
use workflow_types::proto::LlmPipelineInput;

use crate::{
    Bench, proc,
    report::{Table, spread},
    stack::Stack,
};

/// Workflows under way at once.
const IN_FLIGHT: usize = 16;
/// Workflows before the first measurement: connections, caches and lazily built tables are there afterwards.
const WARM_UP: u32 = 20;

/// Measures processor time and throughput.
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<String> {
    let provider = Provider::start(chaos_provider::Options::default()).await?;
    let base_url = provider.base_url();
    let stack = Stack::start(bench, Some(&variables(&base_url))).await?;
    let options = connection::Options {
        address: Some(stack.address()?.to_owned()),
        ..connection::Options::default()
    };
    let client = Client::connect(&options, &HashMap::new()).await?;
    let pid = stack.worker_pid("ai-worker")?;
    run(&client, WARM_UP).await?;
    let (mut cpu, mut throughput) = (Vec::new(), Vec::new());
    for _round in 0..bench.repeats {
        let (before, began) = (proc::cpu_ms(pid)?, Instant::now());
        run(&client, bench.workflows).await?;
        let workflows = f64::from(bench.workflows);
        throughput.push(workflows / began.elapsed().as_secs_f64());
        cpu.push((proc::cpu_ms(pid)? - before) / workflows);
    }
    let peak = proc::memory_mb(pid, "VmHWM")?;
    stack.stop().await?;
    provider.stop().await;
    let heading = format!(
        "LlmPipelineWorkflow with a provider that answers at once ({} repeats of {}, {IN_FLIGHT} in flight)",
        bench.repeats, bench.workflows
    );
    let mut table = Table::new(&heading, &["what", "median", "least", "most"]);
    for (label, samples, digits) in [
        ("processor time of the ai-worker for one, ms", cpu, 2),
        (
            "workflows a second, dev server on the same machine",
            throughput,
            1,
        ),
    ] {
        let [median, least, most] = spread(&samples, digits);
        table.row(&[label, &median, &least, &most]);
    }
    let peak = format!("{peak:.1}");
    table.row(&["peak resident memory of the ai-worker, MB", &peak, "", ""]);
    Ok(table.text())
}

fn variables(base_url: &str) -> Vec<(String, String)> {
    let section = "AI_WORKER__MODELS__OPENAI__BENCH";
    let models = r#"{ echo = { context_window = 8192, billing = { kind = "free" } } }"#;
    [("NAME", "bench"), ("BASE_URL", base_url), ("MODELS", models)]
        .map(|(key, value)| (format!("{section}__{key}"), value.to_owned()))
        .into()
}

async fn run(client: &Client, workflows: u32) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for number in 0..workflows {
        if running.len() >= IN_FLIGHT {
            running.join_next().await.context("nothing runs")???;
        }
        let client = client.clone();
        running.spawn(async move { one(&client, number).await });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

async fn one(client: &Client, number: u32) -> anyhow::Result<()> {
    let input: LlmPipelineInput = serde_json::from_value(json!({
        "model": "bench/echo",
        "instruction": "Summarize the following text in one sentence.",
        "content": {"text": format!("Text {number}. The ferry will stop for six weeks while its engine is replaced.")},
        "parameters": {"maxOutputTokens": 32},
        "output": {"text": {}},
    }))?;
    let run = client
        .start_llm_pipeline(input, &start::Options::default())
        .await?;
    run.result().await?;
    Ok(())
}
