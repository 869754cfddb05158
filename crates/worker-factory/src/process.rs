//! A worker process from its command line to its exit code; what a binary's `main` calls.
//!
//! Three threads, so that nothing can block what must not be blocked:
//!
//! * the **main thread** waits for signals, the deadline and the worker's end, and returns the exit code;
//!   returning ends the process whatever the other threads do, so no hard exit is needed anywhere;
//! * the **worker thread** owns the runtime and runs the worker: the SDK's future is not `Send`, and all
//!   workflow code runs on the thread that polls it, so a workflow that loops blocks this thread alone;
//! * the **health thread** answers the probes.

mod host;
mod prepare;
mod start;

use std::{collections::BTreeMap, future::Future, process::ExitCode, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use host::Host;
use prepare::{Plan, prepare};

use crate::{
    cli::Invocation,
    config::{Problem, Sections, Validate},
    connection::{self, namespace::SearchAttribute},
    contract::Contract,
    drain::{self, Signal},
    exit::Exit,
    fields, health, telemetry, worker,
};

/// How long the runtime may take to end its blocking tasks after the worker has ended.
const RUNTIME_END: Duration = Duration::from_secs(5);

/// An error of the binary's own composition.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What distinguishes one worker binary from another.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The binary's name, for example `ai-worker`.
    pub name: &'static str,
    /// The binary's version.
    pub version: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
    /// The prefix of its variables without trailing underscores, for example `AI_WORKER`.
    pub env_prefix: &'static str,
    /// The task queue that it serves.
    pub task_queue: &'static str,
    /// What the queue's callers rely on.
    pub contract: Contract,
    /// The search attributes that its workflows write.
    pub search_attributes: &'static [SearchAttribute],
    /// The command that starts a server on this machine, for error messages.
    pub start_command: &'static str,
    /// The command that registers search attributes, for error messages.
    pub setup_command: &'static str,
}

/// The options that every worker has; its four sections stand beside the binary's own.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How to connect.
    pub temporal: connection::Options,
    /// What is logged.
    pub telemetry: telemetry::Options,
    /// How the worker polls, works and stops.
    pub worker: worker::Options,
    /// Where health is shown.
    pub health: health::Options,
}

impl Validate for Options {
    fn validate(&self) -> Vec<Problem> {
        let sections: [(&str, &dyn Validate); 4] = [
            ("temporal", &self.temporal),
            ("telemetry", &self.telemetry),
            ("worker", &self.worker),
            ("health", &self.health),
        ];
        sections
            .into_iter()
            .flat_map(|(name, options)| options.validate().into_iter().map(|problem| problem.within(name)))
            .collect()
    }
}

/// Runs a worker process; the whole of a binary's `main`.
///
/// `compose` gets the binary's options and a [`Host`], registers workflows and activities on it, adds
/// readiness checks, and hands it back. It runs on the worker's runtime, after the connection stands.
pub fn main<T, C, F>(service: Service, invocation: &Invocation, compose: C) -> ExitCode
where
    T: Sections + Send + 'static,
    C: FnOnce(T, Host) -> F + Send + 'static,
    F: Future<Output = Result<Host, BoxError>>,
{
    match prepare(service, invocation) {
        Ok(Some(plan)) => run(plan, compose).into(),
        Ok(None) => Exit::Drained.into(),
        Err(exit) => exit.into(),
    }
}

fn say(stream: &mut dyn std::io::Write, text: &str) {
    // Nobody is left to tell when the stream is closed; the exit code still tells.
    drop(stream.write_all(text.as_bytes()));
}

/// Starts health and worker, and waits for the end.
fn run<T, C, F>(plan: Plan<T>, compose: C) -> Exit
where
    T: Send + 'static,
    C: FnOnce(T, Host) -> F + Send + 'static,
    F: Future<Output = Result<Host, BoxError>>,
{
    let service = plan.service;
    let hard_deadline = plan.options.worker.hard_deadline();
    if let Err(error) = telemetry::init(&plan.options.telemetry) {
        say(
            &mut std::io::stderr(),
            &format!("{}: logging did not start: {error}\n", service.name),
        );
        return Exit::Fault;
    }
    telemetry::log_panics(&plan.options.telemetry);
    let running = match health::server::start(&plan.options.health, tags(&plan)) {
        Ok(running) => running,
        Err(error) => {
            tracing::error!({ fields::ERROR } = %error, "the health server did not start");
            return Exit::Config;
        }
    };
    let activities = worker::activities::Activities::new(
        running.metrics.registry(),
        plan.options.worker.recycle_after_activities,
    );
    let Ok(activities) = activities else {
        tracing::error!("the activities' metrics could not be registered");
        return Exit::Fault;
    };
    tracing::info!(
        { fields::SERVICE } = service.name,
        { fields::SERVICE_VERSION } = service.version,
        { fields::LISTEN } = %running.listen,
        "starting"
    );
    let stop = CancellationToken::new();
    let shared = start::Shared {
        stop: stop.clone(),
        running,
        activities: activities.clone(),
    };
    let (finish, finished) = oneshot::channel();
    let spawned = std::thread::Builder::new()
        .name("worker".to_owned())
        .stack_size(8 * 1024 * 1024)
        .spawn(move || {
            // The receiver is gone only when the process is ending already.
            finish.send(worker_thread(plan, shared, compose)).ok();
        });
    if let Err(error) = spawned {
        tracing::error!({ fields::ERROR } = %error, "the worker's thread did not start");
        return Exit::Fault;
    }
    let exit = supervised(&activities, hard_deadline, finished, &stop);
    report(exit, &activities);
    exit
}

/// The labels of every metric of the SDK; the names are those that the worker controller selects by.
fn tags<T>(plan: &Plan<T>) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::from([
        ("service_name".to_owned(), plan.service.name.to_owned()),
        ("temporal_namespace".to_owned(), plan.profile.namespace.clone()),
    ]);
    if let Some(deployment) = &plan.profile.deployment {
        tags.insert("temporal_worker_build_id".to_owned(), deployment.build_id.clone());
        if let Some(name) = &deployment.name {
            tags.insert("temporal_worker_deployment_name".to_owned(), name.clone());
        }
    }
    tags
}

/// Owns the runtime: connects, composes, runs, drains.
fn worker_thread<T, C, F>(plan: Plan<T>, shared: start::Shared, compose: C) -> Exit
where
    C: FnOnce(T, Host) -> F,
    F: Future<Output = Result<Host, BoxError>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!({ fields::ERROR } = %error, "the runtime did not start");
            return Exit::Fault;
        }
    };
    let exit = runtime.block_on(start::work(plan, shared, compose));
    runtime.shutdown_timeout(RUNTIME_END);
    exit
}

/// Waits on the main thread, with a small runtime of its own.
fn supervised(
    activities: &worker::activities::Activities,
    hard_deadline: Duration,
    finished: oneshot::Receiver<Exit>,
    stop: &CancellationToken,
) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!({ fields::ERROR } = %error, "the supervisor's runtime did not start");
            return Exit::Fault;
        }
    };
    runtime.block_on(async {
        let (sender, signals) = mpsc::channel(4);
        if let Err(error) = listen(&sender) {
            tracing::error!({ fields::ERROR } = %error, "signals cannot be received");
            return Exit::Fault;
        }
        let inputs = drain::Inputs {
            signals,
            recycle: activities.recycle(),
            // A worker thread that is gone without a word has panicked.
            finished: async { finished.await.unwrap_or(Exit::Fault) },
            hard_deadline,
        };
        drain::supervise(inputs, |_| stop.cancel()).await
    })
}

/// Passes SIGINT and SIGTERM on.
fn listen(sender: &mpsc::Sender<Signal>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for (kind, name) in [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
    ] {
        let mut stream = signal(kind)?;
        let sender = sender.clone();
        drop(tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(name).await.is_err() {
                    return;
                }
            }
        }));
    }
    Ok(())
}

fn report(exit: Exit, activities: &worker::activities::Activities) {
    let (running, started) = (activities.running(), activities.started());
    match exit {
        Exit::Drained => tracing::info!(
            { fields::DRAIN_OUTCOME } = "drained",
            { fields::ACTIVITIES_STARTED } = started,
            "stopped"
        ),
        Exit::DeadlineHit | Exit::Forced(_) => tracing::warn!(
            { fields::DRAIN_OUTCOME } = if exit == Exit::DeadlineHit {
                "deadline"
            } else {
                "forced"
            },
            { fields::ACTIVITIES_STARTED } = started,
            { fields::ACTIVITIES_RUNNING } = running,
            "stopped with work left; Temporal tries it again elsewhere"
        ),
        Exit::Config | Exit::Unavailable | Exit::Fault => {
            tracing::error!(
                { fields::ACTIVITIES_STARTED } = started,
                { fields::ACTIVITIES_RUNNING } = running,
                "stopped with exit code {}",
                exit.code()
            );
        }
    }
}

#[cfg(test)]
mod tests;
