//! A worker as it is shipped: the binary, a configuration file, and nothing of the tests inside of it.
//!
//! The binaries lie beside the folder of the test's own executable, where one `cargo build` puts them.

use std::{
    ffi::OsStr,
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

mod settings;

pub use settings::Settings;
pub(crate) use settings::prices;

const READY_WITHIN: Duration = Duration::from_secs(90);
/// Two signals that are closer than a second are taken for one.
const TWO_SIGNALS_APART: Duration = Duration::from_millis(1_200);

/// Where a worker finds what it works with.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) folder: PathBuf,
    pub(crate) profile: PathBuf,
    pub(crate) server: String,
    pub(crate) proxy: String,
    pub(crate) provider: String,
    pub(crate) journal: String,
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
        let text = settings::ai(around, settings, health)?;
        let server = if settings.through_proxy {
            &around.proxy
        } else {
            &around.server
        };
        Self::launch(around, (&format!("ai-worker-{number}"), server), health, &text).await
    }

    pub(crate) async fn data(around: &Surroundings, number: usize) -> anyhow::Result<Self> {
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let text = settings::data(around, health)?;
        let name = format!("data-worker-{number}");
        Self::launch(around, (&name, &around.server), health, &text).await
    }

    async fn launch(
        around: &Surroundings,
        (name, server): (&str, &str),
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
            .env("TEMPORAL_ADDRESS", server)
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

    /// Tells whether it still runs.
    ///
    /// # Errors
    ///
    /// That the system can't be asked.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        self.process.is_running()
    }

    /// Asks `/metrics`: the page; nothing when nobody answers.
    pub async fn metrics(&self) -> Option<String> {
        get(self.health, "/metrics").await.map(|(_, page)| page)
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

pub(crate) fn program(name: impl AsRef<OsStr>) -> anyhow::Result<PathBuf> {
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
