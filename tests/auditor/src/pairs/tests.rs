//! Calls find their attempts without a common name.

use chaos_provider::{Bill, Ending};
use effect_journal::{EffectClass, EffectKey, RequestDigest};

use super::*;
use crate::history::Told;

fn attempt(step: &str, (fence, sent): (u32, i64), state: State) -> AttemptRecord {
    AttemptRecord {
        key: EffectKey::new("default", "wf", "run", step).unwrap(),
        fence,
        state,
        committed: false,
        owner: "worker".into(),
        model: "echo".into(),
        provider: "chaos".into(),
        tenant: None,
        price_table: String::new(),
        class: EffectClass::Paid,
        digest: RequestDigest::of(b""),
        upper_bound: Spend::default(),
        spend: (state == State::Settled).then(|| Spend {
            output_tokens: 4,
            ..Spend::default()
        }),
        claimed_unix_ms: sent,
        lease_until_unix_ms: sent,
        sent_unix_ms: Some(sent),
        ended_unix_ms: Some(sent + 1_000),
        reason: None,
        by_hand: false,
    }
}

fn call(seq: u64, body: &str, at: u64, output: Option<u32>) -> Record {
    Record {
        seq,
        received_unix_ms: at,
        model: "echo".into(),
        body_sha256: body.into(),
        response_id: format!("id-{seq}"),
        ending: Some(Ending {
            outcome: if output.is_some() {
                Outcome::Sent
            } else {
                Outcome::ClientLeft
            },
            status: Some(200),
            bill: Bill {
                completion_tokens: output.unwrap_or(2),
                ..Bill::default()
            },
            ..Ending::default()
        }),
        ..Record::default()
    }
}

#[test]
fn a_request_that_came_late_is_not_taken_for_the_one_that_was_answered() {
    // The first worker stood still between its mark and its request, which came after the second one's.
    let attempts = [
        attempt("a", (1, 1_000), State::Unknown),
        attempt("a", (2, 30_000), State::Settled),
    ];
    let calls = [call(1, "a", 30_010, Some(4)), call(2, "a", 30_500, None)];
    assert_eq!(pair(&calls, &attempts, &[]).call_of, [Some(1), Some(0)]);
}

#[test]
fn one_answer_names_the_effect_of_every_equal_request() {
    let attempts = [
        attempt("a", (1, 1_000), State::Unknown),
        attempt("a", (2, 2_000), State::Settled),
        attempt("b", (1, 1_000), State::Unknown),
    ];
    // By time alone the first call could be that of `b`.
    let calls = [call(1, "x", 1_000, None), call(2, "x", 2_000, Some(4))];
    let told = |key: &str, id: &str| Told {
        key: key.into(),
        response_id: Some(id.into()),
        ..Told::default()
    };
    let runs = [Run {
        told: vec![told("default/wf/run/a", "id-2")],
        ..Run::default()
    }];
    assert_eq!(pair(&calls, &attempts, &runs).call_of, [Some(0), Some(1), None]);
}

#[test]
fn one_id_for_two_answers_names_both_effects() {
    let attempts = [
        attempt("a", (1, 1_000), State::Settled),
        attempt("b", (1, 9_000), State::Settled),
    ];
    let calls = [
        call(1, "x", 1_000, Some(4)),
        Record {
            response_id: "id-1".into(),
            ..call(2, "y", 9_000, Some(4))
        },
    ];
    let told = |key: &str| Told {
        key: key.into(),
        response_id: Some("id-1".into()),
        ..Told::default()
    };
    let runs = [Run {
        told: vec![told("default/wf/run/a"), told("default/wf/run/b")],
        ..Run::default()
    }];
    assert_eq!(pair(&calls, &attempts, &runs).call_of, [Some(0), Some(1)]);
}

#[test]
fn a_header_names_the_effect() {
    let attempts = [
        attempt("a", (1, 1_000), State::Unknown),
        attempt("b", (1, 1_000), State::Unknown),
    ];
    let calls = [Record {
        key: Some("default/wf/run/b".into()),
        ..call(1, "x", 1_000, None)
    }];
    assert_eq!(pair(&calls, &attempts, &[]).call_of, [None, Some(0)]);
}

#[test]
fn who_comes_later_moves_others_to_where_they_fit_too() {
    // Both settled; the first could be either call, the second only the one before its end.
    let attempts = [
        AttemptRecord {
            ended_unix_ms: Some(90_000),
            ..attempt("a", (1, 1_000), State::Settled)
        },
        attempt("b", (1, 1_000), State::Settled),
    ];
    let calls = [call(1, "x", 1_500, Some(4)), call(2, "y", 60_000, Some(4))];
    assert_eq!(pair(&calls, &attempts, &[]).call_of, [Some(1), Some(0)]);
}

#[test]
fn a_call_before_its_mark_or_at_another_model_is_none_of_the_attempt_s() {
    let attempts = [attempt("a", (1, 100_000), State::Unknown)];
    assert_eq!(
        pair(&[call(1, "x", 1_000, None)], &attempts, &[]).attempt_of,
        [None]
    );
    let other = Record {
        model: "other".into(),
        ..call(1, "x", 100_000, None)
    };
    assert_eq!(pair(&[other], &attempts, &[]).attempt_of, [None]);
}
