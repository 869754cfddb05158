//! A worker as it is shipped: the binary, a configuration file, and nothing of the tests inside of it.
//!
//! The binaries lie beside the folder of the test's own executable, where one `cargo build` puts them.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    patience::{outage, within},
    probe::{free_port, get},
    process::Process,
};

const READY_WITHIN: Duration = Duration::from_secs(90);
/// Two signals that are closer than a second are taken for one.
const TWO_SIGNALS_APART: Duration = Duration::from_millis(1_200);

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
        }
    }
}

/// Where a worker finds what it works with.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) folder: PathBuf,
    pub(crate) profile: PathBuf,
    pub(crate) server: String,
    pub(crate) provider: String,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    health: SocketAddr,
}

impl Worker {
    pub(crate) async fn ai(
        around: &Surroundings,
        number: usize,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let text = common(around, settings, health) + &ai_sections(around, settings)?;
        Self::launch(around, &format!("ai-worker-{number}"), health, &text).await
    }

    pub(crate) async fn data(around: &Surroundings, number: usize) -> anyhow::Result<Self> {
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let text = common(around, &Settings::default(), health) + &data_sections()?;
        Self::launch(around, &format!("data-worker-{number}"), health, &text).await
    }

    async fn launch(
        around: &Surroundings,
        name: &str,
        health: SocketAddr,
        text: &str,
    ) -> anyhow::Result<Self> {
        let config = around.folder.join(format!("{name}.toml"));
        std::fs::write(&config, text)?;
        let binary = name.trim_end_matches(|end: char| end == '-' || end.is_ascii_digit());
        // With SIGXFSZ ignored, a file that may not grow is an error to the program, as on a full disk.
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" --config \"$1\""])
            .arg(program(binary)?)
            .arg(&config)
            .env("TEMPORAL_ADDRESS", &around.server)
            .env("TEMPORAL_NAMESPACE", "default")
            .env("TEMPORAL_CONFIG_FILE", &around.profile)
            .env("CANDLE_NUM_THREADS", "1");
        let log = around.folder.join(format!("{name}.log"));
        let mut worker = Self {
            process: Process::start(name, command, &log)?,
            health,
        };
        worker.until_ready().await?;
        Ok(worker)
    }

    /// Waits until the worker says that it is ready.
    ///
    /// # Errors
    ///
    /// That it ended, or was not ready in time.
    pub async fn until_ready(&mut self) -> anyhow::Result<()> {
        within(READY_WITHIN, "the worker is ready", async || {
            if !self.process.is_running()? {
                bail!("the worker ended: {}", self.process.log()?);
            }
            Ok(self.readiness().await.is_some_and(|(status, _)| status == 200))
        })
        .await?;
        Ok(())
    }

    /// Asks `/readyz`: the status and what it names; nothing when nobody answers.
    pub async fn readiness(&self) -> Option<(u16, String)> {
        get(self.health, "/readyz").await
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    ///
    /// That the system can't be asked.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// That the process is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process.signal(signal)
    }

    /// Sends SIGTERM twice, far enough apart to be two requests.
    ///
    /// # Errors
    ///
    /// That the process is gone.
    pub async fn terminate_twice(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        outage(TWO_SIGNALS_APART).await;
        self.signal(Signal::SIGTERM)
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    ///
    /// That it did not, within the limit.
    pub async fn exit(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.process.exit(limit).await
    }

    /// Gives what it has written so far.
    ///
    /// # Errors
    ///
    /// That the file can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        self.process.log()
    }

    /// Lets no file of the process grow, or lets them grow again: to a program that writes, this is a full disk.
    ///
    /// # Errors
    ///
    /// That `prlimit` is missing or refuses.
    pub fn fill_disk(&self, full: bool) -> anyhow::Result<()> {
        let soft = if full { "0" } else { "unlimited" };
        let status = Command::new("prlimit")
            .args(["--pid", &self.process.id().to_string()])
            .arg(format!("--fsize={soft}:unlimited"))
            .status()
            .context("starting prlimit, of util-linux")?;
        ensure!(status.success(), "prlimit ended with {status}");
        Ok(())
    }
}

fn common(around: &Surroundings, settings: &Settings, health: SocketAddr) -> String {
    let blobs = around.folder.join("blobs");
    format!(
        "[health]\nlisten = \"{health}\"\ncheck_interval_seconds = 1\n\n\
         [worker]\ngraceful_shutdown_seconds = {}\ndrain_hard_deadline_seconds = {}\n\
         max_concurrent_activities = {}\n\n\
         [blob_store]\nurl = \"file://{}\"\nallow_file_references = true\n\n",
        settings.grace_seconds,
        settings.hard_deadline_seconds,
        settings.activity_slots,
        blobs.display()
    )
}

fn ai_sections(around: &Surroundings, settings: &Settings) -> anyhow::Result<String> {
    let mut text = String::new();
    let journal = around.folder.join("journal.db");
    write!(
        text,
        "[journal]\nurl = \"sqlite://{}\"\nlease_seconds = {}\n\n",
        journal.display(),
        settings.lease_seconds
    )?;
    write!(
        text,
        "[models.local.models.smollm2-135m-instruct]\npath = \"{}\"\n\n",
        local_model()?.display()
    )?;
    write!(
        text,
        "[models.openai.chaos]\nname = \"chaos\"\nbase_url = \"{}\"\nmax_response_bytes = 65536\n\n\
         [models.openai.chaos.timeouts]\nbetween_bytes_seconds = {}\n\n\
         [models.openai.chaos.models.echo]\ncontext_window = 8192\n\
         billing = {{ kind = \"per_token\", input_micros_per_million = 150000, \
         cached_input_micros_per_million = 75000, output_micros_per_million = 600000 }}\n",
        around.provider, settings.between_bytes_seconds
    )?;
    Ok(text)
}

fn data_sections() -> anyhow::Result<String> {
    Ok(format!(
        "[documents.models.\"chaos/echo\"]\ncontext_window = 8192\n\n\
         [documents.models.\"local/smollm2-135m-instruct\"]\ncontext_window = 8192\n\
         tokenizer = {{ kind = \"gguf\", path = \"{}\" }}\n",
        local_model()?.display()
    ))
}

fn local_model() -> anyhow::Result<PathBuf> {
    let models = std::env::var_os("TAW_TEST_MODELS")
        .context("TAW_TEST_MODELS is not set; run the tests with `make test-faults`")?;
    Ok(Path::new(&models).join("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
}

fn program(name: impl AsRef<OsStr>) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .parent()
        .and_then(Path::parent)
        .context("no folder above the test")?;
    let program = folder.join(name.as_ref());
    ensure!(
        program.is_file(),
        "{} is not built; run `make build`",
        program.display()
    );
    Ok(program)
}
