//! A provider's limits, kept by all workers together, and waiting that holds nobody up.
//!
//! The provider enforces the same limits and says 429 beyond them, so that one call too many shows on its bill.

use std::time::Duration;

use chaos_provider::{Behaviour, Latency, Limit, Record, Reply, RetryAfter, Rule, Script, When};
use temporal_client::description::PendingActivity;
use testkit::{Plan, Rig, SPARE, Settings, prompt, within};
use workflow_types::proto::LlmPipelineInput;

const LOOK: Duration = Duration::from_secs(20);

fn limited(echo: &str, slots: u32) -> Settings {
    Settings {
        echo: format!("limits = {{ {echo} }}"),
        activity_slots: slots,
        local_model: false,
        ..Settings::default()
    }
}

fn refused(calls: &[Record]) -> usize {
    let status = |call: &&Record| {
        call.ending
            .as_ref()
            .is_some_and(|ending| ending.status == Some(429))
    };
    calls.iter().filter(status).count()
}

/// Waits until a run's call waits for its turn, and gives it.
async fn until_waiting(rig: &Rig, id: &str) -> PendingActivity {
    let mut waiting = None;
    within(LOOK, &format!("{id} waits for its turn"), async || {
        let described = rig.client.describe(id, None).await?;
        let limited = |activity: &PendingActivity| {
            let code = activity
                .last_failure
                .as_ref()
                .and_then(|failure| failure.code.as_deref());
            activity.state == "scheduled" && code == Some("RateLimited")
        };
        waiting = described.pending_activities.into_iter().find(limited);
        Ok(waiting.is_some())
    })
    .await
    .unwrap();
    waiting.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_together_keep_to_what_one_provider_takes_at_once() {
    const CALLS: usize = 6;
    let rig = Rig::planned(Plan {
        script: Script {
            latency: Some(Latency::Fixed { ms: 500 }),
            ..Script::default()
        },
        limits: vec![Limit {
            in_flight: Some(2),
            ..Limit::default()
        }],
        ..Plan::default()
    })
    .await
    .unwrap();
    let settings = limited("in_flight = 2", 100);
    let _workers = tokio::try_join!(rig.ai_worker_with(&settings), rig.ai_worker_with(&settings)).unwrap();
    let mut runs = Vec::new();
    for number in 0..CALLS {
        runs.push(rig.ask(&format!("turn-{number}")).await.unwrap());
    }
    let (mut events, mut attempts) = (Vec::new(), Vec::new());
    for run in &runs {
        run.result().await.unwrap();
        events.push(rig.client.describe(run.id(), None).await.unwrap().history_events);
        attempts.extend(rig.attempts(run.id()).await.unwrap().of("generateText"));
    }
    let calls = rig.calls().unwrap();
    assert_eq!((calls.len(), refused(&calls)), (CALLS, 0), "{calls:#?}");
    assert!(
        attempts.iter().any(|attempt| *attempt > 1),
        "somebody had to wait: {attempts:?}"
    );
    events.dedup();
    assert_eq!(
        events.len(),
        1,
        "who waits leaves no more in history than who doesn't: {events:?}"
    );
    rig.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_holds_no_slot_and_keeps_its_place() {
    let rig = Rig::start(Script::default()).await.unwrap();
    let _worker = rig
        .ai_worker_with(&limited("requests_per_minute = 1", 1))
        .await
        .unwrap();
    rig.ask("first").await.unwrap().result().await.unwrap();
    let mut turns = Vec::new();
    for id in ["second", "third", "fourth"] {
        rig.ask(id).await.unwrap();
        turns.push(until_waiting(&rig, id).await.next_attempt.unwrap());
    }
    assert!(turns.is_sorted(), "first come, first served: {turns:?}");

    // The worker's only slot is free for whatever has no limit.
    let other = LlmPipelineInput {
        model: Some(SPARE.to_owned()),
        ..prompt("other")
    };
    rig.run("other", other).await.unwrap().result().await.unwrap();
    let models: Vec<String> = rig.calls().unwrap().into_iter().map(|call| call.model).collect();
    assert_eq!(models, ["echo", "spare"], "the others still wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_s_refusal_is_heard_by_all() {
    let busy = Behaviour::RateLimited {
        retry_after: RetryAfter::Seconds(4),
    };
    let rule = Rule::once(Reply::new(busy)).when(When::prompt_contains("<hears>"));
    let rig = Rig::start(Script::new([rule])).await.unwrap();
    let settings = limited("requests_per_minute = 1000", 1);
    let _workers = tokio::try_join!(rig.ai_worker_with(&settings), rig.ai_worker_with(&settings)).unwrap();
    let hears = rig.ask("hears").await.unwrap();
    rig.provider.wait_ended(1).await;
    until_waiting(&rig, "hears").await;
    let mut runs = vec![hears];
    for number in 0..4 {
        runs.push(rig.ask(&format!("listens-{number}")).await.unwrap());
    }
    for run in &runs {
        run.result().await.unwrap();
    }
    let calls = rig.calls().unwrap();
    assert_eq!((calls.len(), refused(&calls)), (6, 1), "{calls:#?}");
    let pause = calls[1].received_unix_ms - calls[0].received_unix_ms;
    assert!(pause >= 4_000, "the next call came after {pause} ms");
    rig.audit().await.unwrap();
}
