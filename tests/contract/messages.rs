//! Every message as a Rust type, by name.
//!
//! Descriptors know no Rust types, so the list is written out; a test holds it against the descriptors. Everything goes
//! the way that payloads go: through `Wire` and the converter that workers and clients use.

use std::collections::BTreeSet;

use protox::prost_reflect::MessageDescriptor;
use temporalio_common::{
    data_converters::{
        GenericPayloadConverter as _, PayloadConverter, SerializationContext, SerializationContextData,
    },
    protos::temporal::api::common::v1::Payload,
};
use workflow_types::{
    problem::Problems,
    proto,
    wire::{self, Message, Wire},
};

use crate::schema;

/// What is done to a message whose type is known here alone.
pub(crate) struct Codec {
    /// The message's name in `proto/`.
    pub(crate) name: &'static str,
    /// Decodes payloads as a worker does and encodes the message again.
    pub(crate) cross: fn(Vec<Payload>) -> Result<Payload, Problems>,
    /// Decodes JSON as a tool for people does.
    pub(crate) strictly: fn(&[u8]) -> Result<(), Problems>,
}

macro_rules! messages {
    ($($name:ident),* $(,)?) => {
        /// Every message.
        pub(crate) const MESSAGES: &[Codec] = &[$(Codec {
            name: stringify!($name),
            cross: cross::<proto::$name>,
            strictly: |json| wire::parse_json_strictly::<proto::$name>(json).map(drop),
        }),*];
    };
}

messages![
    Awaiting,
    BatchCounts,
    BatchLine,
    BlobRef,
    Budget,
    BudgetClaim,
    BudgetRaise,
    BudgetShortfall,
    BudgetState,
    BuildManifestInput,
    BuildManifestOutput,
    CancelRequest,
    CandidateRoute,
    Chunk,
    Content,
    DiscardStagedInput,
    DiscardStagedOutput,
    FailureDetails,
    GenerateTextInput,
    GenerateTextOutput,
    GenerationParameters,
    ItemReceipt,
    JsonFormat,
    LineRef,
    LlmBatchFile,
    LlmBatchInput,
    LlmBatchItem,
    LlmBatchOutput,
    LlmBatchProgress,
    LlmBatchResult,
    LlmBatchStatus,
    LlmPipelineInput,
    LlmPipelineOutput,
    LlmPipelineStatus,
    ManifestItem,
    OutputSpec,
    PreprocessDataInput,
    PreprocessDataOutput,
    Preprocessing,
    Problem,
    Prompt,
    RaiseBudget,
    RejectedSignal,
    Repair,
    ResultJoin,
    ResultPage,
    ReviewDecision,
    ReviewReceipt,
    ReviewRecord,
    ReviewSpec,
    ReviewWait,
    RouteStep,
    ServedBy,
    StepTiming,
    StreamSpec,
    StreamTarget,
    TextFormat,
    TooLong,
    Usage,
    ValidateDataInput,
    ValidateDataOutput,
    WriteResultsInput,
    WriteResultsOutput,
];

fn cross<T: Message>(payloads: Vec<Payload>) -> Result<Payload, Problems> {
    let converter = PayloadConverter::default();
    let context = SerializationContext::new(&SerializationContextData::None, &converter);
    let received: Wire<T> = converter.from_payloads(&context, payloads).unwrap();
    let message = received.into_message()?;
    Ok(converter.to_payload(&context, &Wire::new(message)).unwrap())
}

/// Makes a payload of an encoding.
pub(crate) fn payload(encoding: &str, data: &[u8]) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), encoding.as_bytes().to_vec())].into(),
        data: data.to_vec(),
        ..Payload::default()
    }
}

/// Finds a message's codec.
pub(crate) fn codec(name: &str) -> &'static Codec {
    MESSAGES.iter().find(|codec| codec.name == name).unwrap()
}

#[test]
fn every_message_is_listed() {
    let pool = schema::pool();
    let descriptors = schema::messages(&pool);
    let described: BTreeSet<&str> = descriptors.iter().map(MessageDescriptor::name).collect();
    let listed: BTreeSet<&str> = MESSAGES.iter().map(|codec| codec.name).collect();
    assert_eq!(
        listed, described,
        "the list in tests/contract/messages.rs (left) is not that of proto/ (right)"
    );
}
