//! The steps of a sequence: how they are chosen, and how a store performs them.

use effect_journal::{
    AccountClaim, Allowance, Claim, ClaimRequest, Clearance, Error, Feedback, HandOutcome, HandSettlement,
    Lease, LimitClaim, OnUnknown, Period, RateLimit, RequestDigest, Settled, Settlement, TenantBudget, Why,
};
use proptest::prelude::*;

use super::model::{Ask, Outcome};
use super::{CIRCUIT, Case, KEYS, spend};
use crate::behaviour::request;

/// One step of a sequence; `of` picks an attempt among those granted so far, counted from the latest.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Claim {
        key: usize,
        ask: Ask,
        park: bool,
    },
    LimitTenant {
        max: Option<i64>,
    },
    Wait {
        seconds: u64,
    },
    /// The store is dropped and opened again.
    Crash,
    Act {
        act: Act,
        of: usize,
    },
}

/// What is done with an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Renew,
    Send,
    Settle,
    Release { overloaded: bool },
    Lose { overloaded: bool },
    ByHand { billed: bool },
}

pub(super) fn sequence() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

fn step() -> impl Strategy<Value = Step> {
    let overloaded = || prop::bool::weighted(0.6);
    let act = prop_oneof![
        2 => Just(Act::Renew),
        10 => Just(Act::Send),
        4 => Just(Act::Settle),
        2 => overloaded().prop_map(|overloaded| Act::Release { overloaded }),
        2 => overloaded().prop_map(|overloaded| Act::Lose { overloaded }),
        2 => any::<bool>().prop_map(|billed| Act::ByHand { billed }),
    ];
    let seconds = prop_oneof![1 => Just(1_u64), 1 => Just(44), 4 => Just(45), 1 => Just(100)];
    let of = prop_oneof![4 => Just(0_usize), 3 => Just(1), 2 => 2..8_usize];
    let max = prop_oneof![1 => Just(None), 3 => (1..5_i64).prop_map(|calls| Some(calls * 900))];
    prop_oneof![
        12 => claim_step(),
        6 => seconds.prop_map(|seconds| Step::Wait { seconds }),
        22 => (act, of).prop_map(|(act, of)| Step::Act { act, of }),
        1 => max.prop_map(|max| Step::LimitTenant { max }),
        1 => Just(Step::Crash),
    ]
}

fn claim_step() -> impl Strategy<Value = Step> {
    // Mostly one key: the interesting states need several attempts at the same effect.
    let key = prop_oneof![3 => Just(0), 1 => 1..KEYS];
    let run_max = prop_oneof![3 => Just(None), 2 => (1..5_i64).prop_map(|calls| Some(calls * 1000))];
    let repeat = prop::bool::weighted(0.6);
    let choice = (
        prop::bool::weighted(0.97),
        repeat,
        run_max,
        prop::bool::weighted(0.5),
    );
    (key, choice, any::<bool>()).prop_map(|(key, (same_request, repeat, run_max, limited), park)| {
        let ask = Ask {
            same_request,
            repeat,
            run_max,
            limited,
        };
        Step::Claim { key, ask, park }
    })
}

/// Claims, and keeps the lease that is granted.
pub(super) async fn claim(case: &mut Case, key: usize, (ask, park): (Ask, bool)) -> Outcome {
    let request = claim_request(case, key, (ask, park));
    match case.journal.claim(request).await.unwrap() {
        Claim::Granted(lease) => {
            let fence = lease.fence;
            case.leases.push((key, lease));
            Outcome::Granted(fence)
        }
        Claim::Replay(result) => Outcome::Result(result.fence, result.spend.cost_micros),
        Claim::Busy { remaining } => Outcome::Busy(remaining),
        Claim::Unknown { attempts } => {
            Outcome::Unknown(attempts.iter().map(|attempt| attempt.fence).collect())
        }
        Claim::DigestMismatch { .. } => Outcome::Mismatch,
        Claim::OverBudget(over) => {
            Outcome::OverBudget(over.account.tenant_name().is_some(), over.used.cost_micros)
        }
        Claim::Limited(limited) => match limited.why {
            Why::InFlight => Outcome::InFlight,
            Why::CircuitOpen => Outcome::CircuitOpen,
            Why::Requests | Why::Tokens | Why::Blocked => panic!("{limited:?}"),
        },
    }
}

pub(super) async fn limit_tenant(case: &Case, max: Option<i64>) -> Outcome {
    let budget = TenantBudget {
        tenant: case.workflow.clone(),
        period: Period::Total,
        max: Allowance {
            cost_micros: max,
            tokens: None,
        },
    };
    case.journal.set_tenant_budget("ops", "", budget).await.unwrap();
    Outcome::Done
}

pub(super) async fn perform(case: &Case, act: Act, lease: &Lease, cost: i64) -> Outcome {
    let done = |result: Result<(), Error>| result.map(|()| Outcome::Done);
    let journal = &case.journal;
    let feedback = |overloaded| Feedback {
        overloaded,
        ..Feedback::default()
    };
    let result = match act {
        Act::Renew => done(journal.renew(lease).await),
        Act::Release { overloaded } => done(journal.release(lease, "503", feedback(overloaded)).await),
        Act::Lose { overloaded } => done(
            journal
                .mark_unknown(lease, "connection reset", feedback(overloaded))
                .await,
        ),
        Act::ByHand { billed } => done(by_hand(case, lease, billed.then_some(cost)).await),
        Act::Send => journal.mark_sent(lease).await.map(|clearance| match clearance {
            Clearance::Call => Outcome::Done,
            Clearance::Superseded(result) => Outcome::Result(result.fence, result.spend.cost_micros),
        }),
        Act::Settle => {
            let settlement = Settlement {
                response: format!("answer of {cost}").into_bytes(),
                spend: spend(cost),
            };
            let settled = journal.settle(lease, settlement, Feedback::default()).await;
            settled.map(|settled| match settled {
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

async fn by_hand(case: &Case, lease: &Lease, billed: Option<i64>) -> Result<(), Error> {
    let settlement = HandSettlement {
        outcome: billed.map_or(HandOutcome::NotBilled, |cost| HandOutcome::Billed(spend(cost))),
        actor: "ops".into(),
        reason: "the bill".into(),
    };
    case.journal
        .settle_by_hand(&lease.key, lease.fence, settlement)
        .await
}

fn claim_request(case: &Case, key: usize, (ask, park): (Ask, bool)) -> ClaimRequest {
    let on_unknown = match (ask.repeat, park) {
        (true, _) => OnUnknown::Repeat,
        (false, true) => OnUnknown::Park,
        (false, false) => OnUnknown::Fail,
    };
    let limit = || LimitClaim {
        name: case.workflow.clone(),
        rate: RateLimit {
            in_flight: Some(1),
            circuit: Some(CIRCUIT),
            ..RateLimit::default()
        },
        tokens: 10,
    };
    let run = AccountClaim {
        account: case.run(),
        max: ask.run_max.map(|max| Allowance {
            cost_micros: Some(max),
            tokens: None,
        }),
    };
    let tenant = AccountClaim {
        account: case.tenant(),
        max: None,
    };
    ClaimRequest {
        digest: RequestDigest::of(if ask.same_request { b"request" } else { b"another" }),
        on_unknown,
        tenant: Some(case.workflow.clone()),
        accounts: vec![run, tenant],
        limits: ask.limited.then(limit),
        ..request(&case.keys[key])
    }
}
