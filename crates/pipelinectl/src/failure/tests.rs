//! Which exit code and which word each failure has.

use temporal_client::outcome::Failed;
use workflow_types::{failure::FailureCode, proto::Usage};

use super::*;

#[test]
fn a_failed_run_keeps_its_code_and_its_problems() {
    let problem = Problem {
        path: "content".into(),
        message: "is no UTF-8".into(),
    };
    let failure = Failure::from(outcome::Error::Failed(Failed {
        code: Some(FailureCode::InvalidInput),
        message: "the text cannot be read".into(),
        problems: vec![problem.clone()],
        ..Failed::default()
    }));
    assert_eq!(
        (failure.exit, failure.code.as_str()),
        (Exit::RunFailed, "InvalidInput")
    );
    assert_eq!(failure.problems, [problem]);
}

#[test]
fn an_unknown_model_is_told_with_the_way_to_add_one_and_nothing_else_is() {
    let failed = |code| {
        Failure::from(outcome::Error::Failed(Failed {
            code: Some(code),
            message: "no provider for `openai/x` on this worker, which has: local".into(),
            ..Failed::default()
        }))
        .message
    };
    let message = failed(FailureCode::ModelGone);
    for words in [
        "which has: local",
        "models.openai",
        "documents.models",
        "docs/operations.md",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert!(!failed(FailureCode::Auth).contains("models.openai"));
}

#[test]
fn how_a_run_ended_is_in_the_exit_code() {
    let cancelled = outcome::Error::Cancelled {
        reason: Some("too slow".into()),
        details: None,
    };
    assert_eq!(Failure::from(cancelled).exit, Exit::Cancelled);
    assert_eq!(Failure::from(outcome::Error::TimedOut).exit, Exit::RunFailed);
    assert_eq!(Failure::from(outcome::Error::Terminated).exit, Exit::RunFailed);
}

#[test]
fn a_mistyped_id_says_where_to_look() {
    let failure = Failure::from(run::Error::NotFound {
        workflow_id: "x".into(),
        namespace: "default".into(),
    });
    assert_eq!(failure.exit, Exit::BadInput);
    assert_eq!(
        failure.message,
        "no workflow `x` in namespace default; `pipelinectl list` shows those that exist"
    );
}

#[test]
fn a_used_id_says_both_ways_on() {
    let failure = Failure::from(start::Error::IdTaken {
        workflow_id: "x".into(),
        namespace: "default".into(),
        run_id: None,
    });
    assert!(failure.message.contains("--use-existing"), "{}", failure.message);
    assert!(
        failure.message.contains("pipelinectl watch x"),
        "{}",
        failure.message
    );
}

#[test]
fn whatever_is_not_there_is_unavailable() {
    let unreachable = connection::Error::Unreachable {
        address: "a:1".into(),
        reason: "refused".into(),
    };
    assert_eq!(Failure::from(unreachable).exit, Exit::Unavailable);
    let silent = run::Error::NoAnswer {
        workflow_id: "x".into(),
        queue: "ai-processing",
    };
    assert_eq!(Failure::from(silent).code, "NoWorker");
}

#[test]
fn json_has_code_message_and_problems() {
    let json = serde_json::to_value(Failure::wait_over("x")).unwrap();
    assert_eq!(json["code"], "WaitOver");
    assert_eq!(json["problems"], serde_json::json!([]));
    assert_eq!(json["workflowId"], "x");
    assert!(json.get("exit").is_none());
}

#[test]
fn a_refused_update_is_told_from_a_run_that_is_gone() {
    let refused = Failure::from(update::Error::Refused {
        workflow_id: "x".into(),
        reason: "maxCostMicros: must be above the 5 in force".into(),
    });
    assert_eq!((refused.exit, refused.code.as_str()), (Exit::BadInput, "Refused"));
    assert!(refused.message.contains("must be above"), "{}", refused.message);
    let ended = Failure::from(update::Error::Run(run::Error::Ended {
        workflow_id: "x".into(),
        status: "completed".into(),
    }));
    assert_eq!(ended.code, "AlreadyEnded");
}

#[test]
fn what_a_failed_run_had_used_is_in_the_error() {
    let spent = outcome::Spent {
        usage: Some(Usage {
            calls: 2,
            ..Usage::default()
        }),
        ..outcome::Spent::default()
    };
    let failure = Failure::from(outcome::Error::Failed(Failed {
        code: Some(FailureCode::Overloaded),
        spent: Some(Box::new(spent)),
        ..Failed::default()
    }));
    let json = serde_json::to_value(failure).unwrap();
    assert_eq!(json["usage"]["calls"], 2);
    assert!(
        json.get("routeTrace").is_none() && json.get("spent").is_none(),
        "{json}"
    );
}
