//! A secured cluster for one test: the dev server behind a front, and programs that are told of it as a user would.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use chaos_provider::{Options, Provider};
use testkit::{Authority, CredentialFiles, Front, Process, Terms};
use tokio::time::timeout;

use crate::stack::{Plan, SCRIPTED, Said, Stack, program, settings, temporal_variables};

/// The name in the server's certificate; nobody resolves it, because the address is a number.
pub(crate) const NAME: &str = "temporal.test";
/// The exit code for a server that is not there or does not let anybody in.
pub(crate) const UNAVAILABLE: i32 = 69;
/// The exit code for settings that cannot be used.
pub(crate) const BAD_SETTING: i32 = 64;

/// Far more than any program here takes to end, and less than a worker waits for a server that is not up yet.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Variables of a program.
pub(crate) type Variables = BTreeMap<&'static str, String>;

/// A dev server, a provider, and the authority that a cluster's certificates come from.
pub(crate) struct Site {
    /// The server.
    pub(crate) stack: Stack,
    /// The authority.
    pub(crate) authority: Authority,
    provider: Provider,
}

impl Site {
    /// Starts the server, without workers.
    pub(crate) async fn start() -> Self {
        Self {
            stack: Stack::start(&Plan {
                no_workers: true,
                ..Plan::default()
            }),
            authority: Authority::new("the cluster's authority").unwrap(),
            provider: Provider::start(Options::default()).await.unwrap(),
        }
    }

    /// Starts a front before the server.
    pub(crate) async fn front(&self, terms: &Terms<'_>) -> Front {
        let certificate = self.authority.issue(NAME).unwrap();
        Front::start(&self.stack.address, certificate, terms)
            .await
            .unwrap()
    }

    /// Gives the file with the certificate of the cluster's authority.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.authority.write(self.stack.folder(), "authority").unwrap()
    }

    /// Issues a client certificate and writes it.
    pub(crate) fn client(&self, authority: &Authority, name: &str) -> CredentialFiles {
        let credential = authority.issue("worker.test").unwrap();
        credential.write(self.stack.folder(), name).unwrap()
    }

    /// Gives the variables that lead to a front and let a program trust it.
    pub(crate) fn variables(&self, front: &Front) -> Variables {
        BTreeMap::from([
            ("TEMPORAL_ADDRESS", front.address()),
            (
                "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
                self.authority_file().display().to_string(),
            ),
            ("TEMPORAL_TLS_SERVER_NAME", NAME.to_owned()),
        ])
    }

    /// Starts `ai-worker` or `data-worker`, whose log has this name.
    pub(crate) fn worker(&self, binary: &str, log: &str, variables: &Variables) -> Process {
        self.worker_with(binary, log, variables, &[])
    }

    /// Starts a worker with arguments.
    pub(crate) fn worker_with(
        &self,
        binary: &str,
        log: &str,
        variables: &Variables,
        args: &[&str],
    ) -> Process {
        let mut command = Command::new(program(binary));
        command
            .args(args)
            .env("TAW_STATE", self.stack.folder())
            .env("CANDLE_NUM_THREADS", "1")
            .envs(settings(&Plan {
                provider: Some(self.provider.base_url()),
                ..Plan::default()
            }));
        for name in temporal_variables() {
            command.env_remove(name);
        }
        // The user's own profile must not lead elsewhere.
        command.env("TEMPORAL_CONFIG_FILE", "/dev/null").envs(variables);
        Process::start(binary, command, &self.stack.folder().join(log)).unwrap()
    }

    /// Runs `pipelinectl`.
    pub(crate) async fn ctl(&self, variables: &Variables, args: &[&str]) -> Said {
        let mut command = tokio::process::Command::new(program("pipelinectl"));
        command.args(args).current_dir(self.stack.folder());
        for name in temporal_variables() {
            command.env_remove(name);
        }
        command.env("TEMPORAL_CONFIG_FILE", "/dev/null").envs(variables);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(ENDS_WITHIN, output).await;
        let output = output.unwrap_or_else(|_| panic!("{args:?} hangs")).unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a pipeline with the scripted model, which must succeed.
    pub(crate) async fn run(&self, variables: &Variables, id: &str, placement: &str) {
        let said = self
            .ctl(
                variables,
                &[
                    "llm",
                    "run",
                    "Words.",
                    "--model",
                    SCRIPTED,
                    "--placement",
                    placement,
                    "--id",
                    id,
                    "--wait-timeout",
                    "30s",
                ],
            )
            .await;
        assert_eq!(said.code, Some(0), "{said:?}");
    }

    /// Starts both workers and `pipelinectl`, all of which must end with this code, and gives what each of them said.
    pub(crate) async fn all_end(&self, name: &str, variables: &Variables, code: i32) -> Vec<String> {
        let mut workers: Vec<Process> = ["ai-worker", "data-worker"]
            .into_iter()
            .map(|binary| self.worker(binary, &format!("{binary}-{name}.log"), variables))
            .collect();
        let said = self.ctl(variables, &["list"]).await;
        assert_eq!(said.code, Some(code), "{name}: {said:?}");
        let mut all = vec![said.err];
        for worker in &mut workers {
            let status = worker.exit(ENDS_WITHIN).await.unwrap();
            let log = worker.log().unwrap();
            assert_eq!(status.code(), Some(code), "{name}: {log}");
            all.push(log);
        }
        all
    }
}
