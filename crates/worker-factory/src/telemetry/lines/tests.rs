//! What reaches a line, of our own words and of the SDK's, in both forms.

use tracing::field::Empty;

use super::super::{Options, captured};
use crate::fields;

/// Stands for the text of an answer.
const ANSWER: &str = "MARKER-of-an-answer";

fn logged(json: bool, unsafe_log_payloads: bool, act: impl FnOnce()) -> String {
    let options = Options {
        log_filter: "trace".to_owned(),
        unsafe_log_payloads,
        ..Options::default()
    };
    captured(&options, json, act)
}

/// What the SDK and the crates below it write, at their most talkative.
fn talkative() {
    let span = tracing::info_span!(
        target: "temporalio_sdk_core::worker",
        "complete_activity_task",
        task_queue = "ai-processing",
        attempts = 3,
        status = Empty,
        run_id = Empty,
    );
    span.record("status", format!("ActivityExecutionResult(Success([{ANSWER}]))"));
    span.record("run_id", "run-1");
    span.in_scope(|| {
        tracing::warn!(
            target: "temporalio_sdk_core::worker::activities",
            error = ?format_args!("Status {{ code: Unavailable, details: [{ANSWER}] }}"),
            task = ANSWER,
            task_debug = ?Some(ANSWER),
            "Network error while completing activity"
        );
        tracing::warn!(
            target: "temporalio_sdk_core::worker::workflow",
            "After it shut down. When sending {:?}",
            Some([ANSWER])
        );
        tracing::error!(target: "temporalio_sdk_core", "Received invalid task: Task {{ {ANSWER} }}");
        tracing::debug!(target: "temporalio_sdk_core", "completing with {ANSWER}");
        tracing::trace!(target: "h2::codec", "{ANSWER}");
        tracing::debug!(target: "tonic::transport", "{ANSWER}");
        tracing::debug!(target: "reqwest::connect", body = ANSWER, "sent");
        tracing::debug!(target: "a_crate_that_nobody_listed", "{ANSWER}");
        tracing::info!({ fields::CHECK } = "our own", "said by us");
    });
}

#[test]
fn of_other_crates_no_text_reaches_a_line_and_what_happened_does() {
    for json in [false, true] {
        let text = logged(json, false, talkative);
        assert!(!text.contains(ANSWER), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
        for kept in [
            "Network error while completing activity",
            "code: Unavailable",
            "After it shut down. When sending Some(",
            "Received invalid task: Task",
            "said by us",
            "our own",
            "complete_activity_task",
            "ai-processing",
            "run-1",
        ] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
    }
}

#[test]
fn whoever_asks_for_unsafe_lines_gets_them() {
    for json in [false, true] {
        let text = logged(json, true, talkative);
        assert!(
            text.lines().count() == 9 && text.contains(&format!("Success([{ANSWER}])")),
            "{text}"
        );
    }
}

#[test]
fn a_json_line_stays_an_object_whatever_is_recorded_and_numbers_are_numbers() {
    let text = logged(true, false, || {
        let span = tracing::info_span!(
            "outer",
            { fields::WORKFLOW_ID } = "a \"quoted\" } id",
            { fields::RUN_ID } = Empty
        );
        span.record(fields::RUN_ID, "{first");
        span.record(fields::RUN_ID, "second}");
        let _outer = span.entered();
        let _bare = tracing::info_span!("bare", { fields::RUN_ID } = Empty).entered();
        let took = std::time::Duration::from_millis(7).as_millis();
        tracing::info!(
            wide = took,
            narrow = -1_i128,
            "a \"message\"\n{} with {{ braces }}",
            "]"
        );
        tracing::info!("");
    });
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let line = &lines[0];
    assert_eq!(lines.len(), 2);
    assert_eq!((&line["wide"], &line["narrow"]), (&7.into(), &(-1).into()));
    assert_eq!(line["message"], "a \"message\"\n] with { braces }");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "worker_factory::telemetry::lines::tests");
    let names: Vec<_> = line["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| &span["name"])
        .collect();
    assert_eq!(names, ["outer", "bare"]);
    assert_eq!(line["spans"][0]["temporal.workflow.id"], "a \"quoted\" } id");
    assert_eq!(line["spans"][0]["temporal.workflow.run_id"], "second}");
}
