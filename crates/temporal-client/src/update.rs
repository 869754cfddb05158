//! Updates of a run: more budget or time, and a person's decision about an answer.
//!
//! An update is answered, so whoever sends one learns whether it stands. Three things can come back instead of that
//! answer, and they call for different acts: the run refuses (its words say why, nothing was changed), the run is not
//! there or has ended (the server says "not found" to both, so the run is looked at), or nobody answers (no worker).
//!
//! A refusal arrives as a raw failure of the server's. Its words may stand in the failure's encoded attributes, where
//! the data converter alone can read them, so it is decoded as any other failure of a run is.

use std::time::Duration;

use temporalio_client::{
    NamespacedClient as _, RpcOptions, WorkflowStartUpdateOptions, WorkflowUpdateHandle,
    errors::WorkflowUpdateError,
};
use temporalio_common::{
    UpdateDefinition,
    data_converters::{DataConverter, SerializationContextData, WorkflowSerializationContext},
    protos::temporal::api::failure::v1::{Failure, failure::FailureInfo},
};
use tokio::time::timeout;
use uuid::Uuid;
use workflow_types::{
    names,
    problem::Problems,
    proto::{BudgetState, RaiseBudget, ReviewDecision, ReviewReceipt, ReviewRecord},
    request::Decision,
    wire::Wire,
    workflows::{LlmPipeline, RaiseBudgetUpdate, ReviewUpdate},
};

use crate::{
    Run,
    outcome::Failed,
    run::{self, AnyRun, Pipeline},
    server,
    start::CLEANUP_MARGIN,
};

/// How long a run may take to say whether it takes an update; a worker that is there answers in milliseconds.
pub const ACCEPTED_WITHIN: Duration = Duration::from_secs(20);
/// How long a run may take to apply an update that it took; an edited answer is held against its schema by another worker.
pub const APPLIED_WITHIN: Duration = Duration::from_mins(6);

/// How the server names the failure of an update whose run ended before it was applied.
const RUN_ENDED: &str = "AcceptedUpdateCompletedWorkflow";

/// Why an update did not have its effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was to be sent can't be used; nothing was sent.
    #[error("the update cannot be used: {0}")]
    Input(Problems),
    /// The run refuses, and nothing was changed.
    #[error("workflow `{workflow_id}` refuses: {reason}")]
    Refused {
        /// The id.
        workflow_id: String,
        /// The run's words.
        reason: String,
    },
    /// The new deadline would come after the time at which the server ends the run.
    #[error(
        "workflow `{workflow_id}` was started with an execution timeout that leaves room for a deadline of at most \
         {most} seconds from its start: give less, or start it anew with a longer deadline"
    )]
    NoRoom {
        /// The id.
        workflow_id: String,
        /// The latest deadline, in seconds from the start of the run.
        most: i64,
    },
    /// The run took the update and has not applied it yet.
    #[error(
        "workflow `{workflow_id}` took it and has not applied it yet: `pipelinectl status {workflow_id}` shows what \
         became of it"
    )]
    Pending {
        /// The id.
        workflow_id: String,
    },
    /// The run can't be told anything.
    #[error(transparent)]
    Run(#[from] run::Error),
}

/// Makes a name for a decision that nobody has.
pub fn new_decision_id() -> String {
    Uuid::now_v7().to_string()
}

impl AnyRun {
    /// Gives the workflow id.
    pub fn id(&self) -> &str {
        match self {
            Self::LlmPipeline(run) => run.id(),
            Self::LlmBatch(run) => run.id(),
        }
    }

    /// Gives a run of any pipeline more money, tokens or time, as [`Run::raise_budget`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Run::raise_budget`].
    pub async fn raise_budget(&self, raise: RaiseBudget) -> Result<BudgetState, Error> {
        match self {
            Self::LlmPipeline(run) => run.raise_budget(raise).await,
            Self::LlmBatch(run) => run.raise_budget(raise).await,
        }
    }
}

impl<W: Pipeline> Run<W> {
    /// Gives the run more money, tokens or time, and gives back the budget in force.
    ///
    /// # Errors
    ///
    /// That the run refuses, for example because something is not above what is in force; that a deadline has no room
    /// below the execution timeout; that the run has ended, or that no worker answers.
    pub async fn raise_budget(&self, raise: RaiseBudget) -> Result<BudgetState, Error> {
        if let Some(seconds) = raise.deadline_seconds {
            self.check_room(seconds).await?;
        }
        self.update(RaiseBudgetUpdate(W::MARKER), raise).await
    }

    async fn check_room(&self, deadline_seconds: i32) -> Result<(), Error> {
        let description = self.client().describe(self.id(), None).await?;
        if !description.is_open() {
            return Err(run::Error::ended(self.id(), description).into());
        }
        match latest_deadline(description.execution_timeout_seconds) {
            Some(most) if i64::from(deadline_seconds) > most => Err(Error::NoRoom {
                workflow_id: self.id().to_owned(),
                most,
            }),
            Some(_) | None => Ok(()),
        }
    }

    async fn update<U, I, O>(&self, update: U, input: I) -> Result<O, Error>
    where
        U: UpdateDefinition<Workflow = W, Input = Wire<I>, Output = Wire<O>>,
        I: serde::Serialize + serde::de::DeserializeOwned + Default + Send + 'static,
        O: serde::Serialize + serde::de::DeserializeOwned + Default + 'static,
    {
        let options = WorkflowStartUpdateOptions::default();
        let sent = self.handle().start_update(update, Wire::new(input), options);
        let Ok(accepted) = timeout(ACCEPTED_WITHIN, sent).await else {
            return Err(self.silent().into());
        };
        let handle: WorkflowUpdateHandle<_, Wire<O>> = match accepted {
            Ok(handle) => handle,
            Err(error) => return Err(self.failed(error).await),
        };
        let Ok(applied) = timeout(APPLIED_WITHIN, handle.get_result(RpcOptions::default())).await else {
            return Err(Error::Pending {
                workflow_id: self.id().to_owned(),
            });
        };
        let answer = match applied {
            Ok(answer) => answer,
            Err(error) => return Err(self.failed(error).await),
        };
        answer.into_message().map_err(|problems| {
            let workflow_id = self.id().to_owned();
            run::Error::Answer {
                workflow_id,
                problems,
            }
            .into()
        })
    }

    fn silent(&self) -> run::Error {
        run::Error::NoAnswer {
            workflow_id: self.id().to_owned(),
            queue: names::AI_QUEUE,
        }
    }

    async fn failed(&self, error: WorkflowUpdateError) -> Error {
        match error {
            WorkflowUpdateError::Failed(failure) if ended_first(&failure) => self.gone().await,
            WorkflowUpdateError::Failed(failure) => Error::Refused {
                workflow_id: self.id().to_owned(),
                reason: words(self.client().sdk().data_converter(), *failure).await,
            },
            // The server says "not found" of a run that has ended, too.
            WorkflowUpdateError::NotFound(_) => self.gone().await,
            WorkflowUpdateError::PayloadConversion(error) => of_server(error.into()),
            WorkflowUpdateError::Rpc(status) => of_server(status.into()),
            other @ (WorkflowUpdateError::Other(_) | _) => of_server(server::Error::Other(Box::new(other))),
        }
    }

    /// Tells a run that has ended from one that never was.
    async fn gone(&self) -> Error {
        match self.client().describe(self.id(), None).await {
            Ok(description) => run::Error::ended(self.id(), description).into(),
            Err(error) => error.into(),
        }
    }
}

impl Run<LlmPipeline> {
    /// Brings a person's decision about the answer, and gives back what is kept of it.
    ///
    /// A decision that is sent again under its own name is answered again and not applied twice. A receipt that says
    /// `applied: false` is an edit that doesn't match the form asked for; the answer waits on. A run that has ended
    /// with this very decision answers too.
    ///
    /// # Errors
    ///
    /// What of the decision can't be used; that the run refuses, because no answer waits; that the run has ended, or
    /// that no worker answers.
    pub async fn review(&self, decision: ReviewDecision) -> Result<ReviewReceipt, Error> {
        Decision::parse(decision.clone()).map_err(Error::Input)?;
        let name = decision.decision_id.clone();
        match self.update(ReviewUpdate, decision).await {
            Err(Error::Run(error @ run::Error::Ended { .. })) => {
                self.decided(&name).await.ok_or(Error::Run(error))
            }
            answered => answered,
        }
    }

    /// Finds a decision in the output of a run that has ended.
    async fn decided(&self, decision_id: &str) -> Option<ReviewReceipt> {
        let output = self.result().await.ok()?;
        receipt_of(output.review, decision_id)
    }
}

fn receipt_of(record: Option<ReviewRecord>, decision_id: &str) -> Option<ReviewReceipt> {
    let record = record.filter(|record| record.decision_id == decision_id)?;
    Some(ReviewReceipt {
        applied: true,
        problems: Vec::new(),
        record: Some(record),
    })
}

fn of_server(error: server::Error) -> Error {
    Error::Run(error.into())
}

/// Gives the latest deadline of a run that the server ends after this many seconds.
fn latest_deadline(execution_timeout_seconds: Option<i64>) -> Option<i64> {
    let margin = i64::try_from(CLEANUP_MARGIN.as_secs()).unwrap_or(0);
    execution_timeout_seconds.map(|seconds| (seconds - margin).max(0))
}

fn ended_first(failure: &Failure) -> bool {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => info.r#type == RUN_ENDED,
        Some(_) | None => false,
    }
}

/// Gives a failure's own words, also when they are encoded; as they came when they can't be decoded.
async fn words(converter: &DataConverter, mut failure: Failure) -> String {
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    if let Some(attributes) = failure.encoded_attributes.take() {
        let decoded = converter.codec().decode(&context, vec![attributes]).await;
        failure.encoded_attributes = decoded.ok().and_then(|decoded| decoded.into_iter().next());
    }
    let plain = failure.message.clone();
    let decoded = converter
        .failure_converter()
        .to_error(failure, converter.payload_converter(), &context);
    let said = decoded.map_or(plain, |error| Failed::decode(&error).message);
    // `$` is the whole of what was sent, which says nothing to a person.
    said.trim_start_matches("$: ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::temporal::api::{
        common::v1::Payload, failure::v1::ApplicationFailureInfo,
    };

    use super::*;

    fn application(kind: &str, message: &str) -> Failure {
        Failure {
            message: message.into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: kind.into(),
                ..ApplicationFailureInfo::default()
            })),
            ..Failure::default()
        }
    }

    #[tokio::test]
    async fn a_refusal_says_the_run_s_own_words() {
        let converter = DataConverter::default();
        let plain = application("", "maxCostMicros: must be above the 5 in force");
        assert_eq!(
            words(&converter, plain).await,
            "maxCostMicros: must be above the 5 in force"
        );
        let whole = application("", "$: no answer waits for a decision");
        assert_eq!(words(&converter, whole).await, "no answer waits for a decision");
    }

    #[tokio::test]
    async fn words_in_the_encoded_attributes_are_read() {
        let encoded = Failure {
            encoded_attributes: Some(Payload {
                metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
                data: br#"{"message": "actor: must say who acts", "stack_trace": ""}"#.to_vec(),
                ..Payload::default()
            }),
            ..application("", "Encoded failure")
        };
        assert_eq!(
            words(&DataConverter::default(), encoded).await,
            "actor: must say who acts"
        );
    }

    #[test]
    fn a_run_that_ended_first_is_no_refusal() {
        assert!(ended_first(&application(RUN_ENDED, "completed")));
        assert!(!ended_first(&application("", "completed")));
        assert!(!ended_first(&Failure::default()));
    }

    #[test]
    fn a_decision_that_ended_the_run_is_answered_again_and_no_other_is() {
        let record = ReviewRecord {
            decision_id: "d-1".into(),
            ..ReviewRecord::default()
        };
        let receipt = receipt_of(Some(record.clone()), "d-1").unwrap();
        assert!(receipt.applied && receipt.record == Some(record.clone()));
        assert_eq!(receipt_of(Some(record), "d-2"), None);
        // Nobody decided, time did.
        assert_eq!(receipt_of(Some(ReviewRecord::default()), "d-1"), None);
        assert_eq!(receipt_of(None, "d-1"), None);
    }

    #[test]
    fn a_deadline_leaves_time_to_clean_up() {
        assert_eq!(latest_deadline(Some(4_200)), Some(3_600));
        assert_eq!(latest_deadline(Some(5)), Some(0));
        assert_eq!(latest_deadline(None), None);
    }
}
