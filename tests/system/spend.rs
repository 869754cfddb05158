//! The ledger as a person reads and corrects it.

use chaos_provider::{Behaviour, Cut, Point, Reply, Rule, Script, When};
use serde_json::{Value, json};
use temporal_client::outcome;
use testkit::{Rig, Rule as Held, Settings, Worker, prompt};
use workflow_types::{
    failure::FailureCode,
    proto::{LlmPipelineInput, OnUnknown},
};

fn cut_once(id: &str) -> Rule {
    Rule::once(Reply::new(Behaviour::Cut {
        after: Point::Tokens(3),
        how: Cut::Reset,
        token_delay_ms: 0,
    }))
    .when(When::prompt_contains(format!("<{id}>")))
}

async fn worker(rig: &Rig) -> Worker {
    let settings = Settings {
        local_model: false,
        ..Settings::default()
    };
    rig.ai_worker_with(&settings).await.unwrap()
}

/// Gives the only call of unknown outcome.
async fn unknown(rig: &Rig) -> Value {
    let unknown = rig.tell("spend attempts --state unknown").await.unwrap();
    let [lost] = unknown.as_array().unwrap().as_slice() else {
        panic!("{unknown}");
    };
    lost.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_unknown_outcome_is_settled_by_the_provider_s_bill() {
    let rig = Rig::start(Script::new([cut_once("lost")])).await.unwrap();
    let _worker = worker(&rig).await;
    let input = LlmPipelineInput {
        on_unknown: Some(OnUnknown::Fail.into()),
        tenant: Some("acme".to_owned()),
        ..prompt("lost")
    };
    let ended = rig.run("lost", input).await.unwrap().result().await;
    let outcome::Error::Failed(failed) = ended.unwrap_err() else {
        panic!("the run should have failed");
    };
    assert_eq!(failed.code, Some(FailureCode::OutcomeUnknown));
    rig.ask("known").await.unwrap().result().await.unwrap();
    let report = rig.tell("spend report --by tenant,state").await.unwrap();
    assert!(report.to_string().contains("acme"), "{report}");

    let lost = unknown(&rig).await;
    let key = lost["key"].as_str().unwrap();
    assert!(key.contains("/lost/"), "{lost}");
    let bill = rig.calls().unwrap()[0].ending.clone().unwrap().bill;
    let (input, output, cost) = (bill.prompt_tokens, bill.completion_tokens, bill.cost_micros);
    let settle = format!(
        "spend settle {key} 1 --billed --input-tokens {input} --output-tokens {output} --cost 0.{cost:06} \
         --reason bill-7 --actor ana"
    );
    rig.tell(&settle).await.unwrap();
    assert!(
        rig.tell(&settle).await.is_err(),
        "what is settled is not settled again"
    );
    assert_eq!(
        rig.tell("spend attempts --state unknown").await.unwrap(),
        json!([])
    );
    let notes = rig.tell("spend notes").await.unwrap();
    let [note] = notes.as_array().unwrap().as_slice() else {
        panic!("{notes}");
    };
    assert_eq!(
        (&note["actor"], &note["reason"]),
        (&json!("ana"), &json!("bill-7"))
    );
    let verdict = rig.verdict(false).await.unwrap();
    assert!(verdict.holds, "{verdict:#?}");
    assert_eq!(verdict.figures.spent, verdict.figures.billed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_word_about_a_bill_is_found_by_the_audit() {
    let rig = Rig::start(Script::new([cut_once("wrong")])).await.unwrap();
    let _worker = worker(&rig).await;
    rig.ask("wrong").await.unwrap().result().await.unwrap();
    let lost = unknown(&rig).await;
    let key = lost["key"].as_str().unwrap();
    let settle = format!("spend settle {key} 1 --not-billed --reason guess --actor bea");
    rig.tell(&settle).await.unwrap();
    let verdict = rig.verdict(true).await.unwrap();
    let rules: Vec<Held> = verdict
        .violations
        .iter()
        .map(|violation| violation.rule)
        .collect();
    assert_eq!(rules, [Held::BilledRelease], "{verdict:#?}");
}
