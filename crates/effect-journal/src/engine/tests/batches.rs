//! Any steps, one by one and in batches: what is counted is what there is, and batches change nothing.

use proptest::prelude::*;

use super::super::{Ending, Op};
use super::memory::Memory;
use super::{CONFIG, START, claim, key, limited, run, spend};
use crate::{
    Account, AccountClaim, Allowance, Amount, Circuit, ClaimRequest, EffectKey, Feedback, HandOutcome,
    HandSettlement, Lease, OnUnknown, Period, RateLimit, Settlement, TenantBudget,
};

const KEYS: usize = 3;

/// A step that anybody could take, on any attempt that there may be.
fn step() -> impl Strategy<Value = Op> {
    let lease = || {
        (0..KEYS, 1..4_u32).prop_map(|(number, fence)| Lease {
            key: key(number),
            fence,
            length: CONFIG.lease,
        })
    };
    prop_oneof![
        6 => request().prop_map(claim),
        1 => lease().prop_map(Op::Renew),
        6 => lease().prop_map(Op::MarkSent),
        3 => (lease(), 0..200_u32, feedback()).prop_map(|(lease, amount, feedback)| {
            let response = amount.to_be_bytes().to_vec();
            Op::Settle(lease, Settlement { response, spend: spend(amount) }, feedback)
        }),
        2 => (lease(), any::<bool>(), feedback()).prop_map(|(lease, lost, feedback)| {
            let ending = if lost { Ending::Unknown } else { Ending::Released };
            Op::End(lease, ending, "reason".to_owned(), feedback)
        }),
        1 => (lease(), prop::option::of(0..200_u32)).prop_map(|(lease, billed)| {
            let outcome = billed.map_or(HandOutcome::NotBilled, |amount| HandOutcome::Billed(spend(amount)));
            let settlement = HandSettlement { outcome, actor: "ops".into(), reason: String::new() };
            Op::SettleByHand(lease.key, lease.fence, settlement)
        }),
        1 => (prop::option::of(0..500_i64), 0..3_usize).prop_map(|(cost_micros, period)| Op::SetTenantBudget {
            budget: TenantBudget {
                tenant: "acme".into(),
                period: Period::ALL[period],
                max: Allowance { cost_micros, tokens: None },
            },
            actor: "ops".into(),
            reason: String::new(),
        }),
    ]
}

fn request() -> impl Strategy<Value = ClaimRequest> {
    let rate = RateLimit {
        tokens_per_minute: Some(400),
        in_flight: Some(2),
        circuit: Some(Circuit {
            failures: 2,
            open_seconds: 20,
        }),
        ..RateLimit::default()
    };
    let max = prop::option::of((1..6_i64).prop_map(|calls| calls * 90));
    (0..KEYS, max, 0..3_u8, any::<bool>()).prop_map(move |(number, max, limit, repeat)| {
        let account = |account, max: Option<i64>| AccountClaim {
            account,
            max: max.map(|max| Allowance {
                cost_micros: Some(max),
                tokens: None,
            }),
        };
        let mut request = limited(number, rate, 100 + u64::from(limit) * 50);
        if limit == 0 {
            request.limits = None;
        }
        ClaimRequest {
            on_unknown: if repeat {
                OnUnknown::Repeat
            } else {
                OnUnknown::Park
            },
            tenant: Some("acme".into()),
            accounts: vec![
                account(run(), max),
                account(Account::tenant("acme").unwrap(), None),
            ],
            ..request
        }
    })
}

fn feedback() -> impl Strategy<Value = Feedback> {
    let seconds = || prop::option::weighted(0.2, (0..40_u64).prop_map(std::time::Duration::from_secs));
    (
        any::<bool>(),
        any::<bool>(),
        seconds(),
        prop::option::weighted(0.2, 0..400_u64),
        seconds(),
    )
        .prop_map(
            |(overloaded, refused, retry_after, remaining_tokens, reset_tokens)| Feedback {
                retry_after,
                remaining_tokens,
                reset_tokens,
                overloaded,
                refused,
                ..Feedback::default()
            },
        )
}

/// Batches with the milliseconds that pass before each.
fn batches() -> impl Strategy<Value = Vec<(i64, Vec<Op>)>> {
    let pause =
        prop_oneof![3 => Just(0), 3 => 1..2000_i64, 3 => 44_000..46_000_i64, 1 => 50_000_000..90_000_000_i64];
    prop::collection::vec((pause, prop::collection::vec(step(), 1..6)), 1..40)
}

fn check(memory: &Memory) -> Result<(), TestCaseError> {
    let sums = memory.sums();
    for (name, amount) in &memory.counters {
        prop_assert_eq!(*amount, sums.get(name).copied().unwrap_or_default(), "{}", name);
    }
    for (name, sum) in &sums {
        prop_assert!(
            *sum == Amount::default() || memory.counters.contains_key(name),
            "{}",
            name
        );
    }
    for (key, effect) in &memory.effects {
        let last = memory
            .attempts
            .range((key.clone(), 0)..=(key.clone(), u32::MAX))
            .next_back();
        prop_assert_eq!(last.map(|((_, fence), _)| *fence), Some(effect.fence));
        if let Some(fence) = effect.committed_fence {
            let committed = &memory.attempts[&(key.clone(), fence)];
            prop_assert!(committed.checksum.is_some());
        }
    }
    let by_key: Vec<EffectKey> = memory.attempts.keys().map(|(key, _)| key.clone()).collect();
    prop_assert!(by_key.iter().all(|key| memory.effects.contains_key(key)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_hold_what_attempts_add_up_to(batches in batches()) {
        let (mut memory, mut now_ms) = (Memory::default(), START);
        for (pause, ops) in batches {
            now_ms += pause;
            for op in ops {
                let _outcome = memory.step(now_ms, &op);
                check(&memory)?;
            }
        }
    }

    #[test]
    fn a_batch_comes_to_the_same_as_its_steps(batches in batches()) {
        let (mut together, mut alone, mut now_ms) = (Memory::default(), Memory::default(), START);
        for (pause, ops) in batches {
            now_ms += pause;
            let outcomes = together.batch(now_ms, &ops);
            let expected: Vec<_> = ops.iter().map(|op| alone.step(now_ms, op)).collect();
            prop_assert_eq!(format!("{outcomes:?}"), format!("{expected:?}"));
            prop_assert_eq!(&together, &alone);
            check(&together)?;
        }
    }

    #[test]
    fn a_committed_result_never_changes(batches in batches()) {
        let (mut memory, mut now_ms) = (Memory::default(), START);
        let mut committed = std::collections::BTreeMap::new();
        for (pause, ops) in batches {
            now_ms += pause;
            let _outcomes = memory.batch(now_ms, &ops);
            for (key, effect) in &memory.effects {
                let Some(fence) = effect.committed_fence else { continue };
                let answer = (fence, memory.attempts[&(key.clone(), fence)].checksum);
                prop_assert_eq!(*committed.entry(key.clone()).or_insert(answer), answer);
            }
        }
    }

    #[test]
    fn grants_never_go_beyond_a_budget(batches in batches(), max in 100..600_i64) {
        let (mut memory, mut now_ms) = (Memory::default(), START);
        for (pause, ops) in batches {
            now_ms += pause;
            for mut op in ops {
                if let Op::Claim(request) = &mut op {
                    let max = Allowance { cost_micros: Some(max), tokens: None };
                    request.accounts[0].max = Some(max);
                }
                // What a call costs beyond its bound was not up to the journal.
                if let Op::Settle(_, settlement, _) = &mut op {
                    settlement.spend = spend(u32::try_from(settlement.spend.cost_micros.min(100)).unwrap());
                }
                if matches!(op, Op::SettleByHand(..)) {
                    continue;
                }
                let _outcome = memory.step(now_ms, &op);
                let used = memory.counters.get(run().as_str()).copied().unwrap_or_default();
                prop_assert!(used.cost_micros <= max, "{} of {}", used.cost_micros, max);
            }
        }
    }
}

#[test]
fn a_batch_loads_what_an_earlier_step_makes_a_later_one_touch() {
    let other = Account::run("default", "workflow", "other").unwrap();
    let mut memory = Memory::default();
    let grant = |memory: &mut Memory, now_ms: i64, request: ClaimRequest| {
        let outcome = memory.step(now_ms, &claim(request)).unwrap();
        super::granted(&outcome).expect("granted")
    };
    let late = grant(&mut memory, START, super::request(0));
    memory.step(START, &Op::MarkSent(late.clone())).unwrap();
    let mut second = super::request(0);
    second.accounts[0].account = other.clone();
    let newer = grant(&mut memory, START + 45_000, second);
    let settlement = Settlement {
        response: b"late".to_vec(),
        spend: spend(1),
    };
    // The late answer becomes the result, so the newer attempt is released instead of being sent.
    let steps = [
        Op::Settle(late, settlement, Feedback::default()),
        Op::MarkSent(newer),
    ];
    let outcomes = memory.batch(START + 45_000, &steps);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(memory.counters[other.as_str()], Amount::default());
    assert_eq!(memory.sums(), memory.counters);
}
