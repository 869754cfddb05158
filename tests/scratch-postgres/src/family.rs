//! A server's processes: one that listens, and its children, one for each connection and task.
//!
//! A signal to the first alone would show too little: stopped, it still answers through the children that it has, and
//! killed, it leaves them running for a moment. Each child is in a process group of its own, so the group cannot be
//! named instead.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal to a process and to its children.
pub(crate) fn signal(parent: u32, signal: Signal) {
    if signal != Signal::SIGCONT {
        // A parent that stands has no further children meanwhile.
        send(parent, Signal::SIGSTOP);
    }
    for child in children(parent) {
        send(child, signal);
    }
    send(parent, signal);
}

/// Sends a signal to one process.
pub(crate) fn send(id: u32, signal: Signal) {
    // A process that has ended meanwhile needs no signal any more.
    if let Ok(id) = i32::try_from(id) {
        kill(Pid::from_raw(id), signal).ok();
    }
}

/// Lists the children of a process.
fn children(parent: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let listed = listed.ok().or_else(|| {
        let asked = Command::new("pgrep")
            .args(["-P", &parent.to_string()])
            .output()
            .ok()?;
        String::from_utf8(asked.stdout).ok()
    });
    let listed = listed.unwrap_or_default();
    listed
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect()
}
