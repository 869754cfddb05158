//! The window: no minute holds more than the limit, whoever comes when; and who comes in time gets it all.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::Op;
use super::memory::Memory;
use super::{START, claim, granted, limited, retry_after};
use crate::RateLimit;

/// What a call is and when it first asks, in milliseconds from the start.
#[derive(Debug, Clone)]
struct Call {
    first_ms: i64,
    tokens: u64,
    /// How much later than told it comes back, each time anew.
    late_ms: VecDeque<i64>,
}

/// A grant: when, and for how many tokens.
type Grant = (i64, u64);

const TOKENS: u64 = 1000;
const REQUESTS: u32 = 6;

fn rate() -> RateLimit {
    RateLimit {
        requests_per_minute: Some(REQUESTS),
        tokens_per_minute: Some(TOKENS),
        ..RateLimit::default()
    }
}

fn call(late: impl Strategy<Value = i64>) -> impl Strategy<Value = Call> {
    let late = prop::collection::vec(late, 4).prop_map(VecDeque::from);
    (0..90_000_i64, 1..=500_u64, late).prop_map(|(first_ms, tokens, late_ms)| Call {
        first_ms,
        tokens,
        late_ms,
    })
}

/// Plays the calls: each comes back when it is told to, or later.
fn play(mut calls: Vec<Call>, rate: RateLimit) -> Vec<Grant> {
    let mut memory = Memory::default();
    let mut due: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (number, call) in calls.iter().enumerate() {
        due.entry(START + call.first_ms).or_default().push(number);
    }
    let mut grants = Vec::new();
    while let Some((now_ms, numbers)) = due.pop_first() {
        assert!(
            now_ms < START + 3_600_000,
            "{} calls still wait after an hour",
            numbers.len()
        );
        for number in numbers {
            let tokens = calls[number].tokens;
            let op: Op = claim(limited(number, rate, tokens));
            let outcome = memory.step(now_ms, &op).unwrap();
            if granted(&outcome).is_some() {
                grants.push((now_ms, tokens));
                continue;
            }
            let wait = retry_after(&outcome).expect("only the limit can refuse");
            let late = calls[number].late_ms.pop_front().unwrap_or(0);
            let back = now_ms + i64::try_from(wait.as_millis()).unwrap() + late;
            assert!(back > now_ms, "a call is told to come back at once");
            due.entry(back).or_default().push(number);
        }
    }
    grants
}

/// Returns the most calls and tokens that any minute holds, with the second that is added to it.
fn fullest_minute(grants: &[Grant]) -> (usize, u64) {
    let minute = |end: i64| {
        grants
            .iter()
            .filter(move |(at, _)| (end - 60_999..=end).contains(at))
    };
    let calls = grants
        .iter()
        .map(|(end, _)| minute(*end).count())
        .max()
        .unwrap_or(0);
    let tokens = grants
        .iter()
        .map(|(end, _)| minute(*end).map(|(_, tokens)| tokens).sum())
        .max();
    (calls, tokens.unwrap_or(0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_minute_holds_more_than_the_limit(
        calls in prop::collection::vec(call(prop_oneof![2 => Just(0), 2 => 0..3_000_i64, 1 => 0..50_000_i64]), 1..40),
    ) {
        let number = calls.len();
        let grants = play(calls, rate());
        prop_assert_eq!(grants.len(), number);
        let (calls, tokens) = fullest_minute(&grants);
        prop_assert!(calls <= usize::try_from(REQUESTS).unwrap(), "{} calls in a minute: {:?}", calls, grants);
        prop_assert!(tokens <= TOKENS, "{} tokens in a minute: {:?}", tokens, grants);
    }

    #[test]
    fn who_came_first_goes_first(
        starts in prop::collection::vec(0..2_000_i64, 1..20),
        tokens in prop::collection::vec(1..=250_u64, 20),
    ) {
        let mut first_ms = 0;
        let mut calls = Vec::new();
        for (pause, tokens) in starts.into_iter().zip(tokens) {
            first_ms += pause;
            calls.push(Call { first_ms, tokens, late_ms: VecDeque::new() });
        }
        let expected: Vec<u64> = calls.iter().map(|call| call.tokens).collect();
        let granted: Vec<u64> = play(calls, rate()).into_iter().map(|(_, tokens)| tokens).collect();
        prop_assert_eq!(granted, expected);
    }
}

#[test]
fn a_limit_is_used_up_by_those_who_come_a_little_late() {
    let late = |number: usize| i64::try_from(number * 37 % 400).unwrap();
    let calls: Vec<Call> = (0..900)
        .map(|number| Call {
            first_ms: i64::try_from(number % 7).unwrap(),
            tokens: 1000,
            late_ms: (0..20).map(|again| late(number + again)).collect(),
        })
        .collect();
    let rate = RateLimit {
        tokens_per_minute: Some(90_000),
        ..RateLimit::default()
    };
    let grants = play(calls, rate);
    assert_eq!(fullest_minute(&grants).1, 90_000);
    // The first minute's worth goes at once; each of the nine others takes its minute.
    let elapsed = grants.last().unwrap().0 - grants[0].0;
    assert!(
        elapsed * 95 <= 9 * 60_000 * 100,
        "{elapsed} ms for nine minutes' worth"
    );
}
