//! What failures of steps come to.

use workflow_types::problem::Problems;

use super::*;

#[test]
fn bad_input_keeps_every_path() {
    let mut problems = Problems::one("content", "is missing");
    problems.at("model", "must be provider/model");
    let failure = Failure::from(problems);
    assert_eq!(failure.code, FailureCode::InvalidInput);
    assert_eq!(failure.details().problems.len(), 2);
    assert!(failure.message.contains("content: is missing"));
}

#[test]
fn a_failed_run_is_not_run_again_by_itself() {
    let WorkflowTermination::Failed(error) = Failure::new(FailureCode::Storage, "no disk").terminate() else {
        panic!("a failure ends a run as failed");
    };
    let shown = format!("{error:?}");
    assert!(shown.contains("non_retryable: true"), "{shown}");
    assert!(shown.contains("Storage"), "{shown}");
}
