//! A provider whose answers do not say what its bill does: the ledger has what it was told, and the audit finds the rest.

use chaos_provider::{Answer, Behaviour, Reply, ResponseId, Rule, Script, UsageReport, When};
use serde_json::json;
use testkit::{Rig, Settings};

fn named(id: &str) -> When {
    When::prompt_contains(format!("<{id}>"))
}

async fn answered(rules: impl IntoIterator<Item = Rule>, ids: &[&str]) -> (Rig, testkit::Worker) {
    let rig = Rig::start(Script::new(rules)).await.unwrap();
    let settings = Settings {
        local_model: false,
        ..Settings::default()
    };
    let worker = rig.ai_worker_with(&settings).await.unwrap();
    for id in ids {
        rig.ask(id).await.unwrap().result().await.unwrap();
    }
    (rig, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_is_not_what_is_billed_is_found_by_the_audit() {
    let low = Reply::new(Behaviour::Answer(Answer {
        usage: UsageReport::Percent(50),
        ..Answer::default()
    }));
    let (rig, _worker) = answered([Rule::once(low).when(named("low"))], &["low", "true"]).await;
    let said = rig.run_auditor(&["--json"]).await.unwrap();
    assert_eq!(said.code, Some(1), "{said:?}");
    let verdict: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(verdict["holds"], json!(false));
    let [violation] = verdict["violations"].as_array().unwrap().as_slice() else {
        panic!("{verdict}");
    };
    assert_eq!(violation["rule"], "different_spend", "{violation}");
    assert!(
        violation["subject"].as_str().unwrap().contains("/low/"),
        "{violation}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_the_id_of_another_one_are_told_apart_all_the_same() {
    let double = Reply::default().with_id(ResponseId::Previous);
    let (rig, _worker) = answered([Rule::once(double).when(named("double"))], &["single", "double"]).await;
    let calls = rig.calls().unwrap();
    assert_eq!(calls[0].response_id, calls[1].response_id);
    rig.audit().await.unwrap();
    let said = rig.run_auditor(&["--every-key-answered"]).await.unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("verdict: holds"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_accounts_there_is_no_audit() {
    let (rig, _worker) = answered([], &[]).await;
    let said = rig
        .run_auditor(&["--bill", "/nonexistent/calls.jsonl"])
        .await
        .unwrap();
    assert_eq!((said.code, said.out.as_str()), (Some(70), ""), "{said:?}");
    assert!(said.err.contains("/nonexistent/calls.jsonl"), "{said:?}");
}
