//! How a run ended, when it did not give its output.
//!
//! The server wraps a failure in one layer per activity and child workflow it passed, and each layer's own text says
//! only that something below failed. What a person can act on is the innermost failure of ours, with its code and its
//! problems by path, so that is what is kept; the layers only tell which step it was.

use std::fmt;

use serde::Serialize;
use temporalio_client::{WorkflowResultDetails, errors::WorkflowGetResultError};
use temporalio_common::error::{ApplicationFailure, IncomingError, TimeoutType};
use workflow_types::{
    failure::FailureCode,
    problem::Problems,
    proto::{BudgetShortfall, FailureDetails, Problem, RouteStep, Usage},
    wire::Wire,
};

use crate::server;

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run failed.
    #[error("the run failed: {0}")]
    Failed(Failed),
    /// The run was cancelled and has cleaned up.
    #[error("the run was cancelled{}", because(reason.as_deref()))]
    Cancelled {
        /// Why, when the run says so.
        reason: Option<String>,
        /// What the run left: of a batch, the `LlmBatchOutput` of the items that had ended.
        details: Option<serde_json::Value>,
    },
    /// The run was ended from outside, without cleaning up.
    #[error("the run was terminated")]
    Terminated,
    /// The execution timeout passed; the run could not end itself.
    #[error(
        "the run reached its execution timeout without ending itself: look at it with `pipelinectl describe`"
    )]
    TimedOut,
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
    /// The output has another shape than this program expects.
    #[error("the run's output cannot be read, another version may have written it: {0}")]
    Output(Problems),
    /// The server gave no usable answer.
    #[error(transparent)]
    Server(#[from] server::Error),
}

/// The innermost failure of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failed {
    /// The code; `None` when the failure is not one of ours, for example a timeout or a panic.
    pub code: Option<FailureCode>,
    /// The failure's own words, without the layers around it.
    pub message: String,
    /// What was wrong, one entry a place.
    pub problems: Vec<Problem>,
    /// The activity or child workflow type in which it happened.
    pub step: Option<String>,
    /// What it cost until then; `None` when the failure doesn't say.
    pub spent: Option<Box<Spent>>,
}

/// What a run that failed had used, and on which models.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// Tokens and money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// With `BudgetExceeded`: what did not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<BudgetShortfall>,
    /// Models that were left for the next one, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route_trace: Vec<RouteStep>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(self.message.trim_end_matches('.'))?;
        if let Some(step) = &self.step {
            write!(f, " (in {step})")?;
        }
        Ok(())
    }
}

impl Failed {
    /// Reads a failure's layers.
    pub fn decode(error: &IncomingError) -> Self {
        let mut step = None;
        let mut innermost = None;
        let mut ours = None;
        let mut timeout = None;
        let mut next = Some(error);
        while let Some(layer) = next {
            match layer {
                IncomingError::Activity(activity) => step = activity.activity_type().map(str::to_owned),
                IncomingError::ChildWorkflowExecution(child) => {
                    step = child.workflow_type().map(str::to_owned);
                }
                IncomingError::Application(failure) => {
                    innermost = Some((failure, step.clone()));
                    if code_of(failure).is_some() {
                        ours = Some((failure, step.clone()));
                    }
                }
                IncomingError::Timeout(found) => timeout = Some(found.timeout_type()),
                IncomingError::Cancelled(_)
                | IncomingError::Terminated(_)
                | IncomingError::Server(_)
                | IncomingError::ResetWorkflow(_)
                | IncomingError::NexusOperationExecution(_)
                | IncomingError::NexusHandler(_)
                | _ => {}
            }
            next = layer.cause();
        }
        match ours.or(innermost) {
            Some((failure, step)) => Self::of_application(failure, step),
            None => Self {
                code: None,
                message: timeout.map_or_else(
                    || error.failure().message.clone(),
                    |kind| timeout_text(kind).to_owned(),
                ),
                step,
                ..Self::default()
            },
        }
    }

    fn of_application(failure: &ApplicationFailure, step: Option<String>) -> Self {
        let message = failure.failure().map_or_else(
            || failure.source_error().to_string(),
            |proto| proto.message.clone(),
        );
        // Details that are not ours are somebody else's failure, whose message is all there is.
        let details = failure.details::<Wire<FailureDetails>>().ok().flatten();
        let details = details
            .and_then(|details| details.into_message().ok())
            .unwrap_or_default();
        let spent = Spent {
            usage: details.usage,
            shortfall: details.shortfall,
            route_trace: details.route_trace,
        };
        Self {
            code: code_of(failure),
            message,
            problems: details.problems,
            step,
            spent: (spent != Spent::default()).then(|| Box::new(spent)),
        }
    }
}

fn code_of(failure: &ApplicationFailure) -> Option<FailureCode> {
    failure.type_name().and_then(|name| name.parse().ok())
}

fn timeout_text(kind: TimeoutType) -> &'static str {
    match kind {
        TimeoutType::Heartbeat => "the worker stopped reporting progress; it may have died or be overloaded",
        TimeoutType::ScheduleToStart => {
            "no worker took the step in time; check that one polls its task queue"
        }
        TimeoutType::StartToClose => "one attempt of the step took longer than it may",
        TimeoutType::ScheduleToClose => "the step did not succeed in the time it has for all its attempts",
        TimeoutType::Unspecified | TimeoutType::Unknown | _ => "a time limit passed",
    }
}

impl Error {
    fn cancelled(details: &WorkflowResultDetails) -> Self {
        let details = details
            .raw()
            .first()
            .and_then(|payload| serde_json::from_slice(&payload.data).ok());
        Self::Cancelled {
            reason: details.as_ref().and_then(reason_in),
            details,
        }
    }

    /// Takes over what the SDK says about a run.
    pub(crate) fn from_sdk(error: WorkflowGetResultError, workflow_id: &str, namespace: &str) -> Self {
        match error {
            WorkflowGetResultError::Failed(failure) => Self::Failed(Failed::decode(&failure)),
            WorkflowGetResultError::Cancelled { details } => Self::cancelled(&details),
            WorkflowGetResultError::Terminated { .. } => Self::Terminated,
            WorkflowGetResultError::TimedOut => Self::TimedOut,
            WorkflowGetResultError::NotFound(_) => Self::NotFound {
                workflow_id: workflow_id.to_owned(),
                namespace: namespace.to_owned(),
            },
            WorkflowGetResultError::PayloadConversion(error) => server::Error::from(error).into(),
            WorkflowGetResultError::Rpc(status) => server::Error::from(status).into(),
            other @ (WorkflowGetResultError::ContinuedAsNew | WorkflowGetResultError::Other(_) | _) => {
                server::Error::Other(Box::new(other)).into()
            }
        }
    }
}

/// A run says why it was cancelled as `{"reason": …}` or as a text.
fn reason_in(details: &serde_json::Value) -> Option<String> {
    let reason = details.get("reason").unwrap_or(details).as_str()?;
    (!reason.is_empty()).then(|| reason.to_owned())
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
