//! Budgets, limits, and what is reported as used.

use std::time::Duration;

use effect_journal::{Account, Allowance, Amount, Period, TenantBudget, Why};
use model_clients::{
    Circuit,
    provider::{CallOutcome, Error as CallError, ErrorKind},
};
use workflow_types::{
    failure::FailureCode,
    proto::{BudgetClaim, CandidateRoute, GenerateTextInput, OnUnknown, Usage},
};

use super::fixture::{Fixture, Script, prompt_input};
use crate::error::Error;

const ACCOUNT: &str = "run:default/wf/run-1";

fn with_budget(step: &str, max_tokens: f64) -> GenerateTextInput {
    GenerateTextInput {
        budget: Some(BudgetClaim {
            account: ACCOUNT.into(),
            max_cost_micros: None,
            max_tokens: Some(max_tokens),
        }),
        tenant: Some("acme".into()),
        ..prompt_input(step)
    }
}

async fn used(fixture: &Fixture, account: &str) -> Amount {
    fixture
        .journal
        .used(&account.parse::<Account>().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_call_that_does_not_fit_into_the_run_s_budget_is_not_made() {
    let fixture = Fixture::new([]).await;
    let failed = fixture.fail(with_budget("call/0", 20.0)).await;
    assert_eq!(failed.error.code(), FailureCode::BudgetExceeded);
    let Error::OverBudget(over) = &failed.error else {
        panic!("another error: {:?}", failed.error)
    };
    assert_eq!((over.max.tokens, over.used.tokens), (Some(20), 0));
    assert!(over.needed.tokens > 256, "{over:?}");
    assert_eq!((failed.usage.as_ref(), fixture.calls()), (None, 0));
    assert!((fixture.measured("aiw_budget_refusals_total") - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn what_was_reserved_and_not_used_is_there_for_the_next_call() {
    let fixture = Fixture::new([Script::answer("a"), Script::answer("b")]).await;
    // One reservation fits, two at once would not.
    for step in ["call/0", "call/1"] {
        fixture.run(with_budget(step, 500.0)).await.unwrap();
    }
    for account in [ACCOUNT, "tenant:acme"] {
        let amount = Amount {
            cost_micros: 18,
            tokens: 18,
        };
        assert_eq!(used(&fixture, account).await, amount, "{account}");
    }
    assert!((fixture.measured("aiw_model_spend_micros_total") - 18.0).abs() < 0.5);
}

#[tokio::test]
async fn a_tenant_s_budget_holds_for_its_calls_alone() {
    let fixture = Fixture::new([Script::answer("a")]).await;
    let budget = TenantBudget {
        tenant: "acme".into(),
        period: Period::Day,
        max: Allowance {
            cost_micros: Some(5),
            tokens: None,
        },
    };
    fixture
        .journal
        .set_tenant_budget("ana", "test", budget)
        .await
        .unwrap();
    let failed = fixture.fail(with_budget("call/0", 9_999.0)).await;
    let Error::OverBudget(over) = &failed.error else {
        panic!("another error: {:?}", failed.error)
    };
    assert_eq!(over.account.as_str(), "tenant:acme");
    assert!(over.resets_in.is_some());
    let other = GenerateTextInput {
        tenant: Some("other".into()),
        ..with_budget("call/1", 9_999.0)
    };
    assert!(fixture.run(other).await.is_ok());
}

#[tokio::test]
async fn a_name_that_is_no_account_is_bad_input() {
    let fixture = Fixture::new([]).await;
    let mut input = with_budget("call/0", 1.0);
    input.budget.as_mut().unwrap().account = "everybody".into();
    assert_eq!(fixture.fail(input).await.error.code(), FailureCode::InvalidInput);
    let long = GenerateTextInput {
        tenant: Some("x".repeat(65)),
        ..prompt_input("call/0")
    };
    assert_eq!(fixture.fail(long).await.error.code(), FailureCode::InvalidInput);
}

#[tokio::test]
async fn a_call_that_the_limit_has_no_place_for_is_told_when_to_come_back() {
    let limited = |info: &mut model_clients::ModelInfo| info.limits.requests_per_minute = Some(1);
    let fixture = Fixture::with([Script::answer("a")], limited).await;
    fixture.run(prompt_input("call/0")).await.unwrap();
    let failed = fixture.fail(prompt_input("call/1")).await;
    let Error::Limited(place) = &failed.error else {
        panic!("another error: {:?}", failed.error)
    };
    assert_eq!(
        (place.why, place.name.as_str()),
        (Why::Requests, "scripted/one/default")
    );
    assert_eq!(failed.error.code(), FailureCode::RateLimited);
    let wait = failed.error.delay().unwrap();
    assert!(
        wait > Duration::from_secs(30) && wait <= Duration::from_secs(62),
        "{wait:?}"
    );
    assert!(!failed.leaves && failed.into_failure().retryable);
    assert_eq!(fixture.calls(), 1);
    assert!((fixture.measured("aiw_limit_waits_total") - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn a_provider_s_word_to_wait_holds_for_every_call() {
    let told = CallError::new(ErrorKind::RateLimited, CallOutcome::NotBilled, "slow down")
        .with_retry_after(Some(Duration::from_secs(20)));
    let fixture = Fixture::new([Script::refusal(told)]).await;
    let first = fixture.fail(prompt_input("call/0")).await;
    assert_eq!(first.error.delay(), Some(Duration::from_secs(20)));
    let second = fixture.fail(prompt_input("call/1")).await;
    let Error::Limited(place) = &second.error else {
        panic!("another error: {:?}", second.error)
    };
    assert_eq!(place.why, Why::Blocked);
    assert!(place.retry_after > Duration::from_secs(10), "{place:?}");
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone() {
    let overloaded = || Script::failure(ErrorKind::Overloaded, CallOutcome::NotBilled);
    let fixture = Fixture::with([overloaded(), overloaded()], |info| {
        info.limits.circuit = Circuit {
            failures: 2,
            open_seconds: 30,
        };
    })
    .await;
    for step in ["call/0", "call/1"] {
        fixture.fail(prompt_input(step)).await;
    }
    let failed = fixture.fail(prompt_input("call/2")).await;
    assert!(
        matches!(&failed.error, Error::Limited(place) if place.why == Why::CircuitOpen),
        "{:?}",
        failed.error
    );
    assert_eq!(
        (failed.error.code(), fixture.calls()),
        (FailureCode::Overloaded, 2)
    );
    assert!((fixture.measured("aiw_circuit_open") - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn a_failure_and_the_answer_after_it_tell_of_calls_whose_outcome_is_unknown() {
    let lost = Script::failure(ErrorKind::StreamBroken, CallOutcome::Unknown);
    let refused = Script::failure(ErrorKind::Overloaded, CallOutcome::NotBilled);
    let fixture = Fixture::new([lost, refused, Script::answer("a")]).await;
    let first = fixture.fail(prompt_input("call/0")).await.usage.unwrap();
    assert_eq!((first.calls, first.unknown_calls), (0, 1));
    assert!(first.unknown_cost_micros > 256.0, "{first:?}");
    let second = fixture.fail(prompt_input("call/0")).await.usage.unwrap();
    assert_eq!(second, first, "a refusal costs nothing and hides nothing");
    let expected = Usage {
        calls: 1,
        input_tokens: 7,
        output_tokens: 2,
        cost_micros: 9.0,
        ..first
    };
    let answered = fixture.run(prompt_input("call/0")).await.unwrap();
    assert_eq!(answered.usage, Some(expected.clone()));
    assert_eq!(expected.price_table, "scripted 1");
    let replayed = fixture.run(prompt_input("call/0")).await.unwrap();
    assert_eq!(replayed.usage, Some(expected));
    assert!((fixture.measured("aiw_model_unknown_calls_total") - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn an_answer_that_nobody_counted_is_counted_here_and_says_so() {
    let fixture = Fixture::new([Script::uncounted("some words of an answer")]).await;
    let first = fixture.run(prompt_input("call/0")).await.unwrap();
    let usage = first.usage.clone().unwrap();
    assert!(
        usage.estimated && usage.input_tokens > 0 && usage.output_tokens > 0,
        "{usage:?}"
    );
    assert!((usage.cost_micros - f64::from(usage.input_tokens + usage.output_tokens)).abs() < 0.5);
    let second = fixture.run(prompt_input("call/0")).await.unwrap();
    assert_eq!(second.usage, first.usage);
}

fn with_next(on: &str) -> GenerateTextInput {
    GenerateTextInput {
        route: Some(CandidateRoute {
            has_next: true,
            patience_seconds: 0,
            fallback_on: vec![on.into()],
        }),
        ..prompt_input("call/0")
    }
}

#[tokio::test]
async fn a_failure_that_lets_the_next_model_be_tried_is_final_once_patience_is_over() {
    for (on, final_now) in [("Overloaded", true), ("Transport", false)] {
        let refused = Script::failure(ErrorKind::Overloaded, CallOutcome::NotBilled);
        let fixture = Fixture::new([refused]).await;
        let failed = fixture.fail(with_next(on)).await;
        assert_eq!(failed.into_failure().retryable, !final_now, "{on}");
    }
}

#[tokio::test]
async fn no_other_model_is_tried_after_a_lost_call_where_that_must_not_be_repeated() {
    let lost = || Script::failure(ErrorKind::StreamBroken, CallOutcome::Unknown);
    let fixture = Fixture::new([lost()]).await;
    let input = GenerateTextInput {
        on_unknown: OnUnknown::Fail.into(),
        ..with_next("StreamBroken")
    };
    assert!(!fixture.fail(input.clone()).await.leaves);
    let again = fixture.fail(input).await;
    assert_eq!(again.error.code(), FailureCode::OutcomeUnknown);
    let fixture = Fixture::new([lost()]).await;
    assert!(fixture.fail(with_next("StreamBroken")).await.leaves);
}
