//! The Temporal dev server, with a database that outlives a `kill -9`.
//!
//! It keeps its port over a restart, because that is what an outage is to a client: the same address, silent for a while.

use std::{
    collections::HashMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, bail};
use temporal_client::{Client, connection};

use crate::{
    patience::{outage, within},
    probe::free_port,
    process::Process,
};

const UP_WITHIN: Duration = Duration::from_mins(1);

/// A Temporal server of the test's own.
#[derive(Debug)]
pub struct Server {
    process: Process,
    program: OsString,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// Starts a server with its database in a folder, and registers the search attributes.
    ///
    /// # Errors
    ///
    /// That `TAW_TEMPORAL_BIN` is not set, or that the server does not come up.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::var_os("TAW_TEMPORAL_BIN")
            .context("TAW_TEMPORAL_BIN is not set; run the tests with `make test-faults`")?;
        let port = free_port()?;
        let mut server = Self {
            process: launch(&program, port, folder)?,
            program,
            port,
            folder: folder.to_owned(),
        };
        server.until_up().await?;
        server.client().await?.register_search_attributes().await?;
        Ok(server)
    }

    /// Gives the server's address, `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Connects a client to the namespace `default`.
    ///
    /// # Errors
    ///
    /// That the server does not answer.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let options = connection::Options {
            address: Some(self.address()),
            namespace: Some("default".to_owned()),
            profile_file: Some(self.profile()?),
            identity: "testkit".to_owned(),
            ..connection::Options::default()
        };
        Ok(Client::connect(&options, &HashMap::new()).await?)
    }

    /// Gives a profile file that says nothing, so that no test connects to the server of whoever runs it.
    ///
    /// # Errors
    ///
    /// That the file can't be written.
    pub fn profile(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.join("temporal.toml");
        std::fs::write(&path, "")?;
        Ok(path)
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    ///
    /// That the system can't be asked.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same port and database; it answers when this returns.
    ///
    /// # Errors
    ///
    /// That it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = launch(&self.program, self.port, &self.folder)?;
        self.until_up().await
    }

    /// Kills it, leaves it away for a while, and brings it back.
    ///
    /// # Errors
    ///
    /// That it does not come up.
    pub async fn outage(&mut self, length: Duration) -> anyhow::Result<()> {
        self.kill()?;
        outage(length).await;
        self.restart().await
    }

    async fn until_up(&mut self) -> anyhow::Result<()> {
        within(UP_WITHIN, "the server answers", async || {
            if !self.process.is_running()? {
                bail!("the server ended: {}", self.process.log()?);
            }
            Ok(self.client().await.is_ok())
        })
        .await?;
        Ok(())
    }
}

fn launch(program: &OsString, port: u16, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(program);
    command
        .args(["server", "start-dev", "--ip", "127.0.0.1", "--headless"])
        .args(["--log-level", "error", "--port", &port.to_string()])
        .arg("--db-filename")
        .arg(folder.join("temporal.db"));
    // A dev server looks for work 20 times a second unless told otherwise, which hides the delays that tests look for.
    for queue in ["transfer", "timer"] {
        let value = format!("history.{queue}ProcessorMaxPollRPS=2000");
        command.args(["--dynamic-config-value", &value]);
    }
    Process::start("temporal", command, &folder.join("temporal.log"))
}
