//! What a worker of the tests is configured with, as the file that it reads.
//!
//! All models of the scripted provider have one price, which is the provider's own, so that every ledger can be held
//! against the bill to the millionth.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chaos_provider::Price;

use super::Surroundings;

/// In millionths of the currency unit for a million tokens.
const INPUT_MICROS: u64 = 150_000;
const CACHED_INPUT_MICROS: u64 = 75_000;
const OUTPUT_MICROS: u64 = 600_000;

/// What differs between the workers of the tests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long activities may go on after SIGTERM, in seconds.
    pub grace_seconds: u32,
    /// When the process ends whatever runs, in seconds after SIGTERM.
    pub hard_deadline_seconds: u32,
    /// How long a claim holds without renewal, in seconds.
    pub lease_seconds: u32,
    /// How long the provider may be silent within an answer, in seconds.
    pub between_bytes_seconds: u32,
    /// Activities at once; a worker without a free slot asks for no further one.
    pub activity_slots: u32,
    /// Further lines of TOML in the table of the model `chaos/echo`, such as its limits.
    pub echo: String,
    /// Whether the model in the process is there too; it takes memory.
    pub local_model: bool,
    /// Whether the Temporal server is reached by the rig's proxy.
    pub through_proxy: bool,
    /// What the worker logs, as a filter.
    pub log_filter: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grace_seconds: 10,
            hard_deadline_seconds: 20,
            // Below the heartbeat timeout, so that the second attempt after a kill meets no live lease.
            lease_seconds: 20,
            between_bytes_seconds: 3,
            activity_slots: 100,
            echo: String::new(),
            local_model: true,
            through_proxy: false,
            log_filter: "info".to_owned(),
        }
    }
}

/// Gives the prices of all models of the scripted provider.
pub(crate) fn prices() -> Vec<Price> {
    vec![Price {
        input_micros_per_million: INPUT_MICROS,
        cached_input_micros_per_million: Some(CACHED_INPUT_MICROS),
        output_micros_per_million: OUTPUT_MICROS,
        ..Price::default()
    }]
}

pub(super) fn ai(around: &Surroundings, settings: &Settings, health: SocketAddr) -> anyhow::Result<String> {
    let mut text = common(around, settings, health);
    let (journal, lease) = (&around.journal, settings.lease_seconds);
    write!(
        text,
        "[journal]\nurl = \"{journal}\"\nlease_seconds = {lease}\n\n"
    )?;
    if settings.local_model {
        let path = local_model()?;
        write!(
            text,
            "[models.local.models.smollm2-135m-instruct]\npath = \"{}\"\n\n",
            path.display()
        )?;
    }
    let services = [
        ("openai", "chaos", "echo"),
        ("openai", "chaos", "spare"),
        ("anthropic", "claude", "echo"),
    ];
    for (place, (protocol, service, model)) in services.into_iter().enumerate() {
        if place != 1 {
            write!(
                text,
                "[models.{protocol}.{service}]\nname = \"{service}\"\nbase_url = \"{}\"\nmax_response_bytes = 65536\n\n\
                 [models.{protocol}.{service}.timeouts]\nbetween_bytes_seconds = {}\n\n",
                around.provider, settings.between_bytes_seconds
            )?;
        }
        write!(
            text,
            "[models.{protocol}.{service}.models.{model}]\ncontext_window = 8192\n{}\n\
             billing = {{ kind = \"per_token\", input_micros_per_million = {INPUT_MICROS}, \
             cached_input_micros_per_million = {CACHED_INPUT_MICROS}, \
             output_micros_per_million = {OUTPUT_MICROS} }}\n\n",
            if place == 0 { &settings.echo } else { "" }
        )?;
    }
    Ok(text)
}

pub(super) fn data(around: &Surroundings, health: SocketAddr) -> anyhow::Result<String> {
    let mut text = common(around, &Settings::default(), health);
    for model in ["chaos/echo", "chaos/spare", "claude/echo"] {
        write!(text, "[documents.models.\"{model}\"]\ncontext_window = 8192\n\n")?;
    }
    write!(
        text,
        "[documents.models.\"local/smollm2-135m-instruct\"]\ncontext_window = 8192\n\
         tokenizer = {{ kind = \"gguf\", path = \"{}\" }}\n",
        local_model()?.display()
    )?;
    Ok(text)
}

fn common(around: &Surroundings, settings: &Settings, health: SocketAddr) -> String {
    let blobs = around.folder.join("blobs");
    format!(
        "[health]\nlisten = \"{health}\"\ncheck_interval_seconds = 1\n\n\
         [telemetry]\nlog_filter = \"{}\"\n\n\
         [worker]\ngraceful_shutdown_seconds = {}\ndrain_hard_deadline_seconds = {}\n\
         max_concurrent_activities = {}\n\n\
         [blob_store]\nurl = \"file://{}\"\nallow_file_references = true\n\n",
        settings.log_filter,
        settings.grace_seconds,
        settings.hard_deadline_seconds,
        settings.activity_slots,
        blobs.display()
    )
}

fn local_model() -> anyhow::Result<PathBuf> {
    let models = std::env::var_os("TAW_TEST_MODELS")
        .context("TAW_TEST_MODELS is not set; run the tests with `make test-faults`")?;
    Ok(Path::new(&models).join("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
}
