//! What the server knows of one run: how it stands, and what it is waiting for.
//!
//! The server's own message has some hundred fields in several encodings. This one has those a person looks for when a
//! run doesn't get on, flat and in words, and is the same in JSON: above all the pending activities with their attempt
//! and their last failure, because a run that "hangs" is nearly always an activity being tried again.

use serde::Serialize;
use temporalio_client::{WorkflowDescribeOptions, WorkflowExecutionStatus};
use temporalio_common::{
    protos::temporal::api::{
        enums::v1::PendingActivityState,
        failure::v1::{Failure, failure::FailureInfo},
        workflow::v1::{PendingActivityInfo, WorkflowExecutionInfo},
        workflowservice::v1::DescribeWorkflowExecutionResponse,
    },
    search_attributes::{SearchAttributeKey, SearchAttributes},
};
use workflow_types::names::search_attribute;

use crate::{Client, run};

const RUNNING: &str = "running";
const PAUSED: &str = "paused";

/// One run, as the server sees it. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The workflow id.
    pub id: String,
    /// The run id.
    pub run_id: String,
    /// The workflow type.
    pub workflow_type: String,
    /// `running`, `completed`, `failed`, `canceled`, `terminated`, `continued-as-new`, `timed-out`, `paused`.
    pub status: String,
    /// When it started.
    pub started: Option<String>,
    /// When it ended.
    pub closed: Option<String>,
    /// When the server ends it at the latest.
    pub expires: Option<String>,
    /// How long it may take in all, counted from the start of its first run, in seconds; `None` without a limit.
    pub execution_timeout_seconds: Option<i64>,
    /// Whether Temporal's own cancellation was asked for.
    pub cancel_requested: bool,
    /// The task queue of its workflow tasks.
    pub task_queue: String,
    /// Events in the history of this run.
    pub history_events: i64,
    /// Size of that history, in bytes.
    pub history_bytes: i64,
    /// The workflow that started it, when it is a child.
    pub parent: Option<String>,
    /// The search attributes of ours.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Activities that are running or waiting to run.
    pub pending_activities: Vec<PendingActivity>,
    /// Ids of child workflows that have not ended.
    pub pending_children: Vec<String>,
    /// How often the current workflow task was tried; above 1, the workflow's own code fails.
    pub workflow_task_attempt: Option<i32>,
}

/// Our search attributes of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attributes {
    /// `llm` or `llm-batch`.
    pub pipeline: Option<String>,
    /// Whom it is for.
    pub tenant: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// Where it is.
    pub stage: Option<String>,
    /// What it waits for: `budget` or `review`.
    pub awaiting: Option<String>,
    /// What it has spent, in millionths of the price table's currency; known once it ended, of a batch page by page.
    pub spend_micros: Option<i64>,
}

/// An activity that is running or waiting to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingActivity {
    /// Its id in the run.
    pub id: String,
    /// Its type.
    pub activity_type: String,
    /// `scheduled`, `started`, `cancel-requested`, `paused`, `pause-requested`.
    pub state: String,
    /// Which attempt it is, from 1.
    pub attempt: i32,
    /// How many there may be; `None` without a limit.
    pub maximum_attempts: Option<i32>,
    /// Why the attempt before failed.
    pub last_failure: Option<LastFailure>,
    /// The worker of the latest attempt.
    pub last_worker: Option<String>,
    /// When it last reported progress.
    pub last_heartbeat: Option<String>,
    /// When it is tried next, while it waits.
    pub next_attempt: Option<String>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// The failure code or type; `None` for timeouts and the like.
    pub code: Option<String>,
    /// The failure's words.
    pub message: String,
}

impl Client {
    /// Describes a run; without a run id the latest of that workflow id.
    ///
    /// # Errors
    ///
    /// That there is no such run, or what is wrong with the server.
    pub async fn describe(&self, workflow_id: &str, run_id: Option<&str>) -> Result<Description, run::Error> {
        let described = self
            .untyped(workflow_id, run_id)
            .describe(WorkflowDescribeOptions::default())
            .await
            .map_err(|error| run::Error::from_sdk(error, workflow_id, self.namespace()))?;
        let status = described.status();
        let attributes = described.search_attributes();
        Ok(Description::new(described.into_raw(), status, &attributes))
    }
}

impl Description {
    /// Tells whether the run has not ended; a paused one has not.
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), RUNNING | PAUSED)
    }

    fn new(
        raw: DescribeWorkflowExecutionResponse,
        status: WorkflowExecutionStatus,
        attributes: &SearchAttributes,
    ) -> Self {
        let info = raw.workflow_execution_info.unwrap_or_default();
        let extended = raw.workflow_extended_info.unwrap_or_default();
        let execution = info.execution.clone().unwrap_or_default();
        let timeout = raw
            .execution_config
            .and_then(|config| config.workflow_execution_timeout);
        Self {
            id: execution.workflow_id,
            run_id: execution.run_id,
            workflow_type: info.r#type.clone().unwrap_or_default().name,
            status: status_word(status).to_owned(),
            started: text(info.start_time.as_ref()),
            closed: text(info.close_time.as_ref()),
            expires: text(extended.execution_expiration_time.as_ref()),
            execution_timeout_seconds: timeout
                .map(|timeout| timeout.seconds)
                .filter(|seconds| *seconds > 0),
            cancel_requested: extended.cancel_requested,
            task_queue: info.task_queue.clone(),
            history_events: info.history_length,
            history_bytes: info.history_size_bytes,
            parent: parent_of(&info),
            attributes: Attributes::of(attributes),
            pending_activities: raw
                .pending_activities
                .into_iter()
                .map(PendingActivity::of)
                .collect(),
            pending_children: raw
                .pending_children
                .into_iter()
                .map(|child| child.workflow_id)
                .collect(),
            workflow_task_attempt: raw.pending_workflow_task.map(|task| task.attempt),
        }
    }
}

impl Attributes {
    pub(crate) fn of(found: &SearchAttributes) -> Self {
        let keyword = |name| found.get(&SearchAttributeKey::<String>::keyword(name));
        Self {
            pipeline: keyword(search_attribute::PIPELINE),
            tenant: keyword(search_attribute::TENANT),
            model: keyword(search_attribute::MODEL),
            stage: keyword(search_attribute::STAGE),
            // A run that waits for nothing any more has the empty text.
            awaiting: keyword(search_attribute::AWAITING).filter(|awaiting| !awaiting.is_empty()),
            spend_micros: found.get(&SearchAttributeKey::<i64>::int(search_attribute::SPEND_MICROS)),
        }
    }
}

impl PendingActivity {
    fn of(info: PendingActivityInfo) -> Self {
        Self {
            state: state_word(info.state()).to_owned(),
            id: info.activity_id,
            activity_type: info.activity_type.unwrap_or_default().name,
            attempt: info.attempt,
            maximum_attempts: Some(info.maximum_attempts).filter(|most| *most > 0),
            last_failure: info.last_failure.map(LastFailure::of),
            last_worker: Some(info.last_worker_identity).filter(|name| !name.is_empty()),
            last_heartbeat: text(info.last_heartbeat_time.as_ref()),
            next_attempt: text(info.next_attempt_schedule_time.as_ref()),
        }
    }
}

impl LastFailure {
    /// Takes the innermost cause, whose words are the ones that help.
    fn of(failure: Failure) -> Self {
        let mut failure = failure;
        while let Some(cause) = failure.cause.take() {
            failure = *cause;
        }
        let code = match failure.failure_info {
            Some(FailureInfo::ApplicationFailureInfo(info)) => Some(info.r#type),
            Some(_) | None => None,
        };
        Self {
            code: code.filter(|code| !code.is_empty()),
            message: failure.message,
        }
    }
}

/// Gives a status in one lower-case word.
pub(crate) fn status_word(status: WorkflowExecutionStatus) -> &'static str {
    match status {
        WorkflowExecutionStatus::Running => RUNNING,
        WorkflowExecutionStatus::Completed => "completed",
        WorkflowExecutionStatus::Failed => "failed",
        WorkflowExecutionStatus::Canceled => "canceled",
        WorkflowExecutionStatus::Terminated => "terminated",
        WorkflowExecutionStatus::ContinuedAsNew => "continued-as-new",
        WorkflowExecutionStatus::TimedOut => "timed-out",
        WorkflowExecutionStatus::Paused => PAUSED,
        WorkflowExecutionStatus::Unspecified | WorkflowExecutionStatus::Unknown | _ => "unknown",
    }
}

fn state_word(state: PendingActivityState) -> &'static str {
    match state {
        PendingActivityState::Unspecified => "unknown",
        PendingActivityState::Scheduled => "scheduled",
        PendingActivityState::Started => "started",
        PendingActivityState::CancelRequested => "cancel-requested",
        PendingActivityState::Paused => "paused",
        PendingActivityState::PauseRequested => "pause-requested",
    }
}

pub(crate) fn parent_of(info: &WorkflowExecutionInfo) -> Option<String> {
    let parent = info.parent_execution.as_ref()?.workflow_id.clone();
    (!parent.is_empty()).then_some(parent)
}

/// Writes a protobuf time as RFC 3339, which is how it displays itself.
pub(crate) fn text(time: Option<&impl ToString>) -> Option<String> {
    time.map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::temporal::api::{
        common::v1::ActivityType, failure::v1::ApplicationFailureInfo,
    };

    use super::*;

    #[test]
    fn a_pending_activity_says_what_stopped_its_last_attempt() {
        let inner = Failure {
            message: "the provider asks to slow down".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: "RateLimited".into(),
                ..ApplicationFailureInfo::default()
            })),
            ..Failure::default()
        };
        let outer = Failure {
            message: "activity error".into(),
            cause: Some(Box::new(inner)),
            ..Failure::default()
        };
        let pending = PendingActivity::of(PendingActivityInfo {
            activity_id: "1".into(),
            activity_type: Some(ActivityType {
                name: "generateText".into(),
            }),
            state: PendingActivityState::Scheduled.into(),
            attempt: 3,
            last_failure: Some(outer),
            ..PendingActivityInfo::default()
        });
        assert_eq!(pending.state, "scheduled");
        assert_eq!(pending.maximum_attempts, None, "0 means without limit");
        assert_eq!(
            pending.last_failure,
            Some(LastFailure {
                code: Some("RateLimited".into()),
                message: "the provider asks to slow down".into()
            })
        );
    }

    #[test]
    fn a_run_is_open_until_it_has_a_way_of_having_ended() {
        let open = |status| {
            let description = Description {
                status: status_word(status).into(),
                ..Description::default()
            };
            description.is_open()
        };
        assert!(open(WorkflowExecutionStatus::Running) && open(WorkflowExecutionStatus::Paused));
        for status in [
            WorkflowExecutionStatus::Completed,
            WorkflowExecutionStatus::Failed,
            WorkflowExecutionStatus::Canceled,
            WorkflowExecutionStatus::Terminated,
            WorkflowExecutionStatus::TimedOut,
        ] {
            assert!(!open(status), "{status:?}");
        }
    }

    #[test]
    fn json_is_flat_and_in_camel_case() {
        let description = Description {
            id: "a".into(),
            attributes: Attributes {
                tenant: Some("acme".into()),
                ..Attributes::default()
            },
            ..Description::default()
        };
        let json = serde_json::to_value(&description).unwrap();
        assert_eq!(json["tenant"], "acme");
        assert_eq!(json["pendingActivities"], serde_json::json!([]));
    }
}
