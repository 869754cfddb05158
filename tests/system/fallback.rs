//! The next model, when one fails: visible in the result and in history, and never where a call may have been answered.

use chaos_provider::{Behaviour, Cut, Point, Reply, RetryAfter, Rule, Script, When};
use temporal_client::outcome;
use testkit::{MODEL, Rig, SPARE, Settings, Worker, prompt};
use workflow_types::{
    failure::FailureCode,
    proto::{LlmPipelineInput, OnUnknown, llm_pipeline_output::Answer},
};

fn overloaded() -> Reply {
    Reply::new(Behaviour::Overloaded {
        retry_after: RetryAfter::None,
    })
}

fn at_echo(rule: Rule) -> Rule {
    rule.when(When::model("echo"))
}

fn chain(id: &str, patience_seconds: i32) -> LlmPipelineInput {
    LlmPipelineInput {
        fallback_models: vec![SPARE.to_owned()],
        fallback_patience_seconds: Some(patience_seconds),
        ..prompt(id)
    }
}

async fn worker(rig: &Rig, echo: &str) -> Worker {
    let settings = Settings {
        echo: echo.to_owned(),
        local_model: false,
        ..Settings::default()
    };
    rig.ai_worker_with(&settings).await.unwrap()
}

fn models(rig: &Rig) -> Vec<String> {
    rig.calls().unwrap().into_iter().map(|call| call.model).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_model_answers_and_the_result_says_who_and_why() {
    let rig = Rig::start(Script::new([at_echo(Rule::always(overloaded()))]))
        .await
        .unwrap();
    let _worker = worker(&rig, "").await;
    let output = rig
        .run("routed", chain("routed", 0))
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    let served = output.served_by.unwrap();
    assert_eq!(
        (served.provider.as_str(), served.model.as_str()),
        ("chaos", "spare")
    );
    let [left] = output.route_trace.as_slice() else {
        panic!("{:?}", output.route_trace);
    };
    assert_eq!(
        (left.model.as_str(), left.code.as_str()),
        (MODEL, "Overloaded"),
        "{left:?}"
    );
    assert!(matches!(&output.answer, Some(Answer::Text(text)) if text.starts_with("summary of ")));
    assert_eq!(models(&rig), ["echo", "spare"]);

    // Each of them is an activity of its own in history, with an effect of its own.
    assert_eq!(rig.attempts("routed").await.unwrap().of("generateText"), [1, 1]);
    let ledger = rig.ledger().await.unwrap();
    let steps: Vec<&str> = ledger.attempts.iter().map(|attempt| attempt.key.step()).collect();
    assert_eq!(steps, ["call/call/0", "call/candidate/1/call/0"]);
    let verdict = rig.verdict(false).await.unwrap();
    assert!(verdict.holds, "{verdict:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_tried_again_for_as_long_as_the_request_has_patience() {
    let rig = Rig::start(Script::new([at_echo(Rule::once(overloaded()))]))
        .await
        .unwrap();
    let _worker = worker(&rig, "").await;
    let output = rig
        .run("patient", chain("patient", 60))
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    assert_eq!(
        (output.served_by.unwrap().model.as_str(), output.route_trace.len()),
        ("echo", 0)
    );
    assert_eq!(models(&rig), ["echo", "echo"]);
    rig.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_have_been_answered_is_not_followed_by_another_model_where_that_is_forbidden() {
    let cut = Reply::new(Behaviour::Cut {
        after: Point::Tokens(2),
        how: Cut::Reset,
        token_delay_ms: 0,
    });
    let rig = Rig::start(Script::new([at_echo(Rule::always(cut))]))
        .await
        .unwrap();
    let _worker = worker(&rig, "").await;
    let input = LlmPipelineInput {
        on_unknown: Some(OnUnknown::Fail.into()),
        ..chain("unsure", 0)
    };
    let run = rig.run("unsure", input).await.unwrap();
    let outcome::Error::Failed(failed) = run.result().await.unwrap_err() else {
        panic!("the run should have failed");
    };
    assert_eq!(failed.code, Some(FailureCode::OutcomeUnknown), "{failed}");
    let usage = failed.spent.unwrap().usage.unwrap();
    assert_eq!((usage.calls, usage.unknown_calls), (0, 1), "{usage:?}");
    assert_eq!(models(&rig), ["echo"]);
    let verdict = rig.verdict(false).await.unwrap();
    assert!(verdict.holds, "{verdict:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_keeps_failing_is_left_without_being_asked() {
    let rig = Rig::start(Script::new([at_echo(Rule::always(overloaded()))]))
        .await
        .unwrap();
    let _worker = worker(
        &rig,
        "limits = { circuit = { failures = 2, open_seconds = 120 } }",
    )
    .await;
    for number in 0..4 {
        let id = format!("circuit-{number}");
        let output = rig.run(&id, chain(&id, 0)).await.unwrap().result().await.unwrap();
        assert_eq!(output.served_by.unwrap().model, "spare");
        assert_eq!(output.route_trace[0].code, "Overloaded");
    }
    assert_eq!(models(&rig), ["echo", "spare", "echo", "spare", "spare", "spare"]);
    let verdict = rig.verdict(false).await.unwrap();
    assert!(verdict.holds, "{verdict:#?}");
}
