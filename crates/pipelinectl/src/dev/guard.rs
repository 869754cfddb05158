//! What stops the children when this program can't.
//!
//! A killed parent runs no code, and Linux would tell a child of it only through a call that needs `unsafe`. A pipe does
//! it safely: this program starts itself once more as a guard and tells it, over the guard's standard input, which
//! process groups exist. When the pipe closes without a farewell, the parent is gone, and the guard stops what is left.

use std::{collections::BTreeSet, io::Write as _, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    time::{Instant, sleep},
};

use crate::{exit::Exit, failure::Failure};

use super::child;

const FAREWELL: &str = "done";
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The parent's end.
pub(super) struct Guard {
    pipe: std::process::ChildStdin,
    process: std::process::Child,
}

impl Guard {
    /// Starts the guard.
    pub(super) fn start() -> Result<Self, Failure> {
        use std::os::unix::process::CommandExt as _;
        let failed =
            |error: std::io::Error| Failure::internal(format!("the guard cannot be started: {error}"));
        let mut process = std::process::Command::new(std::env::current_exe().map_err(failed)?)
            .arg("guard")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pipe = process
            .stdin
            .take()
            .ok_or_else(|| Failure::internal("the guard has no standard input"))?;
        Ok(Self { pipe, process })
    }

    /// Tells the guard of a process group.
    pub(super) fn watch(&mut self, pid: u32) {
        self.tell(&format!("+{pid}"));
    }

    /// Tells the guard that a process group is gone.
    pub(super) fn forget(&mut self, pid: u32) {
        self.tell(&format!("-{pid}"));
    }

    /// Lets the guard go, when everything has been stopped.
    pub(super) fn dismiss(&mut self) {
        self.tell(FAREWELL);
        drop(self.process.wait());
    }

    fn tell(&mut self, line: &str) {
        // Without a guard everything still works, except for a kill of this program.
        drop(writeln!(self.pipe, "{line}").and_then(|()| self.pipe.flush()));
    }
}

/// Is the guard.
pub(crate) async fn run() -> Result<Exit, Failure> {
    let groups = orphans(tokio::io::stdin()).await;
    for pid in &groups {
        child::signal(*pid, Signal::SIGTERM);
    }
    let began = Instant::now();
    while groups.iter().any(|pid| exists(*pid)) {
        if began.elapsed() > PATIENCE {
            for pid in &groups {
                child::signal(*pid, Signal::SIGKILL);
            }
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(Exit::Success)
}

/// Listens until the parent is gone; gives what it left.
async fn orphans(pipe: impl AsyncRead + Unpin) -> BTreeSet<u32> {
    let mut groups = BTreeSet::new();
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == FAREWELL {
            return BTreeSet::new();
        }
        match (line.strip_prefix('+'), line.strip_prefix('-')) {
            (Some(pid), _) => groups.extend(pid.parse::<u32>().ok()),
            (None, Some(pid)) => groups.retain(|known| pid != known.to_string()),
            (None, None) => {}
        }
    }
    groups
}

fn exists(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| killpg(Pid::from_raw(pid), None).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pipe_that_just_closes_leaves_orphans() {
        assert_eq!(
            orphans(&b"+10\n+20\n-10\n+30\n"[..]).await,
            BTreeSet::from([20, 30])
        );
    }

    #[tokio::test]
    async fn after_a_farewell_there_are_none() {
        assert_eq!(orphans(&b"+10\ndone\n"[..]).await, BTreeSet::new());
    }
}
