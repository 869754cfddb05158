//! What is retried and what is not, kind by kind.

use model_clients::provider::CallOutcome;
use temporalio_common::error::ApplicationFailure;

use super::*;

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
        let crossed = ApplicationFailure::from(error.into_failure());
        assert_eq!(crossed.type_name(), Some(code.as_str()));
        assert_eq!(crossed.is_non_retryable(), !retryable, "{kind}");
    }
}

#[test]
fn the_delay_that_is_asked_for_is_the_delay_of_the_retry() {
    let wait = Duration::from_secs(90);
    let limited = provider::Error::new(ErrorKind::RateLimited, CallOutcome::NotBilled, "slow down")
        .with_retry_after(Some(wait));
    for error in [Error::from(limited), Error::Busy { remaining: wait }] {
        let crossed = ApplicationFailure::from(error.into_failure());
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
