//! The worker's life on its thread: connect, check, compose, run, drain, end.
//!
//! Each step that can be refused has its exit code here: what an operator can mend outside the process is
//! [`Exit::Unavailable`], what needs another build is [`Exit::Fault`]. An error is logged once, here.

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, pending},
    time::Duration,
};

use temporalio_client::Connection;
use temporalio_common::data_converters::DataConverter;
use temporalio_sdk::{
    Runtime, Worker, WorkflowRegistrationError, error::WorkerRunError, runtime::RuntimeOptions,
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{BoxError, Host, Plan};
use crate::{
    connection::{self, api_key, namespace},
    contract,
    exit::Exit,
    fields,
    health::{Check, server::Running},
    telemetry::polls::Kind,
    worker::{activities::Activities, identity},
};

/// How long all endings together may take.
const ENDINGS: Duration = Duration::from_secs(5);

/// What the worker's thread shares with the others.
pub(super) struct Shared {
    pub(super) stop: CancellationToken,
    pub(super) running: Running,
    pub(super) activities: Activities,
}

/// Why the worker did not run, or ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Connection(#[from] connection::Error),
    #[error("the worker could not be composed: {0}")]
    Compose(#[source] BoxError),
    #[error(transparent)]
    Contract(#[from] contract::Error),
    #[error("the SDK did not start: {0}")]
    Sdk(#[source] BoxError),
    #[error("the worker failed: {0}")]
    Worker(#[from] WorkerRunError),
    #[error("the worker ended although nobody asked it to")]
    Unasked,
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            // A workflow that cannot be registered needs another build; a journal that cannot be opened does not.
            Self::Compose(error) if error.is::<WorkflowRegistrationError>() => Exit::Fault,
            Self::Connection(_) | Self::Compose(_) | Self::Worker(WorkerRunError::Validation(_)) => {
                Exit::Unavailable
            }
            Self::Contract(_) | Self::Sdk(_) | Self::Worker(_) | Self::Unasked => Exit::Fault,
        }
    }
}

/// An error with all that lies under it, in one line; a cause whose words are there already is left out.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let shown = error.to_string();
        if !text.contains(&shown) {
            text = format!("{text}: {shown}");
        }
        cause = error.source();
    }
    text
}

/// Runs the worker to its end and logs why it ended, if that was a failure.
pub(super) async fn work<T, C, F>(plan: Plan<T>, shared: Shared, compose: C) -> Exit
where
    C: FnOnce(T, Host) -> F,
    F: Future<Output = Result<Host, BoxError>>,
{
    drop(tokio::spawn(shared.running.health.clone().beat()));
    let started = Instant::now();
    let starting = Box::pin(start(plan, &shared, compose));
    // A stop during the start has no work to wait for.
    let prepared = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return Exit::Drained,
        prepared = starting => prepared,
    };
    let outcome = match prepared {
        Ok((worker, host)) => {
            tracing::info!(
                { fields::TASK_QUEUE } = host.worker.task_queue,
                { fields::NAMESPACE } = host.namespace,
                { fields::IDENTITY } = host.identity,
                "polling after {:?}",
                started.elapsed()
            );
            run(worker, host, &shared).await
        }
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => Exit::Drained,
        Err(failure) => {
            tracing::error!(
                { fields::ERROR } = with_causes(&failure),
                "the worker does not run"
            );
            failure.exit()
        }
    }
}

async fn start<T, C, F>(plan: Plan<T>, shared: &Shared, compose: C) -> Result<(Worker, Host), Failure>
where
    C: FnOnce(T, Host) -> F,
    F: Future<Output = Result<Host, BoxError>>,
{
    let Plan {
        service,
        options,
        own,
        mut profile,
    } = plan;
    let metrics = &shared.running.metrics;
    let identity = identity(service.name);
    profile.connection.identity.clone_from(&identity);
    profile.connection.metrics_meter = metrics
        .client_meter()
        .map_err(|error| Failure::Sdk(error.into()))?;
    let connection = connection::connect(&profile, &options.temporal, service.start_command).await?;
    follow_api_key(&connection, &profile, &options.temporal);
    let name = profile.namespace.clone();
    namespace::describe(&connection, &name)
        .await
        .map_err(connection::Error::from)?;
    namespace::check_attributes(
        &connection,
        &name,
        service.search_attributes,
        service.setup_command,
    )
    .await
    .map_err(connection::Error::from)?;

    let mut worker = options
        .worker
        .build(service.task_queue, &identity, profile.deployment.as_ref());
    worker.activity_inbound_interceptor(shared.activities.clone());
    let host = Host {
        worker,
        data_converter: DataConverter::default(),
        metrics: metrics.registry().clone(),
        namespace: name.clone(),
        identity,
        draining: shared.stop.clone(),
        connection: connection.clone(),
        checks: vec![namespace_check(connection, name)],
        endings: Vec::new(),
    };
    let host = compose(own, host).await.map_err(Failure::Compose)?;
    contract::check(&host.worker, &service.contract)?;

    let runtime_options = RuntimeOptions::builder()
        .telemetry_options(metrics.telemetry_options())
        .build()
        .map_err(|error| Failure::Sdk(error.into()))?;
    let runtime = Runtime::from_current_tokio(runtime_options).map_err(|error| Failure::Sdk(error.into()))?;
    let client = host.client().map_err(|error| Failure::Sdk(error.into()))?;
    let worker =
        Worker::new(&runtime, client, host.worker.clone()).map_err(|error| Failure::Sdk(error.into()))?;
    Ok((worker, host))
}

fn follow_api_key(connection: &Connection, profile: &connection::Profile, options: &connection::Options) {
    if let (Some(path), Some(key)) = (&options.api_key_file, &profile.connection.api_key) {
        let watch = api_key::Watch::new(path.clone(), key);
        let interval = Duration::from_secs(options.api_key_refresh_seconds.into());
        drop(tokio::spawn(watch.follow(connection.clone(), interval)));
    }
}

fn namespace_check(connection: Connection, name: String) -> Check {
    Check::new("namespace", move || {
        let (connection, name) = (connection.clone(), name.clone());
        async move { namespace::describe(&connection, &name).await }
    })
}

/// Runs until the worker has drained or failed.
async fn run(mut worker: Worker, mut host: Host, shared: &Shared) -> Result<(), Failure> {
    let health = &shared.running.health;
    for check in host.checks.drain(..) {
        health.expect(&check);
        drop(tokio::spawn(health.clone().keep_checking(check)));
    }
    health.set_started(kinds(&host));
    let shutdown = worker.shutdown_handle();
    let stopping = async {
        shared.stop.cancelled().await;
        health.set_draining();
        shutdown();
        pending::<Infallible>().await
    };
    let result = tokio::select! {
        result = worker.run() => result,
        never = stopping => match never {},
        () = health.clone().beat_workflows() => Ok(()),
    };
    if timeout(ENDINGS, async {
        for ending in host.endings {
            ending.await;
        }
    })
    .await
    .is_err()
    {
        tracing::warn!("not all endings were done within {ENDINGS:?}");
    }
    result?;
    if shared.stop.is_cancelled() {
        Ok(())
    } else {
        Err(Failure::Unasked)
    }
}

/// The kinds of poll that have to be out, by what is registered.
fn kinds(host: &Host) -> Vec<Kind> {
    let workflows = (!host.worker.workflows().is_empty()).then_some(Kind::Workflow);
    // Activity names were read for the contract; a worker without any polls for none.
    let activities = contract::has_activities(&host.worker).then_some(Kind::Activity);
    workflows.into_iter().chain(activities).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("polling was refused")]
    struct Refused(#[source] io::Error);

    #[test]
    fn a_worker_that_fails_says_why_down_to_the_last_cause() {
        let source = Box::new(Refused(io::Error::other("the key has expired")));
        let message = "activity polling failed".to_owned();
        let failure = Failure::Worker(WorkerRunError::Fatal { message, source });
        assert_eq!(
            with_causes(&failure),
            "the worker failed: activity polling failed: polling was refused: the key has expired"
        );
        assert_eq!(failure.exit(), Exit::Fault);
    }

    #[test]
    fn what_cannot_be_opened_is_not_available_and_what_cannot_be_registered_is_a_fault() {
        let journal = Failure::Compose(Refused(io::Error::other("no such folder")).into());
        assert_eq!(journal.exit(), Exit::Unavailable);
        assert!(with_causes(&journal).ends_with("polling was refused: no such folder"));
        let workflow_type = "W".to_owned();
        let twice = WorkflowRegistrationError::DuplicateWorkflowType { workflow_type };
        assert_eq!(Failure::Compose(twice.into()).exit(), Exit::Fault);
    }
}
