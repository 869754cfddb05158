//! What a worker's log tells an operator, and what it must not: a failed attempt leaves a line by which its run is found,
//! and no answer is in any line, not even when the server is away and the filter lets everything through.

use std::time::Duration;

use chaos_provider::{Behaviour, Reply, RetryAfter, Rule, Script};
use serde_json::Value;
use testkit::{Rig, Settings, Worker, within};

/// Lets everything through that a filter can.
fn talkative() -> Settings {
    Settings {
        log_filter: "trace".to_owned(),
        ..Settings::default()
    }
}

/// All lines of a worker's log, each of which has to be an object.
fn lines(worker: &Worker) -> Vec<Value> {
    let log = worker.log().unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(line).collect()
}

/// The value of a field of one of the spans around a line.
fn around<'l>(line: &'l Value, field: &str) -> &'l Value {
    let spans = line["spans"].as_array().unwrap();
    let found = spans.iter().find_map(|span| span.get(field));
    found.unwrap_or_else(|| panic!("no span has {field}: {line}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failed_attempt_leaves_a_line_with_its_ids_and_its_code() {
    let script = Script::new([
        Rule::once(Reply::new(Behaviour::refused(500))),
        Rule::once(Reply::new(Behaviour::RateLimited {
            retry_after: RetryAfter::Seconds(1),
        })),
        Rule::always(Reply::default()),
    ]);
    let rig = Rig::start(script).await.unwrap();
    let worker = rig.ai_worker().await.unwrap();
    let run = rig.ask("told").await.unwrap();
    run.result().await.unwrap();

    let lines = lines(&worker);
    let failed: Vec<&Value> = lines
        .iter()
        .filter(|line| line["message"] == "an attempt of an activity failed")
        .collect();
    let codes: Vec<_> = failed
        .iter()
        .map(|line| line["error.code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["Overloaded", "RateLimited"], "{failed:#?}");
    for (line, attempt) in failed.iter().zip(1..) {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["error.retryable"], true);
        assert!(line["duration_ms"].is_u64(), "{line}");
        assert!(!line["error.message"].as_str().unwrap().is_empty());
        assert_eq!(around(line, "temporal.workflow.id"), run.id());
        assert!(around(line, "temporal.workflow.run_id").is_string());
        assert!(around(line, "temporal.activity.id").is_string());
        assert_eq!(around(line, "temporal.activity.type"), "generateText");
        assert_eq!(around(line, "temporal.activity.attempt"), attempt);
    }
    assert!(
        failed[1]["error.retry_delay_ms"].as_u64().unwrap() >= 1_000,
        "{}",
        failed[1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_in_the_log_when_it_cannot_be_reported_and_the_filter_lets_everything_through() {
    // In base64 a text of U is one of V, wherever it begins.
    let answer = "U".repeat(240);
    let script = Script::new([Rule::always(Reply::text(answer).behind("held"))]);
    let mut rig = Rig::start(script).await.unwrap();
    let worker = rig.ai_worker_with(&talkative()).await.unwrap();
    let run = rig.ask("held").await.unwrap();
    rig.provider.wait_for(1).await;

    rig.server.kill().unwrap();
    rig.provider.open_gate("held");
    let given_up = "Network error while completing activity";
    within(Duration::from_mins(1), "the report is given up", async || {
        Ok(worker.log()?.contains(given_up))
    })
    .await
    .unwrap();
    rig.server.restart().await.unwrap();
    let answered = run.result().await.unwrap();
    assert!(
        format!("{answered:?}").contains("UUUU"),
        "the answer was told: {answered:?}"
    );

    let log = worker.log().unwrap();
    for (form, marker) in [
        ("plain", "UUUUUUUU"),
        ("base64", "VVVVVVVV"),
        ("bytes", "85, 85, 85, 85"),
    ] {
        let found = log.lines().find(|line| line.contains(marker));
        assert_eq!(found, None, "{form}");
    }
    let lines = lines(&worker);
    let warned = lines.iter().find(|line| line["message"] == given_up).unwrap();
    assert_eq!(around(warned, "task_queue"), "ai-processing");
    assert!(
        warned["error"].as_str().unwrap().contains("Unavailable"),
        "{warned}"
    );
}
