//! The audit finds each kind of difference, and passes what only looks like one.

use chaos_provider::Ending;
use effect_journal::{EffectClass, EffectKey, RequestDigest, Spend};

use super::*;

fn attempt(step: &str, fence: u32, state: State) -> AttemptRecord {
    AttemptRecord {
        key: EffectKey::new("default", "wf", "run", step).unwrap(),
        fence,
        state,
        committed: state == State::Settled,
        owner: "worker".into(),
        model: "echo".into(),
        provider: "chaos".into(),
        class: EffectClass::Paid,
        digest: RequestDigest::of(step.as_bytes()),
        upper_bound: Spend::default(),
        spend: None,
        claimed_unix_ms: 1,
        lease_until_unix_ms: 2,
        sent_unix_ms: Some(1),
        ended_unix_ms: Some(2),
        reason: None,
    }
}

fn call(request: &str, outcome: Outcome) -> Record {
    Record {
        seq: 1,
        received_unix_ms: 1,
        connection: 1,
        model: "echo".into(),
        marker: None,
        key: None,
        body_sha256: request.into(),
        prompt_tokens: 1,
        stream: true,
        rule: None,
        reply: "answer".into(),
        ending: Some(Ending {
            outcome,
            completion_tokens: 1,
            elapsed_ms: 1,
        }),
    }
}

fn ledger(attempts: impl IntoIterator<Item = AttemptRecord>) -> Ledger {
    Ledger {
        attempts: attempts.into_iter().collect(),
        totals: Totals::default(),
    }
}

#[test]
fn a_ledger_that_knows_every_call_passes() {
    let kept = ledger([
        attempt("a", 1, State::Unknown),
        attempt("a", 2, State::Settled),
        attempt("b", 1, State::Unknown),
        attempt("b", 2, State::Settled),
    ]);
    // The unknown attempt of `b` never reached the provider.
    let calls = [
        call("x", Outcome::ClientLeft),
        call("x", Outcome::Sent),
        call("y", Outcome::Sent),
    ];
    kept.audit(&calls).unwrap();
}

#[test]
fn a_missing_or_second_result_is_found() {
    let missing = ledger([attempt("a", 1, State::Unknown)]);
    assert!(missing.audit(&[call("x", Outcome::Sent)]).is_err());
    let second = ledger([attempt("a", 1, State::Settled), attempt("a", 2, State::Settled)]);
    let calls = [call("x", Outcome::Sent), call("x", Outcome::Sent)];
    assert!(second.audit(&calls).is_err());
}

#[test]
fn a_call_that_the_ledger_does_not_know_is_found() {
    let kept = ledger([attempt("a", 1, State::Settled)]);
    let calls = [call("x", Outcome::Sent), call("x", Outcome::Sent)];
    assert!(kept.audit(&calls).is_err());
}

#[test]
fn a_result_that_the_provider_never_sent_is_found() {
    let kept = ledger([attempt("a", 1, State::Settled)]);
    assert!(kept.audit(&[]).is_err());
    assert!(kept.audit(&[call("x", Outcome::ClientLeft)]).is_err());
}

#[test]
fn a_call_that_was_made_for_another_effect_is_found() {
    let kept = ledger([
        attempt("a", 1, State::Unknown),
        attempt("a", 2, State::Settled),
        attempt("b", 1, State::Unknown),
        attempt("b", 2, State::Settled),
    ]);
    let calls = [
        call("x", Outcome::Sent),
        call("x", Outcome::Sent),
        call("x", Outcome::Sent),
        call("y", Outcome::Sent),
    ];
    assert!(kept.audit(&calls).is_err());
}
