//! Each rule finds its offence, and passes what only looks like one.

use chaos_provider::{Bill, Ending};
use effect_journal::{EffectKey, RequestDigest};

use super::*;

fn key(step: &str) -> String {
    format!("default/wf/run/{step}")
}

fn spend(output: u32) -> Spend {
    Spend {
        input_tokens: 10,
        output_tokens: output.into(),
        cost_micros: i64::from(output),
        ..Spend::default()
    }
}

/// An attempt that was sent at a time in milliseconds.
fn attempt(step: &str, (fence, sent): (u32, i64), state: State) -> AttemptRecord {
    AttemptRecord {
        key: EffectKey::new("default", "wf", "run", step).unwrap(),
        fence,
        state,
        committed: state == State::Settled,
        owner: "worker".into(),
        model: "echo".into(),
        provider: "chaos".into(),
        tenant: None,
        price_table: String::new(),
        class: EffectClass::Paid,
        digest: RequestDigest::of(step.as_bytes()),
        upper_bound: spend(64),
        spend: (state == State::Settled).then(|| spend(4)),
        claimed_unix_ms: sent - 5,
        lease_until_unix_ms: sent + 60_000,
        sent_unix_ms: Some(sent),
        ended_unix_ms: Some(sent + 1_000),
        reason: match state {
            State::Unknown => Some("connection lost".into()),
            State::Released => Some("overloaded".into()),
            State::Settled | State::Reserved | State::Sent => None,
        },
        by_hand: false,
    }
}

/// A call that was received at a time in milliseconds.
fn call(seq: u64, body: &str, at: u64, (outcome, status, output): (Outcome, u16, u32)) -> Record {
    let free = status >= 400;
    Record {
        seq,
        received_unix_ms: at,
        model: "echo".into(),
        body_sha256: body.into(),
        response_id: format!("id-{seq}"),
        ending: Some(Ending {
            outcome,
            status: Some(status),
            completion_tokens: output,
            bill: Bill {
                prompt_tokens: if free { 0 } else { 10 },
                completion_tokens: output,
                cost_micros: output.into(),
                ..Bill::default()
            },
            ..Ending::default()
        }),
        ..Record::default()
    }
}

const ANSWERED: (Outcome, u16, u32) = (Outcome::Sent, 200, 4);
const LEFT: (Outcome, u16, u32) = (Outcome::ClientLeft, 200, 2);
const REFUSED: (Outcome, u16, u32) = (Outcome::Sent, 529, 0);

fn told(step: &str, seq: u64) -> Told {
    Told {
        key: key(step),
        response_id: Some(format!("id-{seq}")),
        ..Told::default()
    }
}

fn run_of(told: impl IntoIterator<Item = Told>) -> Run {
    Run {
        workflow_id: "wf".into(),
        told: told.into_iter().collect(),
        ..Run::default()
    }
}

/// Two effects: one whose first call was cut off and made again, and one that was refused once.
fn sound() -> Evidence {
    Evidence {
        calls: vec![
            call(1, "a", 1_000, LEFT),
            call(2, "b", 1_100, REFUSED),
            call(3, "b", 3_000, ANSWERED),
            call(4, "a", 50_000, ANSWERED),
        ],
        attempts: vec![
            attempt("a", (1, 990), State::Unknown),
            attempt("a", (2, 49_990), State::Settled),
            attempt("b", (1, 1_090), State::Released),
            attempt("b", (2, 2_990), State::Settled),
        ],
        runs: vec![run_of([told("a", 4), told("b", 3)])],
        every_key_answered: true,
    }
}

fn rules(evidence: &Evidence) -> Vec<Rule> {
    let verdict = audit(evidence);
    assert_eq!(verdict.holds, verdict.violations.is_empty());
    verdict
        .violations
        .iter()
        .map(|violation| violation.rule)
        .collect()
}

#[test]
fn accounts_that_agree_are_summed_and_what_was_unknown_is_named_with_its_reason() {
    let verdict = audit(&sound());
    assert!(verdict.holds, "{verdict:#?}");
    let Figures {
        keys,
        results,
        calls,
        answered,
        refused,
        broken,
        retried_after_refusal,
        ..
    } = verdict.figures;
    assert_eq!(
        (
            keys,
            results,
            calls,
            answered,
            refused,
            broken,
            retried_after_refusal
        ),
        (2, 2, 4, 2, 1, 1, 1)
    );
    assert_eq!(verdict.figures.spent, spend(4).plus(spend(4)));
    assert_eq!(verdict.figures.billed, spend(4).plus(spend(4)).plus(spend(2)));
    let [unknown] = verdict.unknown.as_slice() else {
        panic!("{:?}", verdict.unknown);
    };
    assert_eq!(
        (unknown.attempt.as_str(), unknown.call),
        ("default/wf/run/a#1", Some(1))
    );
    assert_eq!((unknown.billed, unknown.at_most), (spend(2), spend(64)));
    let [repeat] = verdict.repeats.as_slice() else {
        panic!("{:?}", verdict.repeats);
    };
    assert_eq!(
        (repeat.attempt.as_str(), repeat.call),
        ("default/wf/run/a#2", Some(4))
    );
    assert_eq!(repeat.because, ["#1: connection lost"]);
}

#[test]
fn an_unknown_attempt_that_never_reached_the_provider_is_no_offence() {
    let mut evidence = sound();
    evidence.calls.remove(0);
    let verdict = audit(&evidence);
    assert!(verdict.holds, "{verdict:#?}");
    assert_eq!(
        (verdict.unknown[0].call, verdict.unknown[0].billed),
        (None, Spend::default())
    );
}

#[test]
fn a_missing_and_a_second_result_are_found() {
    let mut evidence = sound();
    evidence.attempts[0] = AttemptRecord {
        reason: Some("late".into()),
        ..attempt("a", (1, 990), State::Settled)
    };
    evidence.calls[0] = call(1, "a", 1_000, ANSWERED);
    assert_eq!(rules(&evidence), [Rule::SecondResult]);

    let mut evidence = sound();
    evidence.attempts[3].committed = false;
    assert_eq!(rules(&evidence), [Rule::MissingResult]);
    evidence.runs.clear();
    assert_eq!(rules(&evidence), [Rule::MissingResult]);
    evidence.every_key_answered = false;
    assert_eq!(rules(&evidence), []);
    assert_eq!(audit(&evidence).unanswered, [key("b")]);
}

#[test]
fn an_effect_that_was_asked_for_and_never_claimed_has_no_result() {
    let mut evidence = sound();
    evidence.runs[0].asked = vec![key("a"), key("never")];
    let verdict = audit(&evidence);
    let [violation] = verdict.violations.as_slice() else {
        panic!("{:?}", verdict.violations);
    };
    assert_eq!(
        (violation.rule, &violation.subject),
        (Rule::MissingResult, &key("never"))
    );
}

#[test]
fn a_call_that_the_ledger_does_not_know_is_found_whoever_it_was_for() {
    let mut evidence = sound();
    evidence.calls.push(call(5, "a", 51_000, ANSWERED));
    assert_eq!(rules(&evidence), [Rule::UnaccountedCall]);
    evidence.calls[4] = call(5, "nobody's", 51_000, ANSWERED);
    assert_eq!(rules(&evidence), [Rule::UnaccountedCall]);
    // The unknown attempt of `a` was never seen, and is no excuse for a call of `b`.
    evidence.calls.remove(0);
    evidence.calls[3] = call(5, "b", 4_000, LEFT);
    assert_eq!(rules(&evidence), [Rule::UnaccountedCall]);
}

#[test]
fn an_answer_that_the_provider_never_sent_is_found() {
    let mut evidence = sound();
    evidence.calls.remove(2);
    evidence.runs.clear();
    assert_eq!(rules(&evidence), [Rule::UnseenAnswer]);
}

#[test]
fn figures_that_differ_from_the_bill_are_found() {
    let mut evidence = sound();
    evidence.attempts[1].spend = Some(spend(3));
    assert_eq!(rules(&evidence), [Rule::DifferentSpend]);

    let mut evidence = sound();
    evidence.attempts[0].upper_bound = spend(1);
    assert_eq!(rules(&evidence), [Rule::BoundTooLow]);

    let mut evidence = sound();
    evidence.calls[1] = call(2, "b", 1_100, LEFT);
    assert_eq!(rules(&evidence), [Rule::BilledRelease]);
}

#[test]
fn a_word_by_hand_is_held_against_the_bill_too() {
    let by_hand = |billed| AttemptRecord {
        by_hand: true,
        committed: false,
        reason: Some("connection lost".into()),
        spend: Some(billed),
        ..attempt("a", (1, 990), State::Settled)
    };
    let mut evidence = sound();
    evidence.attempts[0] = by_hand(spend(2));
    assert_eq!(rules(&evidence), []);
    evidence.attempts[0] = by_hand(spend(0));
    assert_eq!(rules(&evidence), [Rule::DifferentSpend]);
}

#[test]
fn a_call_after_an_answer_is_found_unless_the_answer_came_late() {
    let mut evidence = sound();
    evidence.calls[0] = call(1, "a", 1_000, ANSWERED);
    evidence.attempts[0] = AttemptRecord {
        committed: false,
        ..attempt("a", (1, 990), State::Settled)
    };
    assert_eq!(rules(&evidence), [Rule::RepeatWithoutReason]);
    evidence.attempts[0].reason = Some("the lease ran out".into());
    assert_eq!(rules(&evidence), []);
    assert_eq!(audit(&evidence).repeats.len(), 1);
}

#[test]
fn an_answer_of_another_call_is_found() {
    let mut evidence = sound();
    evidence.runs[0].told[0] = told("a", 1);
    assert_eq!(rules(&evidence), [Rule::OtherAnswer]);

    let mut evidence = sound();
    evidence.runs[0].result = Some(told("", 7));
    assert_eq!(rules(&evidence), [Rule::OtherAnswer]);

    let mut evidence = sound();
    evidence.runs[0].told[0].sha256 = Some("one".into());
    let ending = evidence.calls[3].ending.as_mut().unwrap();
    ending.answer_sha256 = Some("one".into());
    assert_eq!(rules(&evidence), []);
    evidence.calls[3].ending.as_mut().unwrap().answer_sha256 = Some("other".into());
    assert_eq!(rules(&evidence), [Rule::OtherAnswer]);

    let mut evidence = sound();
    evidence.runs[0].told[0].sha256 = Some("one".into());
    evidence.runs[0].result = Some(Told {
        sha256: Some("other".into()),
        ..told("", 4)
    });
    assert_eq!(rules(&evidence), [Rule::OtherAnswer]);
}

#[test]
fn what_is_under_way_is_not_judged_to_be_over() {
    let mut evidence = sound();
    evidence.attempts[0].state = State::Sent;
    evidence.calls[0].ending = None;
    let found = rules(&evidence);
    assert_eq!(
        found,
        [Rule::RepeatWithoutReason, Rule::NotOver, Rule::NotOver],
        "{found:?}"
    );
}

#[test]
fn a_model_that_costs_nothing_is_held_to_the_rules_about_results_alone() {
    let mut evidence = sound();
    evidence.attempts.push(AttemptRecord {
        class: EffectClass::Free,
        ..attempt("free", (1, 9_000), State::Settled)
    });
    assert_eq!(rules(&evidence), []);
    evidence.attempts.push(AttemptRecord {
        class: EffectClass::Free,
        ..attempt("free", (2, 9_500), State::Settled)
    });
    assert_eq!(rules(&evidence), [Rule::SecondResult]);
}

#[test]
fn a_table_says_all_that_the_verdict_says() {
    let mut evidence = sound();
    let text = crate::table(&audit(&evidence));
    for words in [
        "verdict: holds",
        "default/wf/run/a#1  connection lost",
        "because of #1",
        "0.000064",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    evidence.calls.push(call(5, "a", 51_000, ANSWERED));
    let text = crate::table(&audit(&evidence));
    assert!(
        text.contains("does not hold, 1 offences") && text.contains("unaccounted_call"),
        "{text}"
    );
}
