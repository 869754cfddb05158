//! An installation for one test: `pipelinectl dev` in a folder that goes away, and the ways to talk to it.
//!
//! It is stopped by process id: first as a person would, so that the workers drain, and for good when that takes too
//! long. Nothing here polls: `dev` says on standard output when it is ready.

use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use chaos_provider::Provider;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use temporal_client::{Client, connection};
use tokio::{process::Command, time::timeout};

const READY_WITHIN: Duration = Duration::from_mins(2);
const STOPPED_WITHIN: Duration = Duration::from_secs(40);
const COMMAND_WITHIN: Duration = Duration::from_secs(150);
const LOG_TAIL_BYTES: usize = 4_000;

/// The scripted provider's model, as a request names it.
pub(crate) const SCRIPTED: &str = "chaos/scripted";

/// What to start.
#[derive(Default)]
pub(crate) struct Plan {
    /// Where the model [`SCRIPTED`] is.
    pub(crate) provider: Option<String>,
    /// How many tokens [`SCRIPTED`] takes; 4,096 unless a test needs more.
    pub(crate) context_window: Option<u32>,
    /// The number of events from which on the server suggests to continue as new.
    pub(crate) suggest_continue_as_new: Option<u32>,
    /// Starts the server alone.
    pub(crate) no_workers: bool,
}

/// A server and its workers.
pub(crate) struct Stack {
    folder: TempDir,
    pid: Pid,
    gone: mpsc::Receiver<()>,
    /// The server, `host:port`.
    pub(crate) address: String,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Stack {
    /// Starts the server and both workers with the local model.
    pub(crate) fn local() -> Self {
        Self::start(&Plan::default())
    }

    /// Starts the server and both workers with the local model and a scripted one.
    pub(crate) fn scripted(provider: &Provider) -> Self {
        Self::start(&Plan {
            provider: Some(provider.base_url()),
            ..Plan::default()
        })
    }

    /// Starts what the plan says and returns when all of it is ready.
    pub(crate) fn start(plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let temporal = plan.suggest_continue_as_new.map(|events| {
            let script = folder.path().join("temporal");
            let setting = format!("limit.historyCount.suggestContinueAsNew={events}");
            let program = temporal_program().display().to_string();
            let text = format!("#!/bin/sh\nexec '{program}' \"$@\" --dynamic-config-value {setting}\n");
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            script
        });
        let mut command = std::process::Command::new(program("pipelinectl"));
        command
            .args(["dev", "--output", "json", "--port", "0", "--headless"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("dev.log")).unwrap())
            .env("CANDLE_NUM_THREADS", "1")
            .envs(settings(plan));
        if let Some(temporal) = temporal {
            command.arg("--temporal-bin").arg(temporal);
        }
        if plan.no_workers {
            command.arg("--no-workers");
        }
        for name in temporal_variables() {
            command.env_remove(name);
        }
        let child = command.spawn().unwrap();
        Self::watched(folder, child)
    }

    fn watched(folder: TempDir, mut child: Child) -> Self {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let (ready, address) = mpsc::channel();
        let (ended, gone) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                text.push_str(&line);
                if let Ok(state) = serde_json::from_str::<Value>(&text) {
                    // Nobody listens any more when the test has given up.
                    drop(ready.send(state["address"].as_str().unwrap().to_owned()));
                }
            }
            drop(child.wait());
            let _nobody_waits = ended.send(());
        });
        let mut stack = Self {
            folder,
            pid,
            gone,
            address: String::new(),
        };
        let ready = address.recv_timeout(READY_WITHIN);
        stack.address = ready.expect("`pipelinectl dev` did not become ready; its log follows");
        stack
    }

    /// The folder in which commands run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Gives the paths of what the runs of a workflow have in the blob store, below the run's own folder.
    pub(crate) fn blobs(&self, workflow_id: &str) -> Vec<String> {
        let root = self.folder().join(".dev/blobs/runs").join(workflow_id);
        let mut found = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    open.push(path);
                } else {
                    let below: PathBuf = path.strip_prefix(&root).unwrap().components().skip(1).collect();
                    found.push(below.display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    /// Runs `pipelinectl`.
    pub(crate) async fn ctl(&self, args: &[&str]) -> Said {
        self.run(&program("pipelinectl"), args).await
    }

    /// Runs `pipelinectl … --output json`, which must succeed, and gives its answer.
    pub(crate) async fn ctl_json(&self, args: &[&str]) -> Value {
        let said = self.ctl(&[args, &["--output", "json"]].concat()).await;
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said.json()
    }

    /// Runs Temporal's own command line, which must succeed.
    pub(crate) async fn temporal(&self, args: &[&str]) -> Said {
        let said = self.run(&temporal_program(), args).await;
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said
    }

    /// Starts a workflow by Temporal's own command line with these payloads, whatever is in them.
    pub(crate) async fn start_raw(&self, workflow_type: &str, id: &str, more: &[&str]) {
        let start = ["workflow", "start", "--task-queue", "ai-processing"];
        let which = ["--type", workflow_type, "--workflow-id", id];
        self.temporal(&[&start[..], &which, more].concat()).await;
    }

    /// Runs a program of the test's in the folder, with the server's address in its environment.
    pub(crate) async fn run(&self, program: &Path, args: &[&str]) -> Said {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder());
        for name in temporal_variables() {
            command.env_remove(name);
        }
        command.env("TEMPORAL_ADDRESS", &self.address);
        // The user's own profile must not lead elsewhere.
        command.env("TEMPORAL_CONFIG_FILE", "/dev/null");
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(COMMAND_WITHIN, output).await;
        let output = output.unwrap_or_else(|_| panic!("{args:?} hangs")).unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Connects as a program would.
    pub(crate) async fn client(&self) -> Client {
        let options = connection::Options {
            address: Some(self.address.clone()),
            ..connection::Options::default()
        };
        let profile = [("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned())];
        Client::connect(&options, &HashMap::from(profile)).await.unwrap()
    }

    /// Gives the events of a run, as exported for replay.
    pub(crate) async fn events(&self, workflow_id: &str, run_id: Option<&str>) -> Vec<Value> {
        let history = self.client().await.history(workflow_id, run_id).await.unwrap();
        let history: Value = serde_json::from_slice(&history).unwrap();
        history["events"].as_array().unwrap().clone()
    }

    /// Gives the types of the activities that a run scheduled, in order.
    pub(crate) async fn activities(&self, workflow_id: &str) -> Vec<String> {
        let events = self.events(workflow_id, None).await;
        let scheduled = events
            .iter()
            .map(|event| &event["attributes"]["ActivityTaskScheduledEventAttributes"]);
        scheduled
            .filter_map(|attributes| attributes["activity_type"]["name"].as_str())
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // It may have ended by itself, which the wait sees.
        let _gone = kill(self.pid, Signal::SIGINT);
        let stopped = self.gone.recv_timeout(STOPPED_WITHIN);
        if stopped.is_err() {
            // Its guard process stops what it leaves.
            let _gone = kill(self.pid, Signal::SIGKILL);
        }
        if thread::panicking() {
            let logs = ["dev.log", ".dev/logs/ai-worker.log", ".dev/logs/data-worker.log"];
            for log in logs {
                let text = fs::read_to_string(self.folder().join(log)).unwrap_or_default();
                let start = text.floor_char_boundary(text.len().saturating_sub(LOG_TAIL_BYTES));
                eprintln!("--- end of {log}\n{}", &text[start..]);
            }
        } else {
            assert!(
                stopped.is_ok(),
                "`pipelinectl dev` did not stop in {STOPPED_WITHIN:?}"
            );
        }
    }
}

impl Said {
    /// Reads standard output as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Reads standard error as one JSON document with the key `error`, and gives what is below.
    pub(crate) fn error(&self) -> Value {
        let whole: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        whole["error"].clone()
    }

    /// Gives the code and the paths of the problems of what is on standard error.
    pub(crate) fn complaint(&self) -> (String, Vec<String>) {
        let error = self.error();
        let problems = error["problems"].as_array().cloned().unwrap_or_default();
        let paths = problems
            .iter()
            .map(|problem| problem["path"].as_str().unwrap().to_owned());
        (error["code"].as_str().unwrap().to_owned(), paths.collect())
    }
}

/// Gives a variable that `make test-system` sets.
pub(crate) fn variable(name: &str) -> PathBuf {
    let value = env::var_os(name);
    value.map_or_else(|| {
        panic!("{name} is not set: run the tests by `make test-system`, or set what `python3 tools/setup.py --print-env` prints")
    }, PathBuf::from)
}

fn temporal_program() -> PathBuf {
    variable("TAW_TEMPORAL_BIN")
}

/// Finds a program of ours beside the folder of the test binaries.
pub(crate) fn program(name: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `make build`",
        path.display()
    );
    path
}

pub(crate) fn temporal_variables() -> Vec<OsString> {
    env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("TEMPORAL_"))
        .collect()
}

/// What tells both workers of the scripted model.
pub(crate) fn settings(plan: &Plan) -> Vec<(&'static str, String)> {
    let Some(base_url) = &plan.provider else {
        return Vec::new();
    };
    let window = plan.context_window.unwrap_or(4096);
    let model = format!("{{ context_window = {window}, billing = {{ kind = \"free\" }} }}");
    vec![
        (
            "AI_WORKER__MODELS__OPENAI",
            format!(
                "{{ chaos = {{ name = \"chaos\", base_url = \"{base_url}\", models = {{ scripted = {model} }} }} }}"
            ),
        ),
        (
            "DATA_WORKER__DOCUMENTS__MODELS",
            format!("{{ \"{SCRIPTED}\" = {{ context_window = {window} }} }}"),
        ),
    ]
}
