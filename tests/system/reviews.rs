//! A person's look at an answer, by the commands that a person has for it.

use std::time::Duration;

use chaos_provider::{Reply, Rule, Script, When};
use serde_json::{Value, json};
use testkit::{Rig, Said, Settings, Worker, prompt};
use workflow_types::proto::{
    LlmPipelineInput, LlmPipelineOutput, Outcome, ReviewSpec, ReviewTimeout, ReviewVerdict,
    llm_pipeline_output::Answer,
};

async fn rig(script: Script) -> (Rig, Worker, Worker) {
    let rig = Rig::start(script).await.unwrap();
    let settings = Settings {
        local_model: false,
        ..Settings::default()
    };
    let (ai, data) = tokio::try_join!(rig.ai_worker_with(&settings), rig.data_worker()).unwrap();
    (rig, ai, data)
}

/// Runs a command, its words separated by spaces.
async fn said(rig: &Rig, words: &str) -> Said {
    let args: Vec<&str> = words.split(' ').chain(["--output", "json"]).collect();
    rig.ctl(&args).await.unwrap()
}

/// Starts a request as a person does, and waits until its answer waits.
async fn ask(rig: &Rig, id: &str, more: &str) {
    let run =
        format!("llm run <{id}> --id {id} --model chaos/echo --max-output-tokens 64 --detach --review{more}");
    rig.tell(&run).await.unwrap();
    rig.until_awaiting(id, Some("review")).await.unwrap();
}

async fn result(rig: &Rig, id: &str) -> LlmPipelineOutput {
    rig.client
        .run::<workflow_types::workflows::LlmPipeline>(id)
        .result()
        .await
        .unwrap()
}

fn text(output: &LlmPipelineOutput) -> Option<&str> {
    match &output.answer {
        Some(Answer::Text(text)) => Some(text),
        Some(Answer::Json(_) | Answer::Blob(_)) | None => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_are_listed_and_go_as_somebody_decides() {
    let (rig, _ai, _data) = rig(Script::default()).await;
    for id in ["approved", "rejected", "edited"] {
        ask(&rig, id, "").await;
    }
    let listed = rig.tell("review list").await.unwrap();
    let id = |run: &Value| run["workflowId"].as_str().unwrap().to_owned();
    let mut waiting: Vec<String> = listed.as_array().unwrap().iter().map(id).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, ["approved", "edited", "rejected"], "{listed}");
    let shown = rig.ctl(&["review", "show", "approved"]).await.unwrap();
    assert!(shown.out.starts_with("summary of "), "{shown:?}");

    let approved = rig
        .tell("review approve approved --actor ana --comment fine")
        .await
        .unwrap();
    assert_eq!(approved["receipt"]["applied"], true, "{approved}");
    let output = result(&rig, "approved").await;
    let record = output.review.clone().unwrap();
    let told = (record.verdict(), record.actor.as_str(), record.actor_verified);
    assert_eq!(told, (ReviewVerdict::Approve, "ana", false));
    assert_eq!(record.comment.as_deref(), Some("fine"));
    assert!(text(&output).unwrap().starts_with("summary of "));

    rig.tell("review reject rejected --actor ana").await.unwrap();
    let output = result(&rig, "rejected").await;
    assert_eq!((output.outcome(), &output.answer), (Outcome::Rejected, &None));

    rig.tell("review edit edited --actor ana --text Better.")
        .await
        .unwrap();
    let output = result(&rig, "edited").await;
    assert_eq!(
        (output.outcome(), text(&output)),
        (Outcome::Completed, Some("Better."))
    );
    assert_eq!(rig.tell("review list").await.unwrap(), json!([]));
    rig.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_is_sent_twice_counts_once() {
    let (rig, _ai, _data) = rig(Script::default()).await;
    ask(&rig, "twice", "").await;
    let decide = "review approve twice --actor ana --decision-id d-1";
    // Both at once: one of them comes second, and neither is told anything else.
    let (one, other) = tokio::join!(said(&rig, decide), said(&rig, decide));
    let receipts: Vec<Value> = [one, other]
        .iter()
        .filter(|said| said.code == Some(0))
        .map(|said| said.json().unwrap()["receipt"].clone())
        .collect();
    assert!(!receipts.is_empty());
    assert!(
        receipts.iter().all(|receipt| receipt == &receipts[0]),
        "{receipts:?}"
    );
    assert_eq!(result(&rig, "twice").await.review.unwrap().decision_id, "d-1");
    // Whoever comes after the end is told that there is nothing to decide any more.
    let late = said(&rig, "review reject twice --actor bea").await;
    assert_eq!(late.code, Some(64), "{late:?}");
    assert_eq!(result(&rig, "twice").await.outcome(), Outcome::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_not_in_the_form_asked_for_is_refused_and_the_answer_waits_on() {
    let rule = Rule::always(Reply::text("{\"title\": \"Rain\"}")).when(When::prompt_contains("<form>"));
    let (rig, _ai, _data) = rig(Script::new([rule])).await;
    let write = |name: &str, json: &str| {
        let path = rig.path(name);
        std::fs::write(&path, json).unwrap();
        path.display().to_string()
    };
    let form = r#"{"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}"#;
    let schema = write("title.schema.json", form);
    ask(&rig, "form", &format!(" --schema {schema}")).await;

    let wrong = write("wrong.json", "{\"title\": 5}");
    let refused = said(&rig, &format!("review edit form --actor ana --json-file {wrong}")).await;
    assert_eq!(refused.code, Some(64), "{refused:?}");
    assert!(refused.err.contains("/title"), "{refused:?}");
    let refused = said(&rig, "review edit form --actor ana --text prose").await;
    assert_eq!(refused.code, Some(64), "{refused:?}");
    rig.until_awaiting("form", Some("review")).await.unwrap();

    let right = write("right.json", "{\"title\": \"Sun\"}");
    rig.tell(&format!("review edit form --actor ana --json-file {right}"))
        .await
        .unwrap();
    let answer = rig.tell("result form").await.unwrap();
    assert!(answer.to_string().contains("Sun"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_decides_in_time_the_request_s_own_rule_does() {
    let (rig, _ai, _data) = rig(Script::default()).await;
    let of = |id: &str, on_timeout: ReviewTimeout| LlmPipelineInput {
        review: Some(ReviewSpec {
            timeout_seconds: Some(1),
            on_timeout: Some(on_timeout.into()),
            escalate_to: (on_timeout == ReviewTimeout::Escalate).then(|| "lead".to_owned()),
            max_escalations: Some(2),
            ..ReviewSpec::default()
        }),
        ..prompt(id)
    };
    let rules = [
        ("silent-no", ReviewTimeout::Reject, Outcome::Rejected, 0),
        ("silent-yes", ReviewTimeout::Approve, Outcome::Completed, 0),
        ("silent-up", ReviewTimeout::Escalate, Outcome::Rejected, 2),
    ];
    let mut runs = Vec::new();
    for (id, rule, _, _) in rules {
        runs.push(rig.run(id, of(id, rule)).await.unwrap());
    }
    for (run, (id, _, outcome, escalations)) in runs.iter().zip(rules) {
        let output = tokio::time::timeout(Duration::from_secs(30), run.result())
            .await
            .unwrap()
            .unwrap();
        let record = output.review.clone().unwrap();
        assert_eq!(
            (output.outcome(), record.escalations, record.by_timeout),
            (outcome, escalations, true),
            "{id}"
        );
        assert_eq!(output.answer.is_some(), outcome == Outcome::Completed, "{id}");
    }
}
