//! A child process: its signals, its exit, its log.
//!
//! It is always named by its own id, never by a pattern, so a test can't end a process that it did not start. The output
//! goes to a file and not to a pipe: a pipe that nobody reads would stop the child, and a killed child's last words would
//! be lost in it.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::patience::within;

/// Lines of the log that are shown when a test fails.
const SHOWN_LINES: usize = 60;

/// A child process that ends with the test.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with its output appended to a file.
    ///
    /// # Errors
    ///
    /// That the file or the program can't be opened.
    pub fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("the log {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Gives the process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// That the process is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = i32::try_from(self.id())?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// Ends it as `kill -9` does; it is gone when this returns.
    ///
    /// # Errors
    ///
    /// That the system can't be asked.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Tells whether it still runs.
    ///
    /// # Errors
    ///
    /// That the system can't be asked.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    ///
    /// That it did not, within the limit.
    pub async fn exit(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        within(limit, &what, async || Ok(!self.is_running()?)).await?;
        self.child.try_wait()?.ok_or_else(|| anyhow!("{what}"))
    }

    /// Gives what it has written so far.
    ///
    /// # Errors
    ///
    /// That the file can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    fn show(&self) {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        // A test that fails has nobody to tell that its log could not be shown.
        drop(writeln!(
            std::io::stderr(),
            "--- {} ({}):\n{end}",
            self.name,
            self.id()
        ));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show();
        }
        // A child that has ended by itself can't be killed, and that is what was wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
