//! One run, typed by its pipeline: its status, its usage, its output, and the way to stop it.
//!
//! Stopping goes through the signal `cancel` by default, because a signal carries a reason and is handled by the
//! workflow's own code. Temporal's native cancellation is there for tools that know nothing else and for runs whose
//! code is broken; it too lets the workflow clean up.

use std::time::Duration;

use temporalio_client::{
    RetryOptions, RpcOptions, UntypedWorkflow, WorkflowCancelOptions, WorkflowExecutionInfo,
    WorkflowGetResultOptions, WorkflowHandle, WorkflowQueryOptions, WorkflowSignalOptions,
    errors::{WorkflowInteractionError, WorkflowQueryError},
    tonic::{Code, Status as GrpcStatus},
};
use temporalio_common::{HasWorkflowDefinition, QueryDefinition, WorkflowDefinition};
use tokio::time::{Instant, sleep};
use workflow_types::{
    names,
    problem::Problems,
    proto::{CancelRequest, Usage},
    wire::Wire,
    workflows::{Cancel, LlmBatch, LlmPipeline, Status, UsageQuery},
};

use crate::{Client, Kind, description::Description, outcome, server};

/// How long one query may take: a worker that is there answers in milliseconds.
pub const QUERY_PATIENCE: Duration = Duration::from_secs(5);
/// How long waiting for a result puts up with a server that does not answer.
pub const OUTAGE_PATIENCE: Duration = Duration::from_mins(2);

const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
const LONGER_THAN_SDK_RETRIES: Duration = Duration::from_secs(30);

/// A pipeline's workflow type, as the marker that its queries are declared for.
pub trait Pipeline: HasWorkflowDefinition<Run = Self> + Copy {
    /// The marker's only value.
    const MARKER: Self;
}

impl Pipeline for LlmPipeline {
    const MARKER: Self = Self;
}

impl Pipeline for LlmBatch {
    const MARKER: Self = Self;
}

/// Why a run could not be asked or told something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such run.
    #[error(
        "no workflow `{workflow_id}` in namespace {namespace}; `pipelinectl list` shows those that exist"
    )]
    NotFound {
        /// The id that was asked for.
        workflow_id: String,
        /// The namespace.
        namespace: String,
    },
    /// The run is there but belongs to no pipeline of ours.
    #[error("workflow `{workflow_id}` is a {workflow_type}, which is none of the pipelines")]
    Foreign {
        /// The id.
        workflow_id: String,
        /// Its workflow type.
        workflow_type: String,
    },
    /// The run has ended, so it can't be told anything.
    #[error(
        "workflow `{workflow_id}` has ended already ({status}); `pipelinectl result {workflow_id}` shows how"
    )]
    Ended {
        /// The id.
        workflow_id: String,
        /// How it ended, in lower case.
        status: String,
    },
    /// No worker answered a query.
    #[error(
        "workflow `{workflow_id}` does not answer: no worker polls `{queue}`, or it is busy; start one and ask again"
    )]
    NoAnswer {
        /// The id.
        workflow_id: String,
        /// The queue whose workers answer.
        queue: &'static str,
    },
    /// The answer has another shape than this program expects.
    #[error(
        "the answer of workflow `{workflow_id}` cannot be read, another version may have sent it: {problems}"
    )]
    Answer {
        /// The id.
        workflow_id: String,
        /// What does not fit.
        problems: Problems,
    },
    /// The server gave no usable answer.
    #[error(transparent)]
    Server(#[from] server::Error),
}

/// How to stop a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelBy {
    /// The signal `cancel`, which carries a reason to the workflow.
    Signal,
    /// Temporal's own cancellation.
    Temporal,
}

/// A run of a pipeline.
#[derive(Clone)]
pub struct Run<W> {
    client: Client,
    handle: WorkflowHandle<temporalio_client::Client, W>,
    attached: bool,
}

/// A run of any pipeline.
#[derive(Clone)]
pub enum AnyRun {
    /// One request to a model.
    LlmPipeline(Run<LlmPipeline>),
    /// A JSONL file of requests.
    LlmBatch(Run<LlmBatch>),
}

impl Client {
    /// Gives a handle to a run of which only the id is known.
    ///
    /// # Errors
    ///
    /// That there is no such run, or that it is no pipeline.
    pub async fn find_run(&self, workflow_id: &str) -> Result<AnyRun, Error> {
        let description = self.describe(workflow_id, None).await?;
        match Kind::of_workflow_type(&description.workflow_type) {
            Some(Kind::LlmPipeline) => Ok(AnyRun::LlmPipeline(self.run(workflow_id))),
            Some(Kind::LlmBatch) => Ok(AnyRun::LlmBatch(self.run(workflow_id))),
            None => Err(Error::Foreign {
                workflow_id: workflow_id.to_owned(),
                workflow_type: description.workflow_type,
            }),
        }
    }

    /// Gives a handle to a run whose pipeline is known, without asking the server whether it exists.
    pub fn run<W: HasWorkflowDefinition>(&self, workflow_id: &str) -> Run<W> {
        let info = WorkflowExecutionInfo::builder()
            .namespace(self.namespace())
            .workflow_id(workflow_id)
            .build();
        Run::new(self.clone(), WorkflowHandle::new(self.sdk().clone(), info), true)
    }

    /// Asks a run to stop and to clean up after itself.
    ///
    /// The server takes Temporal's own cancellation of a run that has ended and does nothing, so that run is looked at
    /// first; one that ends in between has ended by itself, which its result shows.
    ///
    /// # Errors
    ///
    /// That there is no such run, or that it has ended.
    pub async fn cancel(&self, workflow_id: &str, reason: Option<&str>, by: CancelBy) -> Result<(), Error> {
        let handle = self.untyped(workflow_id, None);
        let told = match by {
            CancelBy::Signal => {
                let request = CancelRequest {
                    reason: reason.map(str::to_owned),
                };
                let signal = Cancel(UntypedWorkflow::new(""));
                handle
                    .signal(signal, Wire::new(request), WorkflowSignalOptions::default())
                    .await
            }
            CancelBy::Temporal => {
                let description = self.describe(workflow_id, None).await?;
                if !description.is_open() {
                    return Err(Error::ended(workflow_id, description));
                }
                let options = WorkflowCancelOptions::builder()
                    .reason(reason.unwrap_or_default())
                    .build();
                handle.cancel(options).await
            }
        };
        match told {
            Ok(()) => Ok(()),
            // The server says "not found" of a run that has ended, too.
            Err(WorkflowInteractionError::NotFound(_)) => {
                let description = self.describe(workflow_id, None).await?;
                Err(Error::ended(workflow_id, description))
            }
            Err(error) => Err(Error::from_sdk(error, workflow_id, self.namespace())),
        }
    }
}

impl<W> Run<W> {
    pub(crate) fn new(
        client: Client,
        handle: WorkflowHandle<temporalio_client::Client, W>,
        attached: bool,
    ) -> Self {
        Self {
            client,
            handle,
            attached,
        }
    }
}

impl<W: HasWorkflowDefinition> Run<W> {
    /// Gives the workflow id.
    pub fn id(&self) -> &str {
        &self.handle.info().workflow_id
    }

    /// Gives the id of the run that a start made; `None` for a run that was there.
    pub fn run_id(&self) -> Option<&str> {
        self.handle.run_id()
    }

    /// Tells whether the run was there before it was asked for.
    pub fn attached(&self) -> bool {
        self.attached
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn handle(&self) -> &WorkflowHandle<temporalio_client::Client, W> {
        &self.handle
    }

    /// Asks the run to stop by the signal `cancel`.
    ///
    /// # Errors
    ///
    /// That there is no such run, or that it has ended.
    pub async fn cancel(&self, reason: Option<&str>) -> Result<(), Error> {
        self.client.cancel(self.id(), reason, CancelBy::Signal).await
    }

    async fn ask<Q, T>(&self, query: Q) -> Result<T, Error>
    where
        Q: QueryDefinition<Workflow = W::Run, Input = (), Output = Wire<T>>,
    {
        let rpc = RpcOptions::builder()
            .timeout(QUERY_PATIENCE)
            .retry_options(RetryOptions::no_retries())
            .build();
        let options = WorkflowQueryOptions::builder().rpc_options(rpc).build();
        let answer = self
            .handle
            .query(query, (), options)
            .await
            .map_err(|error| self.unanswered(error))?;
        answer.into_message().map_err(|problems| Error::Answer {
            workflow_id: self.id().to_owned(),
            problems,
        })
    }

    fn unanswered(&self, error: WorkflowQueryError) -> Error {
        let workflow_id = self.id().to_owned();
        match error {
            WorkflowQueryError::NotFound(_) => Error::NotFound {
                workflow_id,
                namespace: self.client.namespace().to_owned(),
            },
            WorkflowQueryError::Rpc(status) if nobody_polls(&status) => Error::NoAnswer {
                workflow_id,
                queue: names::AI_QUEUE,
            },
            WorkflowQueryError::Rpc(status) => server::Error::from(status).into(),
            WorkflowQueryError::PayloadConversion(error) => server::Error::from(error).into(),
            other @ (WorkflowQueryError::Rejected { .. } | WorkflowQueryError::Other(_) | _) => {
                server::Error::Other(Box::new(other)).into()
            }
        }
    }
}

impl<W, T> Run<W>
where
    W: HasWorkflowDefinition + WorkflowDefinition<Output = Wire<T>>,
{
    /// Waits for the run to end, over continue-as-new and over outages of up to [`OUTAGE_PATIENCE`].
    ///
    /// # Errors
    ///
    /// How the run ended, when it gave no output.
    pub async fn result(&self) -> Result<T, outcome::Error> {
        let mut silent_since = None;
        loop {
            let asked = Instant::now();
            let error = match self.handle.get_result(WorkflowGetResultOptions::default()).await {
                Ok(output) => return output.into_message().map_err(outcome::Error::Output),
                Err(error) => outcome::Error::from_sdk(error, self.id(), self.client.namespace()),
            };
            let outcome::Error::Server(server) = &error else {
                return Err(error);
            };
            // The SDK gives up on a silent server sooner than this, so in between somebody did answer.
            if asked.elapsed() > LONGER_THAN_SDK_RETRIES {
                silent_since = None;
            }
            let since = *silent_since.get_or_insert_with(Instant::now);
            if !server.is_unavailable() || since.elapsed() >= OUTAGE_PATIENCE {
                return Err(error);
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }
}

impl<W: Pipeline> Run<W> {
    /// Asks how many tokens the run used.
    ///
    /// # Errors
    ///
    /// That there is no such run, or that no worker answers.
    pub async fn usage(&self) -> Result<Usage, Error> {
        self.ask(UsageQuery(W::MARKER)).await
    }
}

impl<W, S> Run<W>
where
    W: Pipeline,
    Status<W>: QueryDefinition<Workflow = W, Input = (), Output = Wire<S>>,
{
    /// Asks where the run is; a run that has ended answers too, as long as a worker is there.
    ///
    /// # Errors
    ///
    /// That there is no such run, or that no worker answers.
    pub async fn status(&self) -> Result<S, Error> {
        self.ask(Status(W::MARKER)).await
    }
}

impl Error {
    pub(crate) fn ended(workflow_id: &str, description: Description) -> Self {
        Self::Ended {
            workflow_id: workflow_id.to_owned(),
            status: description.status,
        }
    }

    pub(crate) fn from_sdk(error: WorkflowInteractionError, workflow_id: &str, namespace: &str) -> Self {
        match error {
            WorkflowInteractionError::NotFound(_) => Self::NotFound {
                workflow_id: workflow_id.to_owned(),
                namespace: namespace.to_owned(),
            },
            WorkflowInteractionError::PayloadConversion(error) => server::Error::from(error).into(),
            WorkflowInteractionError::Rpc(status) => server::Error::from(status).into(),
            other @ (WorkflowInteractionError::Other(_) | _) => server::Error::Other(Box::new(other)).into(),
        }
    }
}

fn nobody_polls(status: &GrpcStatus) -> bool {
    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
        || (status.code() == Code::FailedPrecondition && status.message().contains("poller"))
}
