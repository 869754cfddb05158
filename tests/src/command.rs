//! A program of the project, run to its end as a person or a script runs it.

use std::{ffi::OsString, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::worker::program;

const COMMAND_WITHIN: Duration = Duration::from_secs(150);

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Said {
    /// Reads standard output as JSON; the command must have succeeded.
    ///
    /// # Errors
    ///
    /// That it did not, or wrote something else.
    pub fn json(&self) -> anyhow::Result<Value> {
        ensure!(self.code == Some(0), "{self:?}");
        serde_json::from_str(&self.out).with_context(|| format!("{self:?}"))
    }
}

/// Where commands run, and what their environment says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

impl Desk {
    /// Prepares a command; the variables of whoever runs the tests are left out.
    pub(crate) fn command(&self, name: &str, args: &[&str], folder: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(program(name)?);
        let foreign = std::env::vars_os().map(|(name, _)| name);
        for name in foreign.filter(|name| name.to_string_lossy().starts_with("TEMPORAL_")) {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(folder)
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, name: &str, args: &[&str], folder: &Path) -> anyhow::Result<Said> {
        let output = self.command(name, args, folder)?.output();
        let output = timeout(COMMAND_WITHIN, output).await;
        let output = output.with_context(|| format!("{name} {args:?} hangs"))??;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }
}
