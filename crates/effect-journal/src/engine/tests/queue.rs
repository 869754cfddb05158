//! Tickets, and what providers say.

use std::time::Duration;

use super::super::{Ending, Op, Outcome};
use super::memory::Memory;
use super::{START, claim, granted, key, limited, retry_after, spend};
use crate::{Claim, Feedback, Lease, LimitClaim, RateLimit, Settlement, Why};

const MINUTE: i64 = 60_000;

fn rate() -> RateLimit {
    RateLimit {
        requests_per_minute: Some(1),
        ..RateLimit::default()
    }
}

fn ask(memory: &mut Memory, now_ms: i64, number: usize) -> Outcome {
    memory.step(now_ms, &claim(limited(number, rate(), 10))).unwrap()
}

fn wait(memory: &mut Memory, now_ms: i64, number: usize) -> i64 {
    let outcome = ask(memory, now_ms, number);
    i64::try_from(retry_after(&outcome).expect("refused").as_millis()).unwrap()
}

fn go(memory: &mut Memory, now_ms: i64, number: usize) -> Lease {
    granted(&ask(memory, now_ms, number)).expect("granted")
}

fn end(memory: &mut Memory, now_ms: i64, lease: &Lease, feedback: Feedback) {
    memory.step(now_ms, &Op::MarkSent(lease.clone())).unwrap();
    let op = Op::End(lease.clone(), Ending::Released, "refused".into(), feedback);
    memory.step(now_ms, &op).unwrap();
}

#[test]
fn a_ticket_that_nobody_comes_for_lapses() {
    let mut memory = Memory::default();
    go(&mut memory, START, 0);
    let second = START + wait(&mut memory, START, 1);
    let third = START + wait(&mut memory, START, 2);
    assert!(third >= second + MINUTE);
    // The second's place is kept for half a minute; then it is as if it had never asked, and newcomers move up.
    let lapsed = second + 31_000;
    let newcomer = lapsed + wait(&mut memory, lapsed, 3);
    assert!(newcomer >= third + MINUTE, "the third has its place still");
    assert!(lapsed + wait(&mut memory, lapsed, 1) >= newcomer + MINUTE);
    go(&mut memory, third, 2);
}

#[test]
fn a_ticket_is_for_one_limit() {
    let mut memory = Memory::default();
    go(&mut memory, START, 0);
    let due = START + wait(&mut memory, START, 1);
    let mut elsewhere = limited(1, rate(), 10);
    elsewhere.limits = Some(LimitClaim {
        name: "another".into(),
        rate: rate(),
        tokens: 10,
    });
    let outcome = memory.step(due, &claim(elsewhere)).unwrap();
    assert!(granted(&outcome).is_some(), "{outcome:?}");
    assert!(memory.tickets.is_empty());
}

#[test]
fn beyond_five_minutes_there_are_no_tickets() {
    let mut memory = Memory::default();
    go(&mut memory, START, 0);
    let waits: Vec<i64> = (1..8).map(|number| wait(&mut memory, START, number)).collect();
    assert!(waits[..5].iter().all(|wait| *wait < 6 * MINUTE), "{waits:?}");
    assert_eq!(memory.tickets.len(), 5);
    // Who comes back finds the queue with some minutes to go, and its end free.
    let back = START + waits[6];
    assert!((3 * MINUTE..4 * MINUTE).contains(&waits[6]), "{waits:?}");
    wait(&mut memory, back, 7);
    assert!(memory.tickets.contains_key(&key(7)));
}

#[test]
fn a_clock_that_was_set_back_forgets_no_grant() {
    let mut memory = Memory::default();
    go(&mut memory, START, 0);
    let back = START - 10 * MINUTE;
    assert!(wait(&mut memory, back, 1) >= MINUTE);
}

#[test]
fn a_refusal_without_a_word_blocks_until_the_empty_limit_resets() {
    let mut memory = Memory::default();
    let rate = RateLimit::default();
    let mut refusal = |now_ms: i64, number: usize, feedback: Feedback| {
        let outcome = memory.step(now_ms, &claim(limited(number, rate, 10))).unwrap();
        let lease = granted(&outcome).expect("granted");
        end(&mut memory, now_ms, &lease, feedback);
        let outcome = memory
            .step(now_ms, &claim(limited(number + 100, rate, 10)))
            .unwrap();
        let Outcome::Claim(Claim::Limited(limited)) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(limited.why, Why::Blocked);
        limited.retry_after
    };
    let refused = Feedback {
        refused: true,
        ..Feedback::default()
    };
    assert_eq!(refusal(START, 0, refused), Duration::from_secs(1));
    let empty = Feedback {
        remaining_requests: Some(0),
        reset_requests: Some(Duration::from_secs(7)),
        remaining_tokens: Some(9),
        reset_tokens: Some(Duration::from_secs(70)),
        ..refused
    };
    assert_eq!(refusal(START + MINUTE, 1, empty), Duration::from_secs(7));
    let forever = Feedback {
        retry_after: Some(Duration::from_hours(24 * 365)),
        ..refused
    };
    let wait = refusal(START + 2 * MINUTE, 2, forever);
    assert!(wait < Duration::from_mins(5), "{wait:?}");
    let hour = START + 2 * MINUTE + 3_600_000;
    let outcome = memory.step(hour, &claim(limited(3, rate, 10))).unwrap();
    assert!(granted(&outcome).is_some(), "{outcome:?}");
}

#[test]
fn what_was_settled_late_corrects_no_minute_that_is_over() {
    let mut memory = Memory::default();
    let rate = RateLimit {
        tokens_per_minute: Some(100),
        ..RateLimit::default()
    };
    let outcome = memory.step(START, &claim(limited(0, rate, 100))).unwrap();
    let late = granted(&outcome).unwrap();
    memory.step(START, &Op::MarkSent(late.clone())).unwrap();
    let later = START + 2 * MINUTE;
    let outcome = memory.step(later, &claim(limited(1, rate, 100))).unwrap();
    assert!(granted(&outcome).is_some(), "{outcome:?}");
    let settlement = Settlement {
        response: Vec::new(),
        spend: spend(10),
    };
    memory
        .step(later, &Op::Settle(late, settlement, Feedback::default()))
        .unwrap();
    let outcome = memory.step(later, &claim(limited(2, rate, 1))).unwrap();
    assert!(retry_after(&outcome).is_some(), "{outcome:?}");
}

#[test]
fn a_limit_survives_its_text() {
    let mut memory = Memory::default();
    let lease = go(&mut memory, START, 0);
    wait(&mut memory, START, 1);
    let down = Feedback {
        overloaded: true,
        ..Feedback::default()
    };
    end(&mut memory, START, &lease, down);
    let text = memory.limits["limit"].clone();
    let limit = super::super::Limit::from_json(&text).unwrap();
    assert_eq!(limit.to_json().unwrap(), text);
    assert!(text.contains("\"failures\":1"), "{text}");
}

#[test]
fn a_place_in_one_queue_is_none_in_another() {
    let mut memory = Memory::default();
    let mut elsewhere = |now_ms: i64, number: usize| {
        let mut request = limited(number, rate(), 10);
        request.limits = Some(LimitClaim {
            name: "another".into(),
            rate: rate(),
            tokens: 10,
        });
        memory.step(now_ms, &claim(request)).unwrap()
    };
    assert!(granted(&elsewhere(START, 10)).is_some());
    let waiting = retry_after(&elsewhere(START, 11)).expect("refused");
    go(&mut memory, START, 0);
    let due = START + wait(&mut memory, START, 1);
    assert_eq!(Duration::from_millis((due - START).unsigned_abs()), waiting);
    let mut elsewhere = limited(1, rate(), 10);
    elsewhere.limits = Some(LimitClaim {
        name: "another".into(),
        rate: rate(),
        tokens: 10,
    });
    let outcome = memory.step(due, &claim(elsewhere)).unwrap();
    assert!(retry_after(&outcome).is_some(), "{outcome:?}");
}

#[test]
fn who_is_held_up_by_something_else_keeps_the_place() {
    let mut memory = Memory::default();
    let rate = RateLimit {
        in_flight: Some(1),
        ..rate()
    };
    let mut ask =
        |now_ms: i64, number: usize| memory.step(now_ms, &claim(limited(number, rate, 10))).unwrap();
    let first = granted(&ask(START, 0)).expect("granted");
    // Nothing is in flight any more, but the minute is used up.
    let released = START + 45_000;
    let wait = retry_after(&ask(released, 1)).expect("refused");
    let due = released + i64::try_from(wait.as_millis()).unwrap();
    assert_eq!(first.fence, 1);
    let second = granted(&ask(due, 1)).expect("granted");
    assert_eq!(second.fence, 1);
    // The third gets its place before the second is in flight no more, and asks for longer than a place is kept.
    let mut now_ms = due + 45_000;
    let third_due = now_ms + i64::try_from(retry_after(&ask(now_ms, 2)).unwrap().as_millis()).unwrap();
    let holder = granted(&ask(third_due, 2)).expect("granted");
    now_ms = third_due + 45_000;
    let fourth_due = now_ms + i64::try_from(retry_after(&ask(now_ms, 3)).unwrap().as_millis()).unwrap();
    let op = Op::Renew(holder);
    memory.step(fourth_due, &op).unwrap();
    for seconds in (0..40).step_by(10) {
        let at = fourth_due + seconds * 1000;
        let outcome = memory.step(at, &claim(limited(3, rate, 10))).unwrap();
        let Outcome::Claim(Claim::Limited(limited)) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(limited.why, Why::InFlight);
    }
    let newcomer = memory
        .step(fourth_due + 46_000, &claim(limited(4, rate, 10)))
        .unwrap();
    assert!(
        retry_after(&newcomer).unwrap() > Duration::from_secs(30),
        "{newcomer:?}"
    );
    let outcome = memory
        .step(fourth_due + 46_000, &claim(limited(3, rate, 10)))
        .unwrap();
    assert!(granted(&outcome).is_some(), "{outcome:?}");
}

#[test]
fn those_who_wait_out_a_block_keep_their_order() {
    let mut memory = Memory::default();
    let first = go(&mut memory, START, 0);
    let due = START + wait(&mut memory, START, 1);
    wait(&mut memory, START, 2);
    let feedback = Feedback {
        retry_after: Some(Duration::from_mins(2)),
        refused: true,
        ..Feedback::default()
    };
    end(&mut memory, START, &first, feedback);
    let outcome = ask(&mut memory, due, 1);
    let Outcome::Claim(Claim::Limited(limited)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(limited.why, Why::Blocked);
    let over = due + i64::try_from(limited.retry_after.as_millis()).unwrap();
    assert!(over >= START + 2 * MINUTE);
    wait(&mut memory, over, 2);
    go(&mut memory, over, 1);
}

#[test]
fn a_probe_that_is_answered_closes_the_circuit_and_one_that_is_not_sent_does_not() {
    let rate = RateLimit {
        circuit: Some(crate::Circuit {
            failures: 1,
            open_seconds: 10,
        }),
        ..RateLimit::default()
    };
    let down = Feedback {
        overloaded: true,
        ..Feedback::default()
    };
    let mut memory = Memory::default();
    let open = |memory: &mut Memory, now_ms: i64, number: usize| {
        let outcome = memory.step(now_ms, &claim(limited(number, rate, 1))).unwrap();
        granted(&outcome)
    };
    let first = open(&mut memory, START, 0).expect("granted");
    end(&mut memory, START, &first, down);
    let probing = START + 10_000;
    let probe = open(&mut memory, probing, 1).expect("the probe");
    assert_eq!(open(&mut memory, probing, 2), None);
    let unsent = Op::End(probe, Ending::Released, "cancelled".into(), Feedback::default());
    memory.step(probing, &unsent).unwrap();
    let probe = open(&mut memory, probing, 2).expect("the next probe");
    assert_eq!(open(&mut memory, probing, 3), None);
    // A 400 is a word of a provider that lives.
    end(&mut memory, probing, &probe, Feedback::default());
    for number in 3..6 {
        assert!(open(&mut memory, probing, number).is_some());
    }
}
