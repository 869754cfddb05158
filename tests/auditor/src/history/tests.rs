//! Recorded histories say what was asked and answered in them.

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../histories");

fn recorded(name: &str) -> Run {
    let json = std::fs::read(format!("{FOLDER}/{name}.json")).unwrap();
    read(&serde_json::from_slice(&json).unwrap())
}

#[test]
fn a_run_in_one_call_has_one_answer_which_is_its_result() {
    let run = recorded("llm-pipeline-inline");
    assert_eq!(run.unread, [""; 0]);
    let [told] = run.told.as_slice() else {
        panic!("{run:#?}");
    };
    assert_eq!(run.asked, [told.key.as_str()]);
    assert!(
        told.key.starts_with("default/") && told.key.ends_with("/call/call/0"),
        "{told:?}"
    );
    let result = run.result.unwrap();
    assert_eq!(
        (result.response_id, result.sha256),
        (told.response_id.clone(), told.sha256.clone())
    );
    assert!(told.sha256.is_some());
}

#[test]
fn every_call_of_a_run_is_asked_for_and_those_that_failed_have_no_answer() {
    let run = recorded("llm-pipeline-chunks");
    assert!(run.told.len() > 2, "{run:#?}");
    let told: Vec<&str> = run.told.iter().map(|told| told.key.as_str()).collect();
    assert!(told.iter().all(|key| run.asked.iter().any(|asked| asked == key)));
    let failed = recorded("llm-pipeline-provider-error");
    assert_eq!(
        (failed.told.len(), failed.asked.len(), failed.result),
        (0, 1, None)
    );
}
