//! Random sequences of steps, compared with a model that has no store.
//!
//! Each case works on keys, budgets and a limit of its own, so that one store serves them all. In the middle of a
//! sequence the store is dropped and opened again, as by a process that died and came back: whatever was answered
//! before has to hold after. What failed once is kept in `sequences.seeds` and tried first from then on.

mod model;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use effect_journal::{
    Account, AttemptFilter, Circuit, Clock as _, EffectKey, Journal, Lease, NoteFilter, Scope, Spend, State,
    Tally, Totals,
};
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use self::model::{Model, Outcome};
use self::steps::{Act, Step};
use super::{LEASE, Store};

/// The lease's length in milliseconds, as the model counts it.
const LEASE_MS: i64 = 45_000;

/// What every call reserves, in millionths.
const BOUND: i64 = 1000;

/// The circuit of a case's limit.
const CIRCUIT: Circuit = Circuit {
    failures: 2,
    open_seconds: 60,
};

const KEYS: usize = 2;

const SEEDS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/store/behaviour/sequences.seeds"
);

/// What a case works on.
struct Case {
    journal: Arc<dyn Journal>,
    workflow: String,
    keys: Vec<EffectKey>,
    model: Model,
    /// Every lease that was granted, with the number of its key.
    leases: Vec<(usize, Lease)>,
}

pub(crate) async fn any_sequence_agrees_with_the_model(store: Store) {
    let store = Arc::new(store);
    let runtime = tokio::runtime::Handle::current();
    let cases = AtomicU32::new(0);
    // Proptest is synchronous, so it runs beside the runtime and hands each case back to it.
    tokio::task::spawn_blocking(move || {
        let config = Config {
            cases: 64,
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(SEEDS))),
            ..Config::default()
        };
        TestRunner::new(config)
            .run(&steps::sequence(), |steps| {
                let case = cases.fetch_add(1, Ordering::Relaxed);
                runtime.block_on(agree(&store, case, &steps));
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
}

async fn agree(store: &Store, case: u32, steps: &[Step]) {
    let workflow = format!("case-{case}");
    let key = |number| EffectKey::new("default", &workflow, "run", &format!("call/{number}")).unwrap();
    let mut case = Case {
        journal: store.journal.clone(),
        keys: (0..KEYS).map(key).collect(),
        workflow,
        model: Model::of(KEYS),
        leases: Vec::new(),
    };
    let mut results = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        let now = store.clock.unix_ms();
        let (expected, got) = match step {
            Step::Wait { seconds } => {
                store.clock.advance(Duration::from_secs(*seconds));
                continue;
            }
            Step::Crash => {
                case.journal = store.again().await;
                (Outcome::Done, Outcome::Done)
            }
            Step::LimitTenant { max } => (
                case.model.limit_tenant(*max),
                steps::limit_tenant(&case, *max).await,
            ),
            Step::Claim { key, ask, park } => {
                let expected = case.model.claim(now, *key, *ask);
                (expected, steps::claim(&mut case, *key, (*ask, *park)).await)
            }
            Step::Act { act, of } => {
                let Some((key, lease)) = pick(&case.leases, *of) else {
                    continue;
                };
                let cost = i64::try_from(number).unwrap();
                let expected = expect(&mut case.model, now, *act, ((key, lease.fence), cost));
                (expected, steps::perform(&case, *act, &lease, cost).await)
            }
        };
        assert_eq!(got, expected, "step {number}: {step:?} of {steps:?}");
        compare_ledger(store, &case).await;
        for key in 0..KEYS {
            if let Some(result) = case.model.result(key) {
                let first = results.entry(key).or_insert(result);
                assert_eq!(*first, result, "the result of {} changed", case.keys[key]);
            }
        }
    }
    compare_notes(&case).await;
}

/// Picks an attempt among those granted so far, counted from the latest.
fn pick(leases: &[(usize, Lease)], of: usize) -> Option<(usize, Lease)> {
    (!leases.is_empty()).then(|| leases[leases.len() - 1 - of % leases.len()].clone())
}

fn expect(model: &mut Model, now: i64, act: Act, (place, cost): ((usize, u32), i64)) -> Outcome {
    match act {
        Act::Renew => model.renew(now, place),
        Act::Send => model.send(now, place),
        Act::Settle => model.settle(now, place, cost),
        Act::Release { overloaded } => model.release(now, place, overloaded),
        Act::Lose { overloaded } => model.lose(now, place, overloaded),
        Act::ByHand { billed } => model.settle_by_hand(now, place, billed.then_some(cost)),
    }
}

async fn compare_ledger(store: &Store, case: &Case) {
    let now = store.clock.unix_ms();
    let scope = Scope::workflow("default", &case.workflow);
    let filter = AttemptFilter {
        scope: scope.clone(),
        limit: 1000,
        ..AttemptFilter::default()
    };
    let records = case.journal.attempts(filter).await.unwrap();
    let mut totals = Totals::default();
    let mut listed = Vec::new();
    for (number, key) in case.keys.iter().enumerate() {
        for (fence, standing, spent, by_hand) in case.model.ledger(number, now) {
            let committed = case.model.committed(number) == Some(fence);
            listed.push((
                key.clone(),
                fence,
                standing,
                (spent.map(spend), committed, by_hand),
            ));
            let bound = super::cost(BOUND);
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
        .map(|r| (r.key, r.fence, r.state, (r.spend, r.committed, r.by_hand)))
        .collect();
    assert_eq!(found, listed);
    assert_eq!(case.journal.totals(&scope).await.unwrap(), totals);
    for account in [case.run(), case.tenant()] {
        let used = case.journal.used(&account).await.unwrap();
        assert_eq!(used.cost_micros, case.model.used(), "{account}");
    }
}

async fn compare_notes(case: &Case) {
    let filter = NoteFilter {
        actor: None,
        limit: NoteFilter::MAX_LIMIT,
        ..NoteFilter::default()
    };
    let notes = case.journal.notes(filter).await.unwrap();
    let tenant = format!("{}@", case.tenant());
    let run = format!("default/{}/", case.workflow);
    let own = notes
        .iter()
        .filter(|note| note.subject.starts_with(&tenant) || note.subject.starts_with(&run))
        .count();
    assert_eq!(own, case.model.notes());
}

impl Case {
    fn run(&self) -> Account {
        Account::run("default", &self.workflow, "run").unwrap()
    }

    fn tenant(&self) -> Account {
        Account::tenant(&self.workflow).unwrap()
    }
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

#[test]
fn the_model_counts_the_lease_that_the_stores_are_opened_with() {
    assert_eq!(i64::try_from(LEASE.as_millis()), Ok(LEASE_MS));
}
