//! `kill -9` of a worker in the middle of a call.

use chaos_provider::{Reply, Rule, Script};
use effect_journal::State;
use temporal_client::outcome;
use testkit::{Rig, prompt};
use workflow_types::{
    failure::FailureCode,
    proto::{GenerationParameters, LlmPipelineInput, OnUnknown, Outcome, llm_pipeline_output::Answer},
};

fn held(times: u32) -> Script {
    Script::new([Rule::times(times, Reply::default().behind("held"))])
}

#[tokio::test]
async fn a_call_in_flight_is_repeated_by_the_next_worker_or_fails_as_the_request_says() {
    let rig = Rig::start(held(2)).await.unwrap();
    let mut worker = rig.ai_worker().await.unwrap();
    let repeated = rig.ask("repeated").await.unwrap();
    rig.provider.wait_for(1).await;
    let refused = LlmPipelineInput {
        on_unknown: Some(OnUnknown::Fail.into()),
        ..prompt("refused")
    };
    let refused = rig.run("refused", refused).await.unwrap();
    rig.provider.wait_for(2).await;

    worker.kill().unwrap();
    rig.provider.wait_ended(2).await;
    let _next = rig.ai_worker().await.unwrap();

    let output = repeated.result().await.unwrap();
    assert_eq!(output.outcome(), Outcome::Completed);
    assert!(matches!(&output.answer, Some(Answer::Text(text)) if text.starts_with("summary of ")));
    let outcome::Error::Failed(failed) = refused.result().await.unwrap_err() else {
        panic!("the run should have failed");
    };
    assert_eq!(failed.code, Some(FailureCode::OutcomeUnknown));

    let ledger = rig.ledger().await.unwrap();
    assert_eq!(ledger.states("repeated"), [State::Unknown, State::Settled]);
    assert_eq!(ledger.states("refused"), [State::Unknown]);
    assert_eq!(
        rig.calls().unwrap().len(),
        3,
        "two for one request, one for the other"
    );
    assert!(
        ledger.totals.unknown.spend.cost_micros > 0,
        "what may have been billed is listed"
    );
    assert_eq!(rig.attempts("repeated").await.unwrap().of("generateText"), [2]);
}

#[tokio::test]
async fn a_model_in_the_worker_starts_again_on_the_next_worker() {
    let rig = Rig::start(Script::default()).await.unwrap();
    let mut worker = rig.ai_worker().await.unwrap();
    let text =
        "Tides are the rise and fall of sea levels. They are caused by the Moon and the Sun. ".repeat(6);
    let input = LlmPipelineInput {
        model: None,
        instruction: Some("Write a long essay about this text.".to_owned()),
        parameters: Some(GenerationParameters {
            max_output_tokens: Some(120),
            ..GenerationParameters::default()
        }),
        ..prompt(&text)
    };
    let run = rig.run("local", input).await.unwrap();
    testkit::within(
        std::time::Duration::from_mins(1),
        "the call is under way",
        async || Ok(rig.ledger().await?.states("local") == [State::Sent]),
    )
    .await
    .unwrap();

    worker.kill().unwrap();
    let _next = rig.ai_worker().await.unwrap();

    let output = run.result().await.unwrap();
    assert!(output.usage.unwrap().output_tokens > 0);
    let ledger = rig.ledger().await.unwrap();
    assert_eq!(ledger.states("local"), [State::Unknown, State::Settled]);
    assert_eq!(
        ledger.totals.at_most().cost_micros,
        0,
        "a model in the worker costs nothing"
    );
    assert_eq!(rig.attempts("local").await.unwrap().of("generateText"), [2]);
}

#[tokio::test]
async fn an_answer_that_was_committed_and_never_reported_is_replayed() {
    let mut rig = Rig::start(held(1)).await.unwrap();
    let mut worker = rig.ai_worker().await.unwrap();
    let run = rig.ask("unreported").await.unwrap();
    rig.provider.wait_for(1).await;

    rig.server.kill().unwrap();
    rig.provider.open_gate("held");
    testkit::within(
        std::time::Duration::from_secs(10),
        "the answer is committed",
        async || Ok(rig.ledger().await?.states("unreported") == [State::Settled]),
    )
    .await
    .unwrap();
    worker.kill().unwrap();
    rig.server.restart().await.unwrap();
    let _next = rig.ai_worker().await.unwrap();

    run.result().await.unwrap();
    assert_eq!(rig.calls().unwrap().len(), 1);
    assert_eq!(run.status().await.unwrap().replayed_calls, 1);
    rig.audit().await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_stopped_while_its_worker_dies_ends_as_stopped() {
    let rig = Rig::start(held(1)).await.unwrap();
    let mut worker = rig.ai_worker().await.unwrap();
    let run = rig.ask("stopped").await.unwrap();
    rig.provider.wait_for(1).await;
    run.cancel(Some("no longer needed")).await.unwrap();
    worker.kill().unwrap();
    let _next = rig.ai_worker().await.unwrap();

    let outcome::Error::Cancelled { reason, .. } = run.result().await.unwrap_err() else {
        panic!("the run should have been cancelled");
    };
    assert_eq!(reason.as_deref(), Some("no longer needed"));
    assert_eq!(rig.calls().unwrap().len(), 1);
}
