//! Processes that are started to be measured: each has a log, and is stopped by its id.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::Bench;

/// How often a process is looked at while it starts: the resolution of every time to start.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(2);
const START_PATIENCE: Duration = Duration::from_mins(2);
const STOP_PATIENCE: Duration = Duration::from_secs(40);
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// A process of the measurement; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a process with its output in a log of the folder.
    pub(crate) fn start(mut command: Command, name: &str, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(std::process::Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let name = name.to_owned();
        Ok(Self { child, name, log })
    }

    /// Gives the process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child
            .id()
            .with_context(|| format!("{} has ended", self.name))
    }

    /// Fails with the end of the log when the process has ended.
    fn must_run(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(10).collect();
            let tail: Vec<_> = lines.into_iter().rev().collect();
            bail!("{} ended with {status}:\n{}", self.name, tail.join("\n"));
        }
        Ok(())
    }

    /// Asks the process to end and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid()?)?);
        kill(pid, Signal::SIGTERM)?;
        let ended = timeout(STOP_PATIENCE, self.child.wait()).await;
        ended.with_context(|| format!("{} did not end in {STOP_PATIENCE:?}", self.name))??;
        Ok(())
    }
}

/// A Temporal server of its own, with or without the workers, started by `pipelinectl dev`.
#[derive(Debug)]
pub(crate) struct Stack {
    process: Process,
    ready: Value,
    /// Where everything of it lies; deleted with it.
    pub(crate) folder: TempDir,
}

impl Stack {
    /// Starts the server, and the workers with these variables when there are any.
    pub(crate) async fn start(bench: &Bench, workers: Option<&[(String, String)]>) -> anyhow::Result<Self> {
        let folder = TempDir::new_in(&bench.scratch)?;
        let ready = folder.path().join("ready.json");
        let mut command = Command::new(bench.bins.join("pipelinectl"));
        command
            .args(["dev", "--port", "0", "--headless", "--no-restart", "--cache"])
            .arg(&bench.cache)
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .arg("--ready-file")
            .arg(&ready);
        match workers {
            Some(variables) => command.envs(variables.iter().cloned()),
            None => command.arg("--no-workers"),
        };
        let mut process = Process::start(command, "dev", folder.path())?;
        let began = Instant::now();
        while !ready.exists() {
            process.must_run()?;
            if began.elapsed() > START_PATIENCE {
                bail!("the server was not ready in {START_PATIENCE:?}");
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(Self {
            ready: serde_json::from_slice(&std::fs::read(&ready)?)?,
            process,
            folder,
        })
    }

    /// Gives the server's address.
    pub(crate) fn address(&self) -> anyhow::Result<&str> {
        self.ready["address"]
            .as_str()
            .context("the server has no address")
    }

    /// Gives the process id of a worker.
    pub(crate) fn worker_pid(&self, name: &str) -> anyhow::Result<u32> {
        let children = self.ready["children"].as_array();
        children
            .into_iter()
            .flatten()
            .find(|child| child["name"] == name)
            .and_then(|child| u32::try_from(child["pid"].as_u64()?).ok())
            .with_context(|| format!("{name} does not run"))
    }

    /// Stops everything.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// A worker that was started alone beside a server, and how long it took.
#[derive(Debug)]
pub(crate) struct Worker {
    /// The process.
    pub(crate) process: Process,
    /// From the start of the process until its start-up probe passed: it polls.
    pub(crate) until_polling: Duration,
}

impl Worker {
    /// Starts a worker and waits until it polls.
    pub(crate) async fn start(
        bench: &Bench,
        stack: &Stack,
        name: &str,
        load_model: bool,
    ) -> anyhow::Result<Self> {
        let health = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let prefix = name.to_uppercase().replace('-', "_");
        let state = stack.folder.path().join(name);
        let mut command = Command::new(bench.bins.join(name));
        command
            .env("TEMPORAL_ADDRESS", stack.address()?)
            .env("TAW_CACHE", &bench.cache)
            .env("TAW_STATE", &state)
            // The worker sets it for itself, which is a part of its start.
            .env_remove("CANDLE_NUM_THREADS")
            .env(format!("{prefix}__HEALTH__LISTEN"), health.to_string());
        if load_model {
            command.env(format!("{prefix}__MODELS__LOCAL__LOAD_AT_START"), "true");
        }
        let began = Instant::now();
        let mut process = Process::start(command, name, stack.folder.path())?;
        while !passes(health, "/startupz").await {
            process.must_run()?;
            if began.elapsed() > START_PATIENCE {
                bail!("{name} did not poll in {START_PATIENCE:?}");
            }
            sleep(LOOK_EVERY).await;
        }
        let until_polling = began.elapsed();
        Ok(Self {
            process,
            until_polling,
        })
    }
}

/// Asks a probe once.
async fn passes(address: SocketAddr, path: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        std::io::Result::Ok(head.ends_with(b"200"))
    };
    matches!(timeout(PROBE_PATIENCE, asked).await, Ok(Ok(true)))
}
