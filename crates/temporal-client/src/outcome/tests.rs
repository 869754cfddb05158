//! What is left of a failure after its layers are taken off.

use temporalio_common::{
    data_converters::{
        DefaultFailureConverter, FailureConverter, GenericPayloadConverter, PayloadConverter,
        SerializationContext, SerializationContextData,
    },
    protos::temporal::api::{
        common::v1::{ActivityType, Payloads},
        enums::v1,
        failure::v1::{
            ActivityFailureInfo, ApplicationFailureInfo, Failure, TimeoutFailureInfo, failure::FailureInfo,
        },
    },
};

use super::*;

fn decode(failure: Failure) -> Failed {
    let error = DefaultFailureConverter::default()
        .to_error(
            failure,
            &PayloadConverter::default(),
            &SerializationContextData::None,
        )
        .unwrap();
    Failed::decode(&error)
}

fn application(
    kind: &str,
    message: &str,
    details: Option<FailureDetails>,
    cause: Option<Failure>,
) -> Failure {
    let converter = PayloadConverter::default();
    let context = SerializationContext::new(&SerializationContextData::None, &converter);
    let details = details.map(|details| Payloads {
        payloads: converter.to_payloads(&context, &Wire::new(details)).unwrap(),
    });
    Failure {
        message: message.into(),
        cause: cause.map(Box::new),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.into(),
            details,
            ..ApplicationFailureInfo::default()
        })),
        ..Failure::default()
    }
}

fn activity(kind: &str, cause: Failure) -> Failure {
    Failure {
        message: "activity error".into(),
        cause: Some(Box::new(cause)),
        failure_info: Some(FailureInfo::ActivityFailureInfo(ActivityFailureInfo {
            activity_type: Some(ActivityType { name: kind.into() }),
            ..ActivityFailureInfo::default()
        })),
        ..Failure::default()
    }
}

#[test]
fn the_innermost_failure_of_ours_is_kept_with_its_problems_and_step() {
    let details = FailureDetails {
        code: "InvalidInput".into(),
        problems: vec![Problem {
            path: "content".into(),
            message: "is no UTF-8".into(),
        }],
        route_trace: vec![RouteStep {
            code: "Overloaded".into(),
            ..RouteStep::default()
        }],
        ..FailureDetails::default()
    };
    let inner = application(
        "InvalidInput",
        "the text cannot be read",
        Some(details.clone()),
        None,
    );
    let failed = decode(application(
        "Internal",
        "step failed",
        None,
        Some(activity("validateData", inner)),
    ));
    assert_eq!(failed.code, Some(FailureCode::InvalidInput));
    assert_eq!(failed.problems, details.problems);
    assert_eq!(failed.spent.as_ref().unwrap().route_trace, details.route_trace);
    assert_eq!(
        failed.to_string(),
        "InvalidInput: the text cannot be read (in validateData)"
    );
}

#[test]
fn a_cause_without_a_code_does_not_hide_the_code_around_it() {
    let foreign = application("PanicError", "index out of bounds", None, None);
    let failed = decode(application(
        "Storage",
        "the journal cannot be written",
        None,
        Some(foreign),
    ));
    assert_eq!(failed.code, Some(FailureCode::Storage));
    assert_eq!(failed.message, "the journal cannot be written");
    assert_eq!((failed.step, failed.spent), (None, None));
}

#[test]
fn a_failure_that_is_none_of_ours_keeps_its_own_words() {
    let failed = decode(activity("generateText", application("", "panicked", None, None)));
    assert_eq!(failed.code, None);
    assert_eq!(failed.to_string(), "panicked (in generateText)");
}

#[test]
fn a_timeout_says_what_it_means() {
    let timeout = Failure {
        message: "activity Heartbeat timeout".into(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: v1::TimeoutType::Heartbeat.into(),
            ..TimeoutFailureInfo::default()
        })),
        ..Failure::default()
    };
    let failed = decode(activity("generateText", timeout));
    assert!(failed.message.contains("stopped reporting progress"), "{failed}");
}

#[test]
fn a_cancellation_says_why_where_the_run_does() {
    assert_eq!(
        reason_in(&serde_json::json!({"reason": "too slow"})).as_deref(),
        Some("too slow")
    );
    assert_eq!(
        reason_in(&serde_json::json!("too slow")).as_deref(),
        Some("too slow")
    );
    assert_eq!(reason_in(&serde_json::json!({"reason": ""})), None);
    assert_eq!(reason_in(&serde_json::json!({"counts": {}})), None);
    let error = Error::Cancelled {
        reason: Some("too slow".into()),
        details: None,
    };
    assert_eq!(error.to_string(), "the run was cancelled: too slow");
}
