//! Budgets that pause instead of kill, by the commands that a person has for them.
//!
//! The provider's own bill is asked whether a budget held: a ledger that overlooked a call would agree with itself.

use chaos_provider::{Latency, Script, total};
use effect_journal::Account;
use serde_json::{Value, json};
use temporal_client::outcome;
use testkit::{Plan, Rig, Settings, Worker, prompt, request::batch};
use workflow_types::{
    failure::FailureCode,
    proto::{
        Budget, BudgetExhausted, Content, LlmBatchInput, LlmPipelineInput, Outcome, Preprocessing, content,
    },
};

const ITEMS: usize = 200;
/// Enough for some ten calls at their upper bounds, and for some hundred at what they cost.
const BUDGET_MICROS: i64 = 600;

fn slow() -> Script {
    Script {
        latency: Some(Latency::Fixed { ms: 150 }),
        ..Script::default()
    }
}

async fn workers(rig: &Rig) -> [Worker; 3] {
    let settings = Settings {
        local_model: false,
        ..Settings::default()
    };
    tokio::try_join!(
        rig.ai_worker_with(&settings),
        rig.ai_worker_with(&settings),
        rig.data_worker()
    )
    .unwrap()
    .into()
}

fn billed(rig: &Rig) -> i64 {
    i64::try_from(total(&rig.calls().unwrap()).cost_micros).unwrap()
}

/// Gives an amount as the contracts carry it, in whole millionths.
fn whole(micros: f64) -> String {
    format!("{micros:.0}")
}

/// Asks what an account uses, reservations included, until the run waits; gives the most that it ever was.
async fn most_used_until_parked(rig: &Rig, id: &str, account: &Account) -> i64 {
    let mut most = 0;
    let mut parked = std::pin::pin!(rig.until_awaiting(id, Some("budget")));
    loop {
        tokio::select! {
            biased;
            found = &mut parked => {
                found.unwrap();
                return most;
            }
            used = rig.journal.used(account) => most = most.max(used.unwrap().cost_micros),
        }
    }
}

async fn a_batch_under_a_budget(postgres: bool) {
    let rig = Rig::planned(Plan {
        script: slow(),
        postgres,
        ..Plan::default()
    })
    .await
    .unwrap();
    let _workers = workers(&rig).await;
    let input = LlmBatchInput {
        window: Some(200),
        page_items: Some(200),
        budget: Some(Budget {
            max_cost_micros: Some(600.0),
            ..Budget::default()
        }),
        ..batch(&rig, "dear", ITEMS).unwrap()
    };
    let run = rig.batch("dear", input).await.unwrap();
    let account = Account::run("default", "dear", run.run_id().unwrap()).unwrap();

    let most = most_used_until_parked(&rig, "dear", &account).await;
    assert!(
        (BUDGET_MICROS / 2..=BUDGET_MICROS).contains(&most),
        "of {BUDGET_MICROS} micros {most} were reserved at once"
    );
    let spent = billed(&rig);
    assert!((1..=BUDGET_MICROS).contains(&spent), "billed {spent}");
    let listed = rig.tell("list --awaiting budget").await.unwrap();
    let (id, awaiting) = (&listed[0]["id"], &listed[0]["awaiting"]);
    assert_eq!((id, awaiting), (&json!("dear"), &json!("budget")));

    raise(&rig, "dear").await;
    let output = run.result().await.unwrap();
    assert_eq!(usize::try_from(output.counts.unwrap().completed).unwrap(), ITEMS);
    let verdict = rig.audit().await.unwrap();
    assert_eq!(verdict.figures.results, ITEMS);
    assert_eq!(whole(output.usage.unwrap().cost_micros), billed(&rig).to_string());
    rig.until_awaiting("dear", None).await.unwrap();
}

/// Gives a run more money, after the same amount was refused.
async fn raise(rig: &Rig, id: &str) {
    let raise = format!("budget raise {id} --actor ana --reason more-pages --max-cost");
    let refused = rig.tell(&format!("{raise} 0.0006")).await.unwrap_err();
    assert!(
        refused.to_string().contains("must be above the 600 in force"),
        "{refused:?}"
    );
    let raised = rig.tell(&format!("{raise} 0.05")).await.unwrap();
    assert_eq!(raised["budget"]["revision"], 1, "{raised}");
    let shown = rig.tell(&format!("budget show {id}")).await.unwrap();
    let made = &shown["raises"][0];
    assert_eq!(made["raise"]["actor"], "ana", "{shown}");
    assert_ne!(made["actorVerified"], true, "nobody vouches for the name");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_calls_at_once_stay_within_the_budget_and_a_raise_lets_the_rest_go_on() {
    a_batch_under_a_budget(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_calls_at_once_stay_within_the_budget_with_the_journal_in_postgres_too() {
    a_batch_under_a_budget(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_to_fail_for_want_of_budget_says_what_it_used() {
    let rig = Rig::start(slow()).await.unwrap();
    let _workers = workers(&rig).await;
    let word = |number| format!("word{number} ");
    let words: String = (0..300).map(word).collect();
    let input = LlmPipelineInput {
        content: Some(Content {
            source: Some(content::Source::Text(words)),
        }),
        preprocessing: Some(Preprocessing {
            chunk_tokens: Some(64),
            max_concurrent_chunks: Some(1),
            ..Preprocessing::default()
        }),
        budget: Some(Budget {
            max_cost_micros: Some(90.0),
            max_tokens: None,
            on_exhausted: Some(BudgetExhausted::Fail.into()),
        }),
        ..prompt("chunked")
    };
    let run = rig.run("poor", input).await.unwrap();
    let outcome::Error::Failed(failed) = run.result().await.unwrap_err() else {
        panic!("the run should have failed");
    };
    assert_eq!(failed.code, Some(FailureCode::BudgetExceeded), "{failed}");
    let spent = failed.spent.unwrap();
    let usage = spent.usage.unwrap();
    assert!(usage.calls > 0, "some of it fitted: {usage:?}");
    assert_eq!(whole(usage.cost_micros), billed(&rig).to_string(), "{usage:?}");
    assert!(billed(&rig) <= 90);
    assert_eq!(spent.shortfall.unwrap().account, "run:poor");
    let verdict = rig.verdict(false).await.unwrap();
    assert!(verdict.holds, "{verdict:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_budget_parks_its_runs_and_nobody_else_s() {
    let rig = Rig::start(Script::default()).await.unwrap();
    let _workers = workers(&rig).await;
    let set = "budget tenant set acme --period day --actor ana --max-cost";
    rig.tell(&format!("{set} 0.00001")).await.unwrap();
    let of = |tenant: &str| LlmPipelineInput {
        tenant: Some(tenant.to_owned()),
        ..prompt(tenant)
    };
    let parked = rig.run("of-acme", of("acme")).await.unwrap();
    rig.run("of-other", of("other"))
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    rig.until_awaiting("of-acme", Some("budget")).await.unwrap();
    let shown = rig.tell("status of-acme").await.unwrap();
    assert!(shown.to_string().contains("tenant:acme"), "{shown}");

    rig.tell(&format!("{set} 1")).await.unwrap();
    // Nobody tells the run; it looks again by itself.
    assert_eq!(parked.result().await.unwrap().outcome(), Outcome::Completed);
    let notes = rig.tell("spend notes").await.unwrap();
    let actors: Vec<&Value> = notes
        .as_array()
        .unwrap()
        .iter()
        .map(|note| &note["actor"])
        .collect();
    assert_eq!(actors, ["ana", "ana"], "{notes}");
    rig.audit().await.unwrap();
}
