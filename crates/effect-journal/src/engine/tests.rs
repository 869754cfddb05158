//! The engine, tried without a store: with maps in memory that hold no more than a store would, and give no more of it
//! to a batch than it asked for.

mod batches;
mod memory;
mod queue;
mod windows;

use std::time::Duration;

use super::view::Mark;
use super::{Config, Op, Outcome, Table};
use crate::{
    Account, AccountClaim, Claim, ClaimRequest, EffectClass, EffectKey, LimitClaim, OnUnknown, RateLimit,
    RequestDigest, Spend,
};

/// 2026-01-01.
const START: i64 = 1_767_225_600_000;

const CONFIG: Config = Config {
    lease: Duration::from_secs(45),
};

fn key(number: usize) -> EffectKey {
    EffectKey::new("default", "workflow", "run", &format!("call/{number}")).unwrap()
}

fn run() -> Account {
    Account::run("default", "workflow", "run").unwrap()
}

/// A claim that reserves 100 millionths and 100 tokens in the run's budget.
fn request(number: usize) -> ClaimRequest {
    ClaimRequest {
        key: key(number),
        digest: RequestDigest::of(b"request"),
        owner: "worker".into(),
        class: EffectClass::Paid,
        on_unknown: OnUnknown::Repeat,
        model: "model".into(),
        provider: "provider".into(),
        upper_bound: spend(100),
        tenant: None,
        price_table: String::new(),
        accounts: vec![AccountClaim {
            account: run(),
            max: None,
        }],
        limits: None,
    }
}

fn limited(number: usize, rate: RateLimit, tokens: u64) -> ClaimRequest {
    let limits = Some(LimitClaim {
        name: "limit".into(),
        rate,
        tokens,
    });
    ClaimRequest {
        limits,
        ..request(number)
    }
}

fn spend(amount: u32) -> Spend {
    Spend {
        input_tokens: u64::from(amount / 2),
        output_tokens: u64::from(amount - amount / 2),
        cost_micros: i64::from(amount),
        ..Spend::default()
    }
}

fn claim(request: ClaimRequest) -> Op {
    Op::Claim(Box::new(request))
}

fn granted(outcome: &Outcome) -> Option<crate::Lease> {
    match outcome {
        Outcome::Claim(Claim::Granted(lease)) => Some(lease.clone()),
        Outcome::Claim(_) | Outcome::Cleared | Outcome::Settled(_) | Outcome::Done | Outcome::Answer(..) => {
            None
        }
    }
}

fn retry_after(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Claim(Claim::Limited(limited)) => Some(limited.retry_after),
        Outcome::Claim(_) | Outcome::Cleared | Outcome::Settled(_) | Outcome::Done | Outcome::Answer(..) => {
            None
        }
    }
}

#[test]
fn a_table_tells_what_has_to_be_written() {
    let mut table = Table::<u8, &str>::default();
    for (key, value) in [(1, "one"), (2, "two"), (3, "three")] {
        table.load(key, value);
    }
    table.put(1, "one");
    table.put(2, "zwei");
    table.put(4, "four");
    table.remove(&3);
    table.put(5, "five");
    table.remove(&5);
    table.load(2, "stale");
    let dirty: Vec<_> = table
        .dirty()
        .map(|(key, value, mark)| (*key, *value, mark))
        .collect();
    assert_eq!(dirty, [(2, "zwei", Mark::Changed), (4, "four", Mark::New)]);
    assert_eq!(table.removed().collect::<Vec<_>>(), [&3]);
    table.put(3, "drei");
    assert_eq!(table.removed().count(), 0);
    assert!(table.dirty().any(|row| row == (&3, &"drei", Mark::Changed)));
}
