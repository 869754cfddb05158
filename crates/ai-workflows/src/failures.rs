//! The one place where a step's failure becomes what the workflow does.
//!
//! The SDK hands over a chain of wrapped errors; what decides is the innermost application failure's type, which is one
//! of the closed set of codes. A timeout without such a cause is a deadline; anything else is a defect and is called
//! one, rather than being given the nearest code.

use temporalio_workflow::{
    ActivityExecutionError, ChildWorkflowExecutionError, ChildWorkflowStartError, RetryState, TimeoutType,
    WorkflowTermination,
    common::error::{ApplicationFailure, IncomingError},
};
use workflow_types::{
    failure::FailureCode,
    problem::Problems,
    proto::{BudgetShortfall, CancelRequest, FailureDetails, Problem, RouteStep, Usage},
    wire::Wire,
};

/// Why a step did not give a result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum StepError {
    /// It failed.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// It was cancelled, as somebody asked.
    #[error("cancelled")]
    Cancelled,
}

/// A failure by its code.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// Which one.
    pub code: FailureCode,
    /// What it says.
    pub message: String,
    /// What was wrong where.
    pub problems: Vec<Problem>,
    /// What was used until then.
    pub usage: Usage,
    /// With `BudgetExceeded`: what did not fit.
    pub shortfall: Option<BudgetShortfall>,
    /// Candidates that were tried.
    pub route_trace: Vec<RouteStep>,
}

impl Failure {
    /// Makes a failure without further details.
    pub(crate) fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            problems: Vec::new(),
            usage: Usage::default(),
            shortfall: None,
            route_trace: Vec::new(),
        }
    }

    /// Gives the details that cross with it.
    pub(crate) fn details(&self) -> FailureDetails {
        FailureDetails {
            code: self.code.as_str().to_owned(),
            problems: self.problems.clone(),
            usage: (self.usage != Usage::default()).then(|| self.usage.clone()),
            shortfall: self.shortfall.clone(),
            route_trace: self.route_trace.clone(),
        }
    }

    /// Fails the workflow, for good: a workflow is not run again by itself.
    pub(crate) fn terminate(self) -> WorkflowTermination {
        let details = Wire::new(self.details());
        let type_name = self.code.as_str().to_owned();
        ApplicationFailure::builder(self)
            .type_name(type_name)
            .non_retryable(true)
            .details(details)
            .build()
            .into()
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let message = format!("the input can't be used: {problems}");
        Self {
            problems: problems.into_vec(),
            ..Self::new(FailureCode::InvalidInput, message)
        }
    }
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// Ends a workflow as cancelled, with the reason where it can be read.
pub(crate) fn cancelled(reason: Option<String>) -> WorkflowTermination {
    WorkflowTermination::cancelled_with_details(Wire::new(CancelRequest { reason }))
}

impl From<ActivityExecutionError> for StepError {
    fn from(error: ActivityExecutionError) -> Self {
        let shown = error.to_string();
        match error {
            ActivityExecutionError::Cancelled(_) => Self::Cancelled,
            // The server does not begin a retry that would end too late; then there is no time-out, only this word for it.
            ActivityExecutionError::Failed(failure) => read(
                failure.cause(),
                (failure.retry_state() == RetryState::Timeout).then_some(TimeoutType::ScheduleToClose),
                &shown,
            ),
            ActivityExecutionError::Serialization(_) | _ => defect(&shown),
        }
    }
}

impl From<ChildWorkflowExecutionError> for StepError {
    fn from(error: ChildWorkflowExecutionError) -> Self {
        let shown = error.to_string();
        match error.as_cancelled() {
            Some(_) => Self::Cancelled,
            None => read(error.reason(), None, &shown),
        }
    }
}

impl From<ChildWorkflowStartError> for StepError {
    fn from(error: ChildWorkflowStartError) -> Self {
        let shown = error.to_string();
        match error.as_cancelled() {
            Some(_) => Self::Cancelled,
            None => Failure::new(
                FailureCode::InvalidInput,
                format!("the child workflow did not start: {shown}"),
            )
            .into(),
        }
    }
}

/// What a parse of an activity's own output means: the two workers don't speak the same contract.
pub(crate) fn contract_broken(activity: &str, problems: &Problems) -> StepError {
    let message = format!("{activity} gave something that is not in its contract: {problems}");
    Failure::new(FailureCode::Internal, message).into()
}

fn read(cause: Option<&IncomingError>, mut timed_out: Option<TimeoutType>, shown: &str) -> StepError {
    let mut link = cause;
    while let Some(error) = link {
        match error {
            IncomingError::Application(failure) => {
                return application(failure, timed_out).into();
            }
            IncomingError::Cancelled(_) => return StepError::Cancelled,
            IncomingError::Timeout(timeout) => {
                timed_out = Some(timeout.timeout_type());
                link = error.cause();
            }
            IncomingError::Terminated(_)
            | IncomingError::Server(_)
            | IncomingError::ResetWorkflow(_)
            | IncomingError::Activity(_)
            | IncomingError::ChildWorkflowExecution(_)
            | IncomingError::NexusOperationExecution(_)
            | IncomingError::NexusHandler(_)
            | _ => link = error.cause(),
        }
    }
    match timed_out {
        Some(kind) => Failure::new(
            FailureCode::DeadlineExceeded,
            format!("out of time ({kind:?}): {shown}"),
        )
        .into(),
        None => defect(shown),
    }
}

fn application(failure: &ApplicationFailure, timed_out: Option<TimeoutType>) -> Failure {
    let details: Option<Wire<FailureDetails>> = failure.details().unwrap_or_default();
    let details = details
        .and_then(|details| details.into_message().ok())
        .unwrap_or_default();
    let message = failure.source_error().to_string();
    let (code, message) = match (timed_out, failure.type_name().and_then(|name| name.parse().ok())) {
        (Some(_), Some(code)) => (
            FailureCode::DeadlineExceeded,
            format!("out of time while retrying {code}: {message}"),
        ),
        (None, Some(code)) => (code, message),
        (_, None) => (FailureCode::Internal, message),
    };
    Failure {
        problems: details.problems,
        usage: details.usage.unwrap_or_default(),
        shortfall: details.shortfall,
        route_trace: details.route_trace,
        ..Failure::new(code, message)
    }
}

fn defect(shown: &str) -> StepError {
    Failure::new(FailureCode::Internal, shown).into()
}

#[cfg(test)]
mod tests;
