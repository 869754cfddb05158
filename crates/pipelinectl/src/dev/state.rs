//! What runs and where, as a file: for scripts that wait for it, and for `pipelinectl` beside it.

use std::{ffi::OsString, fmt::Write as _, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

use super::{DevArgs, STATE_FOLDER};

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

/// What a person needs to be told to try it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hints {
    /// How this program is called.
    program: String,
    /// Whether there are workers.
    workers: bool,
    /// Whether commands from the current folder find the blob store by themselves.
    finds_store: bool,
}

impl Hints {
    /// Looks at how this program was called, and from where.
    pub(super) fn of(state_folder: &str, args: &DevArgs) -> Self {
        let here = Path::new(STATE_FOLDER).canonicalize();
        Self {
            program: program(std::env::args_os().next()),
            workers: !args.no_workers,
            finds_store: here.is_ok_and(|here| here == Path::new(state_folder)),
        }
    }
}

/// A program that was found on the path is called by its name, any other one as it was called.
fn program(called: Option<OsString>) -> String {
    called
        .and_then(|called| called.into_string().ok())
        .filter(|called| called.contains('/'))
        .map_or_else(|| "pipelinectl".to_owned(), |called| quoted(&called))
}

/// Writes a text so that a shell takes it as one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:%+,=@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
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
    pub(super) fn words(&self, hints: &Hints) -> String {
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
        if !hints.finds_store {
            let store = quoted(&self.blob_store);
            let _written = writeln!(text, "  export PIPELINECTL__BLOB_STORE__URL={store}");
        }
        let program = &hints.program;
        if hints.workers {
            let _written = writeln!(
                text,
                "  {program} llm run 'The bridge was closed after the storm.' --instruction 'Give a title.'"
            );
        }
        let _written = write!(text, "  {program} list\n\nCtrl-C stops everything.");
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

    fn hints() -> Hints {
        Hints {
            program: "pipelinectl".into(),
            workers: true,
            finds_store: true,
        }
    }

    #[test]
    fn a_blob_store_that_is_not_found_from_here_has_to_be_exported() {
        let mut state = state("127.0.0.1:7233");
        state.blob_store = "file:///it's%20mine/blobs/".into();
        let hints = Hints {
            finds_store: false,
            ..hints()
        };
        let words = state.words(&hints);
        assert!(
            words.contains("\n  export PIPELINECTL__BLOB_STORE__URL='file:///it'\\''s%20mine/blobs/'\n"),
            "{words}"
        );
    }

    #[test]
    fn a_program_that_is_not_on_the_path_is_called_as_it_was() {
        assert_eq!(program(Some("pipelinectl".into())), "pipelinectl");
        assert_eq!(
            program(Some("target/debug/pipelinectl".into())),
            "target/debug/pipelinectl"
        );
        assert_eq!(
            program(Some("./my build/pipelinectl".into())),
            "'./my build/pipelinectl'"
        );
        assert_eq!(program(None), "pipelinectl");
        let hints = Hints {
            program: "./pipelinectl".into(),
            ..hints()
        };
        let words = state("127.0.0.1:7233").words(&hints);
        assert!(
            words.contains("\n  ./pipelinectl llm run ") && words.contains("\n  ./pipelinectl list\n"),
            "{words}"
        );
    }

    #[test]
    fn another_port_has_to_be_exported() {
        assert!(!state("127.0.0.1:7233").words(&hints()).contains("export"));
        let hints = Hints {
            workers: false,
            ..hints()
        };
        let words = state("127.0.0.1:9000").words(&hints);
        assert!(
            words.contains("export TEMPORAL_ADDRESS=127.0.0.1:9000"),
            "{words}"
        );
        assert!(!words.contains("llm run"), "{words}");
    }
}
