//! Every error with its code and whether it is tried again.

use super::*;

fn missing() -> Blob {
    Blob::NotFound { uri: "blob:a".into() }
}

fn broken() -> Blob {
    Blob::Storage {
        operation: "read",
        uri: "blob:a".into(),
        source: "connection refused".into(),
    }
}

fn holds(code: FailureCode, retryable: bool, errors: Vec<Error>) {
    for error in errors {
        assert_eq!((error.code(), error.retryable()), (code, retryable), "{error:?}");
        let failure = error.into_failure();
        assert_eq!((failure.code, failure.retryable), (code.as_str(), retryable));
    }
}

#[test]
fn what_the_input_is_to_blame_for_is_not_tried_again() {
    let path = "content";
    holds(
        FailureCode::InvalidInput,
        false,
        vec![
            Error::Input(Problems::one("a", "is wrong")),
            Error::Text {
                path,
                source: text::Error::Empty,
            },
            Error::Reference {
                path,
                source: missing(),
            },
            Error::Chunk(chunk::Error::MaxTooSmall { max_tokens: 1 }),
        ],
    );
    let unknown = Error::UnknownModel {
        model: "a/b".into(),
        known: "c/d".into(),
    };
    holds(FailureCode::ModelGone, false, vec![unknown]);
}

#[test]
fn what_the_store_is_to_blame_for_is_tried_again() {
    let reference = Error::Reference {
        path: "content",
        source: broken(),
    };
    holds(
        FailureCode::Storage,
        true,
        vec![reference, Error::Staged(broken())],
    );
}

#[test]
fn a_defect_is_not_tried_again_and_a_shutdown_is() {
    let tokenizer = tokens::Error::UnknownModel { model: "spm".into() };
    let options = Blob::Options { problems: vec![] };
    holds(
        FailureCode::Internal,
        false,
        vec![
            Error::Staged(missing()),
            Error::Reference {
                path: "content",
                source: options,
            },
            Error::Tokenizer {
                model: "a/b".into(),
                source: tokenizer,
            },
            Error::Encode(serde_json::from_str::<u8>("x").unwrap_err()),
            Error::Blocking(blocking::Error::Panicked),
        ],
    );
    let (cancelled, closing) = (blocking::Error::Cancelled, blocking::Error::ShuttingDown);
    holds(
        FailureCode::Internal,
        true,
        vec![
            Error::Blocking(cancelled),
            Error::Blocking(closing),
            Error::Stopped,
        ],
    );
}

#[test]
fn problems_name_the_place_in_what_the_caller_sent() {
    let problems = |error: Error| {
        let message = with_sources(&error);
        error.problems(message)
    };
    let found = problems(Error::Reference {
        path: "content.blob",
        source: missing(),
    });
    assert_eq!(found[0].path, "content.blob");
    assert!(found[0].message.contains("blob:a"), "{found:?}");
    assert_eq!(problems(Error::Staged(broken())), []);
    assert_eq!(problems(Error::Input(Problems::one("a", "b"))).len(), 1);
}

#[test]
fn a_message_says_what_lies_under_it() {
    let failure = Error::Staged(broken()).into_failure();
    assert!(
        failure.message.ends_with("connection refused"),
        "{}",
        failure.message
    );
}
