//! Waits and deadlines of hours, on Temporal's test server, whose clock jumps over the time in which nothing runs.
//!
//! These are about whose timer a wait is and which of two times wins; at the pace of the wall they could only be tried
//! with seconds, where every number is within the noise of every other. What is asserted on is the times in the history.
//!
//! What skipping can't show is whatever more than one clock has a part in:
//!
//! * The effect journal's leases are times of its store, which go at the pace of the wall. To a call that is claimed and
//!   whose worker died, the next attempt comes hours later by the server's clock and milliseconds later by the journal's:
//!   it finds the lease alive, is told to come back when that ends, comes back after a jump, and so on until the lease
//!   has run out in earnest. A take-over therefore takes as long here as anywhere, and is tried with the faults.
//! * So do the heartbeats, which a worker sends by its own clock. And an activity that runs holds the server's: neither
//!   a heartbeat timeout nor a deadline in the middle of a call comes sooner than on the real server.
//! * The bounds that the server itself puts on a run or an activity are another implementation's here.

use std::time::{Duration, Instant, SystemTime};

use chaos_provider::{Behaviour, Reply, RetryAfter, Rule, Script, When};
use serde_json::{Value, json};
use temporal_client::outcome::{self, Failed};
use testkit::{MODEL, Settings, SkippingRig, prompt};
use workflow_types::{
    failure::FailureCode,
    proto::{BlobRef, LlmBatchInput, LlmPipelineInput},
    wire::parse_json_strictly,
};

/// What a test's own work may add to the time that was skipped.
const SLACK: Duration = Duration::from_secs(40);
/// More than any of this takes; hours would not pass in it.
const SOON: Duration = Duration::from_mins(1);

fn come_back_after(seconds: u64) -> Reply {
    Reply::new(Behaviour::RateLimited {
        retry_after: RetryAfter::Seconds(seconds),
    })
}

fn about(words: &str) -> When {
    When::prompt_contains(format!("<{words}>"))
}

fn failed<T>(result: Result<T, outcome::Error>) -> Failed {
    match result {
        Err(outcome::Error::Failed(failed)) => failed,
        Err(other) => panic!("the run did not say how it failed: {other}"),
        Ok(_) => panic!("the run did not fail"),
    }
}

fn seconds_between(began: SystemTime, ended: SystemTime) -> Duration {
    ended.duration_since(began).unwrap()
}

fn assert_took(took: Duration, least_seconds: u64) {
    let least = Duration::from_secs(least_seconds);
    assert!(
        (least..least + SLACK).contains(&took),
        "{took:?} by the server's clock"
    );
}

#[tokio::test]
async fn an_hour_s_wait_is_the_server_s_timer_and_holds_no_slot_of_a_worker() {
    let began = Instant::now();
    let rig = SkippingRig::start(Script::new([
        Rule::once(come_back_after(3_600)).when(about("limited"))
    ]))
    .await
    .unwrap();
    let settings = Settings {
        activity_slots: 1,
        ..Settings::default()
    };
    let _worker = rig.ai_worker_with(&settings).await.unwrap();
    let input = LlmPipelineInput {
        deadline_seconds: Some(7_200),
        ..prompt("limited")
    };
    let limited = rig.run("limited", input).await.unwrap();
    rig.provider.wait_ended(1).await;
    let other = rig.run("other", prompt("other")).await.unwrap();
    other.result().await.unwrap();
    assert_eq!(
        rig.calls().unwrap().len(),
        2,
        "the only slot is free, and the wait goes on"
    );

    rig.jump().await.unwrap();
    limited.result().await.unwrap();
    rig.hold().await.unwrap();
    let times = rig.times("limited", limited.run_id().unwrap()).await.unwrap();
    assert_took(seconds_between(times[0].began, times[0].ended), 3_600);
    assert_eq!(rig.attempts("limited").await.unwrap().of("generateText"), [2]);
    rig.audit().await.unwrap();
    assert!(began.elapsed() < SOON, "the hour was not waited for");
}

#[tokio::test]
async fn a_wait_that_ends_after_the_call_s_deadline_is_not_begun() {
    let rig = SkippingRig::start(Script::new([Rule::always(come_back_after(3_600))]))
        .await
        .unwrap();
    let _workers = rig.workers().await.unwrap();
    let input = LlmPipelineInput {
        deadline_seconds: Some(1_800),
        ..prompt("limited")
    };
    let run = rig.run("limited", input).await.unwrap();
    rig.provider.wait_ended(1).await;
    rig.jump().await.unwrap();
    let failed = failed(run.result().await);
    rig.hold().await.unwrap();
    // The server sees at once that there will be no further attempt; what the last one met is told too.
    assert_eq!(failed.code, Some(FailureCode::DeadlineExceeded), "{failed}");
    assert!(failed.to_string().contains("RateLimited"), "{failed}");
    let times = rig.times("limited", run.run_id().unwrap()).await.unwrap();
    assert_took(seconds_between(times[0].began, times[0].ended), 0);
    assert_eq!(rig.calls().unwrap().len(), 1);
}

#[tokio::test]
async fn the_run_s_deadline_ends_a_wait_that_the_call_alone_had_the_time_for() {
    // The repair is a call of its own with an hour of its own, which begins when the run has used half of its hour.
    let script = Script::new([
        Rule::once(come_back_after(2_000)),
        Rule::once(Reply::text("[]")),
        Rule::once(come_back_after(3_000)),
    ]);
    let rig = SkippingRig::start(script).await.unwrap();
    let _workers = rig.workers().await.unwrap();
    let input = json!({
        "model": MODEL,
        "instruction": "Give it as JSON.",
        "content": {"text": "Some words."},
        "parameters": {"maxOutputTokens": 64},
        "output": {"json": {"schema": {"type": "object"}}},
    });
    let input = parse_json_strictly(input.to_string().as_bytes()).unwrap();
    let run = rig.run("late", input).await.unwrap();
    rig.provider.wait_ended(1).await;
    rig.jump().await.unwrap();
    let failed = failed(run.result().await);
    rig.hold().await.unwrap();
    assert_eq!(failed.code, Some(FailureCode::DeadlineExceeded), "{failed}");
    assert!(failed.message.contains("3600 s"), "{failed}");
    let times = rig.times("late", run.run_id().unwrap()).await.unwrap();
    assert_took(seconds_between(times[0].began, times[0].ended), 3_600);
    assert_eq!(rig.calls().unwrap().len(), 3, "nothing is asked out of time");
}

/// Makes the history of a run that is at work long enough for the server to suggest that it continues as new.
async fn lengthen_history(rig: &SkippingRig, workflow_id: &str) {
    for _ in 0..5 {
        rig.signal_at_length(workflow_id, 1 << 20).await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_s_deadline_counts_from_its_first_run() {
    const ITEMS: usize = 8;
    let slow = |item| Rule::once(come_back_after(1_500)).when(about(&format!("item-{item}")));
    let rig = SkippingRig::start(Script::new((0..ITEMS).map(slow)))
        .await
        .unwrap();
    let _workers = rig.workers().await.unwrap();
    let line = |item| {
        let text = format!("The text is called <item-{item}>.");
        format!("{}\n", json!({"id": format!("item-{item}"), "text": text}))
    };
    let lines: String = (0..ITEMS).map(line).collect();
    let input = LlmBatchInput {
        items: Some(rig.file("items.jsonl", &lines).unwrap()),
        defaults: Some(LlmPipelineInput {
            content: None,
            ..prompt("")
        }),
        window: Some(1),
        page_items: Some(2),
        deadline_seconds: Some(7_200),
        ..LlmBatchInput::default()
    };
    let batch = rig.batch("batch", input).await.unwrap();
    rig.provider.wait_ended(1).await;
    lengthen_history(&rig, "batch").await;
    rig.jump().await.unwrap();
    let failed = failed(batch.result().await);
    rig.hold().await.unwrap();

    assert_eq!(failed.code, Some(FailureCode::DeadlineExceeded), "{failed}");
    let times = rig.times("batch", batch.run_id().unwrap()).await.unwrap();
    assert_eq!(times.len(), 2, "{times:#?}");
    assert_took(seconds_between(times[0].began, times[0].ended), 3_000);
    assert_took(seconds_between(times[0].began, times[1].ended), 7_200);

    // Item 4 was waiting.
    let results = rig.read(&results(&failed)).await.unwrap();
    let completed: Vec<Value> = results
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|result| result["outcome"] == "OUTCOME_COMPLETED")
        .map(|result| result["id"].clone())
        .collect();
    assert_eq!(completed, ["item-0", "item-1", "item-2", "item-3"], "{results}");
    assert_eq!(rig.calls().unwrap().len(), 2 * 4 + 1);
}

/// Finds what a batch that failed says it has kept.
fn results(failed: &Failed) -> BlobRef {
    let uri = failed
        .message
        .split([' ', ';'])
        .find(|word| word.starts_with("blob:"));
    BlobRef {
        uri: uri.unwrap_or_else(|| panic!("{failed}")).to_owned(),
        ..BlobRef::default()
    }
}
