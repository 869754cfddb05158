//! Starting a run so that it ends, can be found and is not started twice.
//!
//! The input is parsed here exactly as the workflow will parse it, so a mistake is reported before anything exists on
//! the server. Every start has an execution timeout, because without one a workflow whose code panics is tried for ever.
//! The workflow keeps the caller's deadline itself and then cleans up; the server's timeout comes later and only ends
//! what can't end itself. It can't be changed once a run has started, and a deadline can be raised, and a person who
//! reviews an answer takes time that is no part of the deadline. So the timeout is the deadline, the longest that the
//! review can take with all its escalations, a day for raises, and a margin for cleaning up.
//!
//! An id names one piece of work: it is refused a second time, also after the first run ended, as long as the server
//! keeps that run's history. A caller who may be repeating itself after a broken connection says
//! [`Duplicate::UseExisting`] and gets the run that is there.

use std::time::Duration;

use temporalio_client::{
    WorkflowExecutionInfo, WorkflowHandle, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    WorkflowStartOptions,
    errors::WorkflowStartError,
    tonic::{Code, Status},
};
use temporalio_common::{
    HasWorkflowDefinition,
    search_attributes::{SearchAttributeKey, SearchAttributes},
};
use uuid::Uuid;
use workflow_types::{
    batch::BatchRequest,
    names::{self, search_attribute},
    problem::Problems,
    proto::{LlmBatchInput, LlmPipelineInput, ReviewSpec},
    request::{PipelineRequest, Review},
    wire::Wire,
    workflows::{LlmBatch, LlmPipeline},
};

use crate::{Client, Kind, Run, server};

/// What a run may take beyond its deadline, to compensate and to say how it ended.
pub const CLEANUP_MARGIN: Duration = Duration::from_mins(10);
/// How far a deadline can be raised, because the execution timeout of a run that has started stays as it is.
pub const RAISE_ROOM: Duration = Duration::from_hours(24);
/// The longest workflow id that is taken, in bytes.
pub const ID_LIMIT_BYTES: usize = 200;

const PIPELINE: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::PIPELINE);
const TENANT: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::TENANT);
const MODEL: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::MODEL);
const STAGE: SearchAttributeKey<String> = SearchAttributeKey::keyword(search_attribute::STAGE);
const FIRST_STAGE: &str = "validating";

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The workflow id; `None` makes a [`new_id`].
    pub workflow_id: Option<String>,
    /// What to do when the id has been used.
    pub duplicate: Duplicate,
    /// The task queue; default [`names::AI_QUEUE`].
    pub task_queue: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workflow_id: None,
            duplicate: Duplicate::Reject,
            task_queue: names::AI_QUEUE.to_owned(),
        }
    }
}

/// What to do when a workflow id has been used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// Fail with [`Error::IdTaken`].
    Reject,
    /// Give a handle to the run that is there, running or ended; the new input is not looked at by anybody.
    UseExisting,
}

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input or the id can't be used.
    #[error("the input cannot be used: {0}")]
    Input(Problems),
    /// The id has been used.
    #[error(
        "workflow id `{workflow_id}` has been used in namespace {namespace}: choose another, or attach to that run"
    )]
    IdTaken {
        /// The id.
        workflow_id: String,
        /// The namespace.
        namespace: String,
        /// The run that has it.
        run_id: Option<String>,
    },
    /// The namespace lacks our search attributes.
    #[error("namespace {namespace} lacks search attributes: run `pipelinectl setup` once ({reason})")]
    AttributesMissing {
        /// The namespace.
        namespace: String,
        /// The server's words.
        reason: String,
    },
    /// The server gave no usable answer.
    #[error(transparent)]
    Server(#[from] server::Error),
}

impl Client {
    /// Starts `LlmPipelineWorkflow`.
    ///
    /// # Errors
    ///
    /// All problems of the input at once, a used id, or what is wrong with the server.
    pub async fn start_llm_pipeline(
        &self,
        input: LlmPipelineInput,
        options: &Options,
    ) -> Result<Run<LlmPipeline>, Error> {
        let request = PipelineRequest::parse(input.clone()).map_err(Error::Input)?;
        let plan = Plan {
            kind: Kind::LlmPipeline,
            deadline: request.deadline,
            review: request.review.map_or(Duration::ZERO, |review| review.longest()),
            tenant: request.tenant,
            model: request.model.to_string(),
        };
        self.start(LlmPipeline, Wire::new(input), options, plan).await
    }

    /// Starts `LlmBatchWorkflow`.
    ///
    /// # Errors
    ///
    /// All problems of the input at once, a used id, or what is wrong with the server.
    pub async fn start_llm_batch(
        &self,
        input: LlmBatchInput,
        options: &Options,
    ) -> Result<Run<LlmBatch>, Error> {
        let request = BatchRequest::parse(input.clone()).map_err(Error::Input)?;
        let plan = Plan {
            kind: Kind::LlmBatch,
            deadline: request.deadline,
            review: longest_review(request.defaults.review),
            tenant: request.defaults.tenant,
            model: request.model.to_string(),
        };
        self.start(LlmBatch, Wire::new(input), options, plan).await
    }

    async fn start<W>(
        &self,
        workflow: W,
        input: W::Input,
        options: &Options,
        plan: Plan,
    ) -> Result<Run<W>, Error>
    where
        W: HasWorkflowDefinition,
        W::Input: Send,
    {
        let workflow_id = match &options.workflow_id {
            Some(id) => {
                check_id(id).map_err(Error::Input)?;
                id.clone()
            }
            None => new_id(plan.kind),
        };
        let start = plan.start_options(options, &workflow_id);
        match self.sdk().start_workflow(workflow, input, start).await {
            Ok(handle) => Ok(Run::new(self.clone(), handle, false)),
            Err(WorkflowStartError::AlreadyStarted { run_id, .. }) => match options.duplicate {
                Duplicate::Reject => Err(Error::IdTaken {
                    workflow_id,
                    namespace: self.namespace().to_owned(),
                    run_id,
                }),
                Duplicate::UseExisting => Ok(self.attach(&workflow_id)),
            },
            Err(WorkflowStartError::PayloadConversion(error)) => Err(server::Error::from(error).into()),
            Err(WorkflowStartError::Rpc(status)) => Err(self.refused(status)),
            Err(other) => Err(server::Error::Other(Box::new(other)).into()),
        }
    }

    fn attach<W: HasWorkflowDefinition>(&self, workflow_id: &str) -> Run<W> {
        let info = WorkflowExecutionInfo::builder()
            .namespace(self.namespace())
            .workflow_id(workflow_id)
            .build();
        Run::new(self.clone(), WorkflowHandle::new(self.sdk().clone(), info), true)
    }

    fn refused(&self, status: Status) -> Error {
        let text = status.message();
        let of_attributes = text.contains("search attribute") || text.contains("SearchAttribute");
        if status.code() == Code::InvalidArgument && of_attributes {
            return Error::AttributesMissing {
                namespace: self.namespace().to_owned(),
                reason: text.trim_end_matches('.').to_owned(),
            };
        }
        server::Error::from(status).into()
    }
}

/// What a start needs to know of its input.
struct Plan {
    kind: Kind,
    deadline: Duration,
    review: Duration,
    tenant: Option<String>,
    model: String,
}

/// Gives how long the review of an item can take; what can't be parsed was refused before.
fn longest_review(spec: Option<ReviewSpec>) -> Duration {
    spec.and_then(|spec| Review::parse(spec).ok())
        .map_or(Duration::ZERO, |review| review.longest())
}

impl Plan {
    fn start_options(&self, options: &Options, workflow_id: &str) -> WorkflowStartOptions {
        let conflict = match options.duplicate {
            Duplicate::Reject => WorkflowIdConflictPolicy::Fail,
            Duplicate::UseExisting => WorkflowIdConflictPolicy::UseExisting,
        };
        WorkflowStartOptions::new(options.task_queue.clone(), workflow_id)
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .id_conflict_policy(conflict)
            .execution_timeout(self.deadline + self.review + RAISE_ROOM + CLEANUP_MARGIN)
            .search_attributes(self.attributes())
            .build()
    }

    fn attributes(&self) -> SearchAttributes {
        let mut updates = vec![
            PIPELINE.value_set(self.kind.as_str().to_owned()),
            MODEL.value_set(self.model.clone()),
            STAGE.value_set(FIRST_STAGE.to_owned()),
        ];
        updates.extend(self.tenant.clone().map(|tenant| TENANT.value_set(tenant)));
        SearchAttributes::new(updates)
    }
}

/// Makes a workflow id that nobody has, `llm-<uuid>` or `llm-batch-<uuid>`, ordered by time.
pub fn new_id(kind: Kind) -> String {
    format!("{}-{}", kind.as_str(), Uuid::now_v7())
}

/// Checks a workflow id: 1 to [`ID_LIMIT_BYTES`] bytes without control characters.
///
/// # Errors
///
/// What is wrong with it, at the path `id`.
pub fn check_id(id: &str) -> Result<(), Problems> {
    if id.is_empty() || id.len() > ID_LIMIT_BYTES || id.chars().any(char::is_control) {
        return Err(Problems::one(
            "id",
            format!("must be 1 to {ID_LIMIT_BYTES} bytes without control characters"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use workflow_types::proto::ReviewTimeout;

    use super::*;

    fn plan(tenant: Option<&str>) -> Plan {
        Plan {
            kind: Kind::LlmPipeline,
            deadline: Duration::from_mins(1),
            review: Duration::from_hours(2),
            tenant: tenant.map(str::to_owned),
            model: "local/m".into(),
        }
    }

    #[test]
    fn a_start_ends_and_can_be_found() {
        let start = plan(Some("acme")).start_options(&Options::default(), "x");
        let timeout = Duration::from_mins(1) + Duration::from_hours(2) + RAISE_ROOM + CLEANUP_MARGIN;
        assert_eq!(start.execution_timeout, Some(timeout));
        assert_eq!(start.task_queue, "ai-processing");
        let attributes = start.search_attributes.unwrap();
        assert_eq!(attributes.get(&PIPELINE).as_deref(), Some("llm"));
        assert_eq!(attributes.get(&TENANT).as_deref(), Some("acme"));
        assert_eq!(attributes.get(&MODEL).as_deref(), Some("local/m"));
        assert_eq!(attributes.get(&STAGE).as_deref(), Some("validating"));
        assert_eq!(plan(None).attributes().len(), 3);
    }

    #[test]
    fn a_used_id_is_refused_or_attached_to_but_never_replaced() {
        for (duplicate, conflict) in [
            (Duplicate::Reject, WorkflowIdConflictPolicy::Fail),
            (Duplicate::UseExisting, WorkflowIdConflictPolicy::UseExisting),
        ] {
            let options = Options {
                duplicate,
                ..Options::default()
            };
            let start = plan(None).start_options(&options, "x");
            assert_eq!(start.id_reuse_policy, WorkflowIdReusePolicy::RejectDuplicate);
            assert_eq!(start.id_conflict_policy, conflict);
        }
    }

    #[test]
    fn a_review_with_escalations_has_its_time() {
        let spec = ReviewSpec {
            timeout_seconds: Some(60),
            on_timeout: Some(ReviewTimeout::Escalate.into()),
            escalate_to: Some("lead".into()),
            max_escalations: Some(2),
            ..ReviewSpec::default()
        };
        assert_eq!(longest_review(Some(spec)), Duration::from_mins(3));
        assert_eq!(longest_review(None), Duration::ZERO);
    }

    #[test]
    fn an_id_is_one_line_of_bounded_length() {
        assert!(check_id("report/2024 q1").is_ok());
        for id in ["", "a\nb", &"x".repeat(ID_LIMIT_BYTES + 1)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
