//! Random sequences of steps, compared with a model that has no store.
//!
//! The model is written from the promise and not from the implementation: it knows nothing of the journal's own
//! table of transitions. Each case works on keys of its own, so that one store serves them all.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use effect_journal::{
    AttemptFilter, Claim, ClaimRequest, Clearance, Clock as _, EffectKey, Error, Lease, OnUnknown,
    RequestDigest, Scope, Settled, Settlement, Spend, State, Tally, Totals,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::model::{Model, Outcome};
use super::{LEASE, Store, request};

/// One step of a sequence; `of` picks an attempt among those granted so far, counted from the latest.
#[derive(Debug, Clone)]
enum Step {
    Claim {
        key: usize,
        same_request: bool,
        on_unknown: OnUnknown,
    },
    Wait {
        seconds: u64,
    },
    Act {
        act: Act,
        of: usize,
    },
}

/// What the holder of an attempt does with it.
#[derive(Debug, Clone, Copy)]
enum Act {
    Renew,
    Send,
    Settle,
    Release,
    Lose,
}

const KEYS: usize = 2;

pub(crate) async fn any_sequence_agrees_with_the_model(store: Store) {
    let store = Arc::new(store);
    let runtime = tokio::runtime::Handle::current();
    let cases = AtomicU32::new(0);
    // Proptest is synchronous, so it runs beside the runtime and hands each case back to it.
    tokio::task::spawn_blocking(move || {
        let config = Config {
            cases: 64,
            failure_persistence: None,
            ..Config::default()
        };
        let steps = prop::collection::vec(step(), 1..60);
        TestRunner::new(config)
            .run(&steps, |steps| {
                let case = cases.fetch_add(1, Ordering::Relaxed);
                runtime.block_on(agree(&store, case, &steps));
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![
        3 => Just(OnUnknown::Repeat),
        1 => Just(OnUnknown::Park),
        1 => Just(OnUnknown::Fail)
    ];
    let act = prop_oneof![
        1 => Just(Act::Renew),
        5 => Just(Act::Send),
        2 => Just(Act::Settle),
        1 => Just(Act::Release),
        1 => Just(Act::Lose),
    ];
    // Mostly one key: the interesting states need several attempts at the same effect.
    let key = prop_oneof![5 => Just(0), 1 => 1..KEYS];
    let claim =
        (key, prop::bool::weighted(0.97), policy).prop_map(|(key, same_request, on_unknown)| Step::Claim {
            key,
            same_request,
            on_unknown,
        });
    prop_oneof![
        6 => claim,
        3 => prop_oneof![1 => Just(1_u64), 1 => Just(44), 4 => Just(45), 1 => Just(100)].prop_map(|seconds| Step::Wait { seconds }),
        11 => (act, prop_oneof![4 => Just(0_usize), 3 => Just(1), 2 => 2..8_usize]).prop_map(|(act, of)| Step::Act { act, of }),
    ]
}

async fn agree(store: &Store, case: u32, steps: &[Step]) {
    let workflow = format!("case-{case}");
    let keys: Vec<_> = (0..KEYS)
        .map(|key| EffectKey::new("default", &workflow, "run", &format!("call/{key}")).unwrap())
        .collect();
    let mut models: Vec<_> = keys.iter().map(|_| Model::default()).collect();
    let mut leases: Vec<(usize, Lease)> = Vec::new();
    let mut results = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        let now = store.clock.unix_ms();
        let (expected, got) = match step {
            Step::Wait { seconds } => {
                store.clock.advance(Duration::from_secs(*seconds));
                continue;
            }
            Step::Claim {
                key,
                same_request,
                on_unknown,
            } => {
                let expected = models[*key].claim(now, *same_request, *on_unknown == OnUnknown::Repeat);
                let (got, lease) = claim(store, &keys[*key], *same_request, *on_unknown).await;
                leases.extend(lease.map(|lease| (*key, lease)));
                (expected, got)
            }
            Step::Act { act, of } => {
                let Some((key, lease)) =
                    (!leases.is_empty()).then(|| &leases[leases.len() - 1 - of % leases.len()])
                else {
                    continue;
                };
                let cost = i64::try_from(number).unwrap();
                let expected = expect(&mut models[*key], now, *act, (lease.fence, cost));
                (expected, perform(store, *act, lease, cost).await)
            }
        };
        assert_eq!(got, expected, "step {number}: {step:?} of {steps:?}");
        compare_ledger(store, &workflow, (&keys, &models)).await;
        for (key, model) in keys.iter().zip(&models) {
            if let Some(result) = model.result() {
                let first = results.entry(key.clone()).or_insert(result);
                assert_eq!(*first, result, "the result of {key} changed");
            }
        }
    }
}

async fn claim(
    store: &Store,
    key: &EffectKey,
    same_request: bool,
    on_unknown: OnUnknown,
) -> (Outcome, Option<Lease>) {
    let digest = RequestDigest::of(if same_request { b"request" } else { b"another" });
    let request = ClaimRequest {
        digest,
        on_unknown,
        ..request(key)
    };
    match store.journal.claim(request).await.unwrap() {
        Claim::Granted(lease) => (Outcome::Granted(lease.fence), Some(lease)),
        Claim::Replay(result) => (Outcome::Result(result.fence, result.spend.cost_micros), None),
        Claim::Busy { remaining } => (Outcome::Busy(remaining), None),
        Claim::Unknown { attempts } => (
            Outcome::Unknown(attempts.iter().map(|attempt| attempt.fence).collect()),
            None,
        ),
        Claim::DigestMismatch { .. } => (Outcome::Mismatch, None),
    }
}

fn expect(model: &mut Model, now: i64, act: Act, (fence, cost): (u32, i64)) -> Outcome {
    match act {
        Act::Renew => model.renew(now, fence),
        Act::Send => model.send(now, fence),
        Act::Settle => model.settle(now, fence, cost),
        Act::Release => model.release(fence),
        Act::Lose => model.lose(fence),
    }
}

async fn perform(store: &Store, act: Act, lease: &Lease, cost: i64) -> Outcome {
    let done = |result: Result<(), Error>| result.map(|()| Outcome::Done);
    let journal = &store.journal;
    let result = match act {
        Act::Renew => done(journal.renew(lease).await),
        Act::Release => done(journal.release(lease, "429").await),
        Act::Lose => done(journal.mark_unknown(lease, "connection reset").await),
        Act::Send => journal.mark_sent(lease).await.map(|clearance| match clearance {
            Clearance::Call => Outcome::Done,
            Clearance::Superseded(result) => Outcome::Result(result.fence, result.spend.cost_micros),
        }),
        Act::Settle => {
            let response = format!("answer of {cost}").into_bytes();
            let settlement = Settlement {
                response,
                spend: spend(cost),
            };
            journal
                .settle(lease, settlement)
                .await
                .map(|settled| match settled {
                    Settled::Committed => Outcome::Committed,
                    Settled::SpendOnly => Outcome::SpendOnly,
                })
        }
    };
    match result {
        Ok(outcome) => outcome,
        Err(Error::Fenced { .. }) => Outcome::Fenced,
        Err(Error::State { .. }) => Outcome::Disallowed,
        Err(error) => panic!("{act:?}: {error}"),
    }
}

async fn compare_ledger(store: &Store, workflow: &str, (keys, models): (&[EffectKey], &[Model])) {
    let now = store.clock.unix_ms();
    let scope = Scope::workflow("default", workflow);
    let filter = AttemptFilter {
        scope: scope.clone(),
        limit: 1000,
        ..AttemptFilter::default()
    };
    let records = store.journal.attempts(filter).await.unwrap();
    let mut totals = Totals::default();
    let mut listed = Vec::new();
    for (key, model) in keys.iter().zip(models) {
        for (fence, standing, spent) in model.ledger(now) {
            listed.push((
                key.clone(),
                fence,
                standing,
                spent.map(spend),
                model.committed() == Some(fence),
            ));
            let bound = super::cost(1000);
            match standing {
                State::Settled => add(&mut totals.settled, spend(spent.unwrap())),
                State::Unknown => add(&mut totals.unknown, bound),
                State::Reserved | State::Sent => add(&mut totals.open, bound),
                State::Released => totals.released += 1,
            }
        }
    }
    let found: Vec<_> = records
        .into_iter()
        .map(|r| (r.key, r.fence, r.state, r.spend, r.committed))
        .collect();
    assert_eq!(found, listed);
    assert_eq!(store.journal.totals(&scope).await.unwrap(), totals);
}

fn spend(cost_micros: i64) -> Spend {
    Spend {
        output_tokens: cost_micros.unsigned_abs(),
        cost_micros,
        ..Spend::default()
    }
}

fn add(tally: &mut Tally, spend: Spend) {
    tally.attempts += 1;
    tally.spend = tally.spend.plus(spend);
}

/// The lease's length in milliseconds, as the model counts it.
const LEASE_MS: i64 = 45_000;

#[test]
fn the_model_counts_the_lease_that_the_stores_are_opened_with() {
    assert_eq!(i64::try_from(LEASE.as_millis()), Ok(LEASE_MS));
}
