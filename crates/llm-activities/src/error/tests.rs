//! What is retried and what is not, kind by kind.

use activity_context::{Failure, with_sources};
use model_clients::provider::CallOutcome;
use temporalio_common::error::ApplicationFailure;

use super::*;
use crate::failed::Failed;

fn crossing(error: Error) -> Failure {
    Box::<Failed>::from(error).into_failure()
}

#[test]
fn a_provider_s_error_is_retried_exactly_when_asking_again_may_help() {
    let cases = [
        (ErrorKind::RateLimited, FailureCode::RateLimited, true),
        (ErrorKind::Overloaded, FailureCode::Overloaded, true),
        (ErrorKind::Transport, FailureCode::Transport, true),
        (ErrorKind::StreamBroken, FailureCode::StreamBroken, true),
        (ErrorKind::QuotaExhausted, FailureCode::QuotaExhausted, false),
        (ErrorKind::Auth, FailureCode::Auth, false),
        (ErrorKind::InvalidRequest, FailureCode::InvalidRequest, false),
        (ErrorKind::ModelGone, FailureCode::ModelGone, false),
        (ErrorKind::ContentFilter, FailureCode::ContentFilter, false),
        (ErrorKind::DeadlineExceeded, FailureCode::DeadlineExceeded, false),
        (ErrorKind::ResponseTooLarge, FailureCode::ResponseTooLarge, false),
        (ErrorKind::Internal, FailureCode::Internal, false),
    ];
    for (kind, code, retryable) in cases {
        let error = Error::from(provider::Error::new(kind, CallOutcome::NotBilled, "said so"));
        assert_eq!(error.code(), code);
        let crossed = ApplicationFailure::from(crossing(error));
        assert_eq!(crossed.type_name(), Some(code.as_str()));
        assert_eq!(crossed.is_non_retryable(), !retryable, "{kind}");
    }
}

#[test]
fn the_delay_that_is_asked_for_is_the_delay_of_the_retry() {
    let wait = Duration::from_secs(90);
    let limited = provider::Error::new(ErrorKind::RateLimited, CallOutcome::NotBilled, "slow down")
        .with_retry_after(Some(wait));
    let place = Limited {
        name: "p/m/default".into(),
        why: Why::Requests,
        retry_after: wait,
    };
    for error in [
        Error::from(limited),
        Error::Busy { remaining: wait },
        Error::Limited(Box::new(place)),
    ] {
        let crossed = ApplicationFailure::from(crossing(error));
        assert_eq!(crossed.next_retry_delay(), Some(wait));
        assert!(!crossed.is_non_retryable());
    }
}

#[test]
fn a_failure_says_what_lies_under_it() {
    let store = blob_store::Error::Storage {
        operation: "read",
        uri: "blob:a".into(),
        source: "disk on fire".into(),
    };
    assert_eq!(
        with_sources(&Error::from(store)),
        "could not read `blob:a` in the blob store: disk on fire"
    );
}

#[test]
fn a_wait_for_a_limit_is_a_rate_limit_and_one_for_a_provider_that_fails_an_overload() {
    for (why, code) in [
        (Why::Requests, FailureCode::RateLimited),
        (Why::Tokens, FailureCode::RateLimited),
        (Why::InFlight, FailureCode::RateLimited),
        (Why::Blocked, FailureCode::RateLimited),
        (Why::CircuitOpen, FailureCode::Overloaded),
    ] {
        let limited = Limited {
            name: "p/m/default".into(),
            why,
            retry_after: Duration::from_secs(1),
        };
        assert_eq!(Error::Limited(Box::new(limited)).code(), code, "{why:?}");
    }
}

#[test]
fn an_offloaded_answer_that_is_gone_is_never_the_input_s_fault() {
    let uri = || "blob:shared/aa/aa".to_owned();
    let gone = blob_store::Error::NotFound { uri: uri() };
    assert_eq!(Error::Offloaded(gone).code(), FailureCode::OutcomeUnknown);
    let damaged = blob_store::Error::Corrupt {
        uri: uri(),
        difference: "other bytes".into(),
    };
    assert_eq!(Error::Offloaded(damaged).code(), FailureCode::Internal);
    let away = blob_store::Error::Storage {
        operation: "read",
        uri: uri(),
        source: "away".into(),
    };
    assert_eq!(Error::Offloaded(away).code(), FailureCode::Storage);
}
