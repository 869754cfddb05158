//! Every payload in a history, decoded with the type that today's contract gives it.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "Temporal has sixty kinds of events, of which these bring payloads of ours"
)]

use std::collections::BTreeMap;

use temporalio_common::{
    data_converters::{
        GenericPayloadConverter as _, PayloadConverter, SerializationContext, SerializationContextData,
    },
    protos::temporal::api::{
        common::v1::{Payload, Payloads},
        failure::v1::{Failure, failure::FailureInfo},
        history::v1::{History, history_event::Attributes},
        update::v1::outcome::Value,
    },
};
use workflow_types::{
    failure::FailureCode,
    names,
    problem::Problems,
    proto,
    wire::{self, Message, Wire},
};

/// Decodes payloads with one type.
type Decode = fn(&[Payload]) -> Result<(), Problems>;

/// Reads as a worker does, and then strictly: a field that today's contract doesn't know was taken out of it.
fn decode<T: Message>(payloads: &[Payload]) -> Result<(), Problems> {
    let converter = PayloadConverter::default();
    let context = SerializationContext::new(&SerializationContextData::None, &converter);
    let received: Wire<T> = converter.from_payloads(&context, payloads.to_vec()).unwrap();
    drop(received.into_message()?);
    payloads
        .iter()
        .filter(|payload| !payload.data.is_empty())
        .try_for_each(|payload| wire::parse_json_strictly::<T>(&payload.data).map(drop))
}

/// Gives what goes into an activity or a workflow and what comes out.
fn types(name: &str) -> Option<(Decode, Decode)> {
    use proto::{
        BuildManifestInput, BuildManifestOutput, DiscardStagedInput, DiscardStagedOutput, GenerateTextInput,
        GenerateTextOutput, LlmBatchInput, LlmBatchOutput, LlmPipelineInput, LlmPipelineOutput,
        PreprocessDataInput, PreprocessDataOutput, ValidateDataInput, ValidateDataOutput, WriteResultsInput,
        WriteResultsOutput,
    };
    Some(match name {
        names::LLM_PIPELINE => (decode::<LlmPipelineInput>, decode::<LlmPipelineOutput>),
        names::LLM_BATCH => (decode::<LlmBatchInput>, decode::<LlmBatchOutput>),
        names::GENERATE_TEXT => (decode::<GenerateTextInput>, decode::<GenerateTextOutput>),
        names::VALIDATE_DATA => (decode::<ValidateDataInput>, decode::<ValidateDataOutput>),
        names::PREPROCESS_DATA => (decode::<PreprocessDataInput>, decode::<PreprocessDataOutput>),
        names::BUILD_MANIFEST => (decode::<BuildManifestInput>, decode::<BuildManifestOutput>),
        names::WRITE_RESULTS => (decode::<WriteResultsInput>, decode::<WriteResultsOutput>),
        names::DISCARD_STAGED | names::DISCARD_STAGED_LATER => {
            (decode::<DiscardStagedInput>, decode::<DiscardStagedOutput>)
        }
        _ => return None,
    })
}

/// Gives what goes into an update and what comes out.
fn updates(name: &str) -> Option<(Decode, Decode)> {
    use proto::{BudgetState, RaiseBudget, ReviewDecision, ReviewReceipt};
    Some(match name {
        names::RAISE_BUDGET => (decode::<RaiseBudget>, decode::<BudgetState>),
        names::REVIEW => (decode::<ReviewDecision>, decode::<ReviewReceipt>),
        _ => return None,
    })
}

/// Gives what comes with the end of a cancelled workflow: what it has, or why it was stopped.
fn cancelled(name: &str) -> Option<Decode> {
    match name {
        names::LLM_PIPELINE => Some(decode::<proto::CancelRequest>),
        names::LLM_BATCH => Some(|payloads| {
            decode::<proto::LlmBatchOutput>(payloads).or_else(|_| decode::<proto::CancelRequest>(payloads))
        }),
        _ => None,
    }
}

/// What a history's payloads came to.
#[derive(Default)]
pub(crate) struct Found {
    /// How many were tried.
    pub(crate) tried: usize,
    /// Those that can't be read, with the event they are in.
    pub(crate) unread: Vec<String>,
}

/// Reads every payload of a history.
pub(crate) fn read(history: &History) -> Found {
    let mut reader = Reader::default();
    for event in &history.events {
        reader.event = event.event_id;
        if let Some(attributes) = &event.attributes {
            reader.take(attributes);
        }
    }
    reader.found
}

#[derive(Default)]
struct Reader {
    found: Found,
    /// The event that is read.
    event: i64,
    /// The activity that each event asked for.
    activities: BTreeMap<i64, String>,
    /// The update that each event accepted.
    updates: BTreeMap<i64, String>,
    /// The workflow that runs.
    workflow: String,
}

impl Reader {
    fn take(&mut self, attributes: &Attributes) {
        self.take_workflow(attributes);
        self.take_activity(attributes);
        self.take_child(attributes);
    }

    fn take_workflow(&mut self, attributes: &Attributes) {
        let workflow = self.workflow.clone();
        match attributes {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                self.workflow = started.workflow_type.as_ref().unwrap().name.clone();
                self.input(&self.workflow.clone(), started.input.as_ref());
            }
            Attributes::WorkflowExecutionSignaledEventAttributes(signal) => {
                let signalled: Option<Decode> = match signal.signal_name.as_str() {
                    names::CANCEL => Some(decode::<proto::CancelRequest>),
                    names::BUDGET_RAISED => Some(decode::<proto::BudgetState>),
                    _ => None,
                };
                self.decode(&signal.signal_name, signalled, signal.input.as_ref());
            }
            Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(accepted) => {
                let input = accepted
                    .accepted_request
                    .as_ref()
                    .and_then(|request| request.input.as_ref());
                let (name, asked) =
                    input.map_or_else(Default::default, |input| (input.name.clone(), input.args.clone()));
                self.decode(&name, updates(&name).map(|(input, _)| input), asked.as_ref());
                self.updates.insert(self.event, name);
            }
            Attributes::WorkflowExecutionUpdateCompletedEventAttributes(ended) => {
                let name = self.updates[&ended.accepted_event_id].clone();
                match ended.outcome.as_ref().and_then(|outcome| outcome.value.as_ref()) {
                    Some(Value::Success(result)) => {
                        self.decode(&name, updates(&name).map(|(_, output)| output), Some(result));
                    }
                    Some(Value::Failure(failure)) => self.failure(Some(failure)),
                    None => {}
                }
            }
            Attributes::WorkflowExecutionContinuedAsNewEventAttributes(next) => {
                self.input(&workflow, next.input.as_ref());
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(end) => {
                self.output(&workflow, end.result.as_ref());
            }
            Attributes::WorkflowExecutionCanceledEventAttributes(end) => {
                self.decode(&workflow, cancelled(&workflow), end.details.as_ref());
            }
            Attributes::WorkflowExecutionFailedEventAttributes(end) => self.failure(end.failure.as_ref()),
            _ => {}
        }
    }

    fn take_activity(&mut self, attributes: &Attributes) {
        match attributes {
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                let name = scheduled.activity_type.as_ref().unwrap().name.clone();
                self.input(&name, scheduled.input.as_ref());
                self.activities.insert(self.event, name);
            }
            Attributes::ActivityTaskStartedEventAttributes(started) => {
                // Why the attempt before failed.
                self.failure(started.last_failure.as_ref());
            }
            Attributes::ActivityTaskCompletedEventAttributes(completed) => {
                let name = self.activities[&completed.scheduled_event_id].clone();
                self.output(&name, completed.result.as_ref());
            }
            Attributes::ActivityTaskFailedEventAttributes(failed) => self.failure(failed.failure.as_ref()),
            _ => {}
        }
    }

    fn take_child(&mut self, attributes: &Attributes) {
        match attributes {
            Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(child) => {
                self.input(&child.workflow_type.as_ref().unwrap().name, child.input.as_ref());
            }
            Attributes::ChildWorkflowExecutionCompletedEventAttributes(child) => {
                self.output(&child.workflow_type.as_ref().unwrap().name, child.result.as_ref());
            }
            Attributes::ChildWorkflowExecutionCanceledEventAttributes(child) => {
                let name = &child.workflow_type.as_ref().unwrap().name;
                self.decode(name, cancelled(name), child.details.as_ref());
            }
            Attributes::ChildWorkflowExecutionFailedEventAttributes(child) => {
                self.failure(child.failure.as_ref());
            }
            _ => {}
        }
    }

    fn input(&mut self, name: &str, payloads: Option<&Payloads>) {
        self.decode(name, types(name).map(|(input, _)| input), payloads);
    }

    fn output(&mut self, name: &str, payloads: Option<&Payloads>) {
        self.decode(name, types(name).map(|(_, output)| output), payloads);
    }

    fn decode(&mut self, name: &str, decode: Option<Decode>, payloads: Option<&Payloads>) {
        self.found.tried += 1;
        let payloads = payloads.map_or(&[][..], |payloads| &payloads.payloads);
        let problem = match decode {
            Some(decode) => decode(payloads).err().map(|problems| problems.to_string()),
            None => Some("is no name of the contract any more".to_owned()),
        };
        let event = self.event;
        self.found
            .unread
            .extend(problem.map(|problem| format!("event {event}, {name}: {problem}")));
    }

    /// Reads a failure's code and details, and those of what caused it.
    fn failure(&mut self, failure: Option<&Failure>) {
        let mut link = failure;
        while let Some(failure) = link {
            if let Some(FailureInfo::ApplicationFailureInfo(info)) = &failure.failure_info {
                let known = info.r#type.parse::<FailureCode>();
                let details: Option<Decode> = known.ok().map(|_| decode::<proto::FailureDetails> as Decode);
                self.decode(&info.r#type, details, info.details.as_ref());
            }
            link = failure.cause.as_deref();
        }
    }
}
