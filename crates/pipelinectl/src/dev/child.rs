//! One process that `dev` runs: how it is started, where its log goes, how it is stopped.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    process::{Child as Process, Command},
    time::{Instant, timeout},
};

use crate::failure::Failure;

const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 8;

/// How to start a process.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    /// Its name.
    pub(super) name: &'static str,
    /// Its program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<OsString>,
    /// Variables beside those of this program.
    pub(super) env: Vec<(String, String)>,
    /// Variables of this program that it must not see.
    pub(super) hidden: Vec<String>,
    /// Its log file.
    pub(super) log: PathBuf,
    /// Where its probes are.
    pub(super) health: Option<SocketAddr>,
    /// How long it may take to stop.
    pub(super) patience: Duration,
}

/// A process that runs.
pub(super) struct Child {
    process: Process,
    /// Its process id, which is also its process group.
    pub(super) pid: u32,
    /// When it was started.
    pub(super) started: Instant,
}

impl Spec {
    /// Starts the process; its log is added to, or begun anew when `fresh`.
    pub(super) fn spawn(&self, fresh: bool) -> Result<Child, Failure> {
        let failed = |error: &io::Error| Failure::file("write", &self.log, error);
        if fresh {
            File::create(&self.log).map_err(|error| failed(&error))?;
        }
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)
            .map_err(|error| failed(&error))?;
        let errors = log.try_clone().map_err(|error| failed(&error))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        for name in &self.hidden {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let process = command
            .spawn()
            .map_err(|error| Failure::file("start", &self.program, &error))?;
        let pid = process.id().unwrap_or_default();
        Ok(Child {
            process,
            pid,
            started: Instant::now(),
        })
    }

    /// Gives the last lines of the log.
    pub(super) fn tail(&self) -> String {
        self.read_tail()
            .unwrap_or_else(|error| format!("(no log: {error})"))
    }

    fn read_tail(&self) -> io::Result<String> {
        let mut file = File::open(&self.log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines
            .get(lines.len().saturating_sub(TAIL_LINES)..)
            .unwrap_or_default();
        Ok(last
            .iter()
            .map(|line| format!("  {line}"))
            .collect::<Vec<_>>()
            .join("\n"))
    }
}

impl Child {
    /// Tells how the process ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Asks the process to stop, waits, and kills it when it takes too long.
    pub(super) async fn stop(&mut self, patience: Duration) {
        signal(self.pid, Signal::SIGTERM);
        if timeout(patience, self.process.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends the process at once, with whatever it started.
    pub(super) async fn kill(&mut self) {
        signal(self.pid, Signal::SIGKILL);
        // It can only fail to be waited for when it is gone already.
        drop(self.process.wait().await);
    }
}

/// Sends a signal to a process group; one that is gone needs none.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Ok(group) = i32::try_from(pid)
        && group > 0
    {
        let _gone_already = killpg(Pid::from_raw(group), signal);
    }
}

/// Says how a process ended.
pub(super) fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("{signal}"),
            Err(_) => format!("signal {number}"),
        },
        (None, None) => "an unknown status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(folder: &tempfile::TempDir, script: &str) -> Spec {
        Spec {
            name: "test",
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("GIVEN".into(), "given".into())],
            hidden: vec!["HOME".into()],
            log: folder.path().join("test.log"),
            health: None,
            patience: Duration::from_secs(5),
        }
    }

    #[tokio::test]
    async fn a_child_gets_its_variables_and_its_log_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(&folder, "echo \"$GIVEN ${HOME:-hidden}\"; echo wrong >&2; exit 3");
        let mut child = spec.spawn(true).unwrap();
        let status = child.process.wait().await.unwrap();
        assert_eq!(ending(status), "exit code 3");
        assert_eq!(spec.tail(), "  given hidden\n  wrong");
    }

    #[tokio::test]
    async fn a_child_that_does_not_stop_is_killed_with_its_own_children() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(&folder, "trap '' TERM; echo up; while :; do /bin/sleep 60; done");
        let mut child = spec.spawn(true).unwrap();
        while spec.tail() != "  up" {
            tokio::task::yield_now().await;
        }
        child.stop(Duration::from_millis(50)).await;
        assert_eq!(ending(child.ended().unwrap()), "SIGKILL");
        let group = Pid::from_raw(i32::try_from(child.pid).unwrap());
        // Whatever is left of the group has been killed too, and is gone as soon as somebody has waited for it.
        while killpg(group, None).is_ok() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec {
            program: "/nowhere/ai-worker".into(),
            ..spec(&folder, "")
        };
        let failure = spec.spawn(true).err().unwrap();
        assert!(
            failure.message.contains("/nowhere/ai-worker"),
            "{}",
            failure.message
        );
    }
}
