//! What runs and where, as a file: for scripts that wait for it, and for `pipelinectl` beside it.

use std::{fmt::Write as _, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const FILE: &str = "dev.json";

/// What a running `dev` consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevState {
    /// The server, `host:port`.
    pub(crate) address: String,
    /// The namespace.
    pub(crate) namespace: String,
    /// The Web UI's address.
    pub(crate) web_ui: Option<String>,
    /// The workers' blob store.
    pub(crate) blob_store: String,
    /// Where blobs, journal, logs and settings lie.
    pub(crate) state_folder: String,
    /// The process id of `dev` itself.
    pub(crate) pid: u32,
    /// The processes that it runs, the server first.
    pub(crate) children: Vec<ChildState>,
}

/// A process that `dev` runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChildState {
    /// `temporal`, `ai-worker` or `data-worker`.
    pub(crate) name: String,
    /// Its process id; `None` while it is down.
    pub(crate) pid: Option<u32>,
    /// Its log file.
    pub(crate) log: String,
    /// Where its probes and metrics are, `host:port`.
    pub(crate) health: Option<String>,
}

impl DevState {
    /// Reads the state of a `dev` in a folder; `None` when there is none.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Writes the state into its folder.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Failure> {
        self.write_to(&folder.join(FILE))
    }

    /// Writes the state to a file, whole or not at all, because somebody may be waiting for it.
    pub(super) fn write_to(&self, path: &Path) -> Result<(), Failure> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| Failure::internal(error.to_string()))?;
        let beside = path.with_extension("partial");
        fs::write(&beside, json)
            .and_then(|()| fs::rename(&beside, path))
            .map_err(|error| Failure::file("write", path, &error))
    }

    /// Removes the state from its folder.
    pub(super) fn remove(folder: &Path) {
        // It may never have been written.
        drop(fs::remove_file(folder.join(FILE)));
    }

    /// Says what runs and what to try.
    pub(super) fn words(&self, no_workers: bool) -> String {
        let mut text = format!("Temporal     {} (namespace {})\n", self.address, self.namespace);
        if let Some(web_ui) = &self.web_ui {
            // Writing to a String can't fail.
            let _written = writeln!(text, "Web UI       {web_ui}");
        }
        for child in &self.children {
            let pid = child
                .pid
                .map_or_else(|| "down".to_owned(), |pid| format!("pid {pid}"));
            let _written = writeln!(text, "{:<12} {pid}, log {}", child.name, child.log);
        }
        let _written = writeln!(text, "state        {}", self.state_folder);
        let _written = writeln!(text, "\nTry it from this folder, in another terminal:");
        if !self.address.ends_with(":7233") {
            let _written = writeln!(text, "  export TEMPORAL_ADDRESS={}", self.address);
        }
        if !no_workers {
            let _written = writeln!(
                text,
                "  pipelinectl llm run 'The bridge was closed after the storm.' --instruction 'Give a title.'"
            );
        }
        let _written = write!(text, "  pipelinectl list\n\nCtrl-C stops everything.");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(address: &str) -> DevState {
        DevState {
            address: address.into(),
            namespace: "default".into(),
            web_ui: Some("http://127.0.0.1:8233".into()),
            blob_store: "file:///x/blobs/".into(),
            state_folder: "/x".into(),
            pid: 1,
            children: vec![ChildState {
                name: "ai-worker".into(),
                pid: Some(2),
                log: "/x/logs/ai-worker.log".into(),
                health: None,
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(DevState::read(folder.path()), None);
        let state = state("127.0.0.1:7233");
        state.write(folder.path()).unwrap();
        assert_eq!(DevState::read(folder.path()), Some(state));
        DevState::remove(folder.path());
        assert_eq!(DevState::read(folder.path()), None);
    }

    #[test]
    fn another_port_has_to_be_exported() {
        assert!(!state("127.0.0.1:7233").words(false).contains("export"));
        let words = state("127.0.0.1:9000").words(true);
        assert!(
            words.contains("export TEMPORAL_ADDRESS=127.0.0.1:9000"),
            "{words}"
        );
        assert!(!words.contains("llm run"), "{words}");
    }
}
