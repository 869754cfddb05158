//! Cutting, the bounded window over the chunks, joining, cleaning up.

use chaos_provider::{Options, Provider, Reply, Rule, Script, When};
use serde_json::{Value, json};
use temporal_client::start;
use workflow_types::{proto::Stage, wire::parse_json_strictly};

use crate::stack::{SCRIPTED, Stack};

fn request() -> Value {
    let lines = (0..80).map(|line| format!("Line {line} of the report, which is long."));
    json!({
        "model": SCRIPTED,
        "instruction": "Read this.",
        "content": {"text": lines.collect::<Vec<_>>().join("\n\n")},
        "placement": "PLACEMENT_DATA_WORKER",
        "output": {"store": true},
        "preprocessing": {"chunkTokens": 150, "maxConcurrentChunks": 3, "reduceInstruction": "Join these."}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_run_in_a_bounded_window_and_leave_nothing_but_the_answer() {
    let script = Script::new([
        Rule::always(Reply::text("partial").behind("chunks")).when(When::prompt_contains("Read this.")),
        Rule::always(Reply::text("whole")).when(When::prompt_contains("Join these.")),
    ]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::scripted(&provider);
    let input = parse_json_strictly(request().to_string().as_bytes()).unwrap();
    let client = stack.client().await;
    let options = start::Options {
        workflow_id: Some("window".into()),
        ..start::Options::default()
    };
    let run = client.start_llm_pipeline(input, &options).await.unwrap();

    let calls = provider.wait_for(3).await;
    assert_eq!(calls.len(), 3, "the window is full");
    let status = run.status().await.unwrap();
    assert_eq!(status.stage(), Stage::Inference);
    assert!(status.chunks_total > 4, "{status:?}");
    assert_eq!(status.chunks_done, 0);
    let staged = stack.blobs("window");
    assert_eq!(
        staged.len(),
        usize::try_from(status.chunks_total).unwrap(),
        "{staged:?}"
    );
    assert_eq!(
        provider.requests().len(),
        3,
        "no call beyond the window while it is full"
    );

    provider.open_gate("chunks");
    let output = run.result().await.unwrap();
    assert_eq!(output.chunks, status.chunks_total);
    assert_eq!(output.usage.unwrap().calls, status.chunks_total + 1);
    let calls = usize::try_from(status.chunks_total + 1).unwrap();
    assert_eq!(provider.requests().len(), calls);
    assert_eq!(stack.blobs("window"), ["results/answer"]);
    let answer = stack.ctl(&["result", "window"]).await;
    assert_eq!(answer.out.trim(), "whole", "{answer:?}");
    let status = run.status().await.unwrap();
    assert_eq!(
        (status.stage(), status.chunks_done),
        (Stage::Done, status.chunks_total)
    );
    let mut activities = stack.activities("window").await;
    activities.dedup();
    assert_eq!(
        activities,
        ["validateData", "preprocessData", "generateText", "discardStaged"]
    );
}
