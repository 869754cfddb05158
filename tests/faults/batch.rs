//! A batch, and the document steps of a pipeline, with workers that are killed on the way.

use std::{collections::BTreeMap, time::Duration};

use chaos_provider::{Reply, Rule, Script};
use effect_journal::State;
use temporal_client::{Run, start};
use testkit::{Rig, Worker, prompt};
use workflow_types::{
    proto::{Content, LlmBatchInput, LlmPipelineInput, Outcome, Placement, content},
    workflows::LlmBatch,
};

const ITEMS: usize = 20;
/// Calls that the provider holds before a kill, each its own moment of the batch.
const SCHEDULES: [[usize; 3]; 4] = [[3, 8, 15], [1, 2, 14], [5, 6, 7], [2, 11, 15]];

fn lines() -> String {
    let line = |number| {
        format!("{{\"id\": \"item-{number}\", \"text\": \"The text is called <item-{number}>.\"}}\n")
    };
    (0..ITEMS).map(line).collect()
}

async fn start_batch(rig: &Rig) -> Run<LlmBatch> {
    let input = LlmBatchInput {
        items: Some(rig.file("items.jsonl", &lines()).unwrap()),
        defaults: Some(LlmPipelineInput {
            content: None,
            ..prompt("")
        }),
        window: Some(4),
        page_items: Some(10),
        ..LlmBatchInput::default()
    };
    let options = start::Options {
        workflow_id: Some("batch".to_owned()),
        ..start::Options::default()
    };
    rig.client.start_llm_batch(input, &options).await.unwrap()
}

async fn kill_both(rig: &Rig, workers: &mut (Worker, Worker)) {
    workers.0.kill().unwrap();
    workers.1.kill().unwrap();
    *workers = tokio::try_join!(rig.ai_worker(), rig.data_worker()).unwrap();
}

async fn a_batch_with_kills(schedule: [usize; 3]) {
    let slow = Rule::always(Reply::default().delayed(300));
    let rig = Rig::start(Script::new([slow])).await.unwrap();
    let mut workers = tokio::try_join!(rig.ai_worker(), rig.data_worker()).unwrap();
    let run = start_batch(&rig).await;
    for (kills, calls) in schedule.into_iter().enumerate() {
        // Calls that a kill cut off come again, so the moments move on by them.
        rig.provider.wait_for(calls + kills * 2).await;
        kill_both(&rig, &mut workers).await;
    }
    let output = run.result().await.unwrap();
    assert_eq!(output.counts.unwrap().completed, 20);

    let results = rig.read(&output.results.unwrap()).await.unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in results.lines() {
        let result: serde_json::Value = serde_json::from_str(line).unwrap();
        *seen.entry(result["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(seen.len(), ITEMS, "{seen:?}");
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");

    let ledger = rig.ledger().await.unwrap();
    let verdict = rig.audit().await.unwrap();
    assert_eq!(verdict.figures.results, ITEMS);
    assert!(
        ledger.count(State::Unknown) > 0,
        "no kill hit a call: {schedule:?}"
    );
}

#[tokio::test]
async fn a_batch_answers_every_item_once_whatever_is_killed() {
    let schedules = if std::env::var_os("LONG").is_some() {
        &SCHEDULES[..]
    } else {
        &SCHEDULES[..1]
    };
    for schedule in schedules {
        a_batch_with_kills(*schedule).await;
    }
}

#[tokio::test]
async fn a_data_worker_killed_in_the_middle_of_preparing_loses_nothing() {
    let rig = Rig::start(Script::default()).await.unwrap();
    let (_ai, mut data) = tokio::try_join!(rig.ai_worker(), rig.data_worker()).unwrap();
    // No two chunks are alike, so that the audit can tell their calls apart.
    let sentence =
        |number| format!("River {number} carries water to the sea, and the sea gives it back as rain. ");
    let words: String = (0..40_000).map(sentence).collect();
    let file = rig.file("long.txt", &words).unwrap();
    let input = LlmPipelineInput {
        content: Some(Content {
            source: Some(content::Source::Blob(file)),
        }),
        placement: Some(Placement::DataWorker.into()),
        ..prompt("")
    };
    let run = rig.run("prepared", input).await.unwrap();
    testkit::within(
        Duration::from_secs(30),
        "the text is being prepared",
        async || {
            let described = rig.client.describe("prepared", None).await?;
            let at_work = |activity: &temporal_client::description::PendingActivity| {
                activity.activity_type == "preprocessData" && activity.state == "started"
            };
            Ok(described.pending_activities.iter().any(at_work))
        },
    )
    .await
    .unwrap();
    data.kill().unwrap();
    let _next = rig.data_worker().await.unwrap();
    let output = run.result().await.unwrap();
    assert_eq!(output.outcome(), Outcome::Completed);
    assert_eq!(rig.attempts("prepared").await.unwrap().of("preprocessData"), [2]);
    rig.audit().await.unwrap();
}
