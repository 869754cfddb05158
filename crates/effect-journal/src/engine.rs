//! The decisions of the journal, without a store.
//!
//! Who may call, which answer becomes the result, what a budget and a limit still hold: all of that is decided here,
//! by a function over rows in memory. A store only loads the rows, calls [`apply`], writes what was marked, and
//! commits. Decisions spread over the SQL of each store would drift apart, and could be tested only through it.
//!
//! How a store performs a batch of operations, in one transaction:
//!
//! 1. Read the clock once; load what all the operations' [`Op::key`]s have: effect, attempts, ticket. A store with
//!    several writers takes its lock on an effect here, and holds nobody else's attempts without that lock.
//! 2. Ask [`needs`] of the batch, and load it: counters, the budgets of tenants, limits. After the limits are locked,
//!    count what is in flight for each: attempts that are reserved or sent with a live lease.
//! 3. [`apply`] each operation in its order. [`Step::Sweep`] asks for expired reservations of some counters: load
//!    those attempts (state reserved, lease over, one of the counters among their accounts) and the counters that
//!    they count in, add the names to [`View::swept`], and apply the operation again.
//! 4. Write every row that is not [`Mark::Clean`], and the notes.
//! 5. For each [`Outcome::Answer`] load the stored response, and turn it into what the caller gets by [`answer`].
//!
//! What is missing from the store is missing from the view: no row means never claimed, nothing used, nothing
//! granted. An operation that returns an error has changed nothing, so the rest of its batch stands.

mod accounts;
mod claim;
mod ends;
mod feedback;
mod hand;
mod limits;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::limits::{Limit, Ticket, lapsed_before};
#[cfg(test)]
use self::view::Table;
pub(crate) use self::view::{Attempt, BudgetRow, Counted, Effect, Mark, Response, StoredAnswer, View};
use crate::digest::answer_checksum;
use crate::rules::Event;
use crate::{
    Claim, ClaimRequest, Clearance, Committed, EffectKey, Error, Feedback, HandSettlement, Lease, Settled,
    Settlement, TenantBudget,
};

/// What the engine must know beside the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    /// How long a lease lasts.
    pub(crate) lease: std::time::Duration,
}

/// One step of a caller.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// [`crate::Journal::claim`].
    Claim(Box<ClaimRequest>),
    /// [`crate::Journal::renew`].
    Renew(Lease),
    /// [`crate::Journal::mark_sent`].
    MarkSent(Lease),
    /// [`crate::Journal::settle`].
    Settle(Lease, Settlement, Feedback),
    /// [`crate::Journal::release`] and [`crate::Journal::mark_unknown`], with the reason.
    End(Lease, Ending, String, Feedback),
    /// [`crate::Journal::settle_by_hand`].
    SettleByHand(EffectKey, u32, HandSettlement),
    /// [`crate::Journal::set_tenant_budget`], with the actor and the reason.
    SetTenantBudget {
        /// What is set.
        budget: TenantBudget,
        /// Who sets it.
        actor: String,
        /// Why.
        reason: String,
    },
}

/// How an attempt ends without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody bills it.
    Released,
    /// The outcome could not be learned.
    Unknown,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Of a claim, unless the answer has to be loaded.
    Claim(Claim),
    /// Of a mark, unless the answer has to be loaded.
    Cleared,
    /// Of an answer.
    Settled(Settled),
    /// Of all else.
    Done,
    /// The effect's result is to be loaded and returned.
    Answer(EffectKey, u32, Returned),
}

/// How a result is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    /// As [`Claim::Replay`].
    Replay,
    /// As [`Clearance::Superseded`].
    Superseded,
}

/// What [`apply`] comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The operation is done.
    Done(Outcome),
    /// The expired reservations of these counters have to be in the view first; then the operation is applied again.
    Sweep(BTreeSet<String>),
}

/// The rows that an operation looks at, beside those of its key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Counters of accounts.
    pub(crate) counters: BTreeSet<String>,
    /// Tenants whose budgets are looked at.
    pub(crate) tenants: BTreeSet<String>,
    /// Limits, each with what is in flight.
    pub(crate) limits: BTreeSet<String>,
}

impl Op {
    /// Returns the effect that the operation is about.
    pub(crate) fn key(&self) -> Option<&EffectKey> {
        match self {
            Self::Claim(request) => Some(&request.key),
            Self::Renew(lease) | Self::MarkSent(lease) | Self::Settle(lease, ..) | Self::End(lease, ..) => {
                Some(&lease.key)
            }
            Self::SettleByHand(key, ..) => Some(key),
            Self::SetTenantBudget { .. } => None,
        }
    }

    /// Returns what is being done, as an error says it: "the journal cannot ...".
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Claim(_) => "record a claim",
            Self::Renew(_) => "renew a lease",
            Self::MarkSent(_) => "mark an attempt as sent",
            Self::Settle(..) => "record an answer",
            Self::End(_, Ending::Released, ..) => "release an attempt",
            Self::End(_, Ending::Unknown, ..) => "mark an attempt as unknown",
            Self::SettleByHand(..) => "settle an attempt by hand",
            Self::SetTenantBudget { .. } => "set a tenant's budget",
        }
    }
}

impl Ending {
    fn event(self) -> Event {
        match self {
            Self::Released => Event::Release,
            Self::Unknown => Event::Lose,
        }
    }
}

/// Says which rows a batch of operations looks at, given those of its keys.
///
/// Marking an attempt as sent and renewing it, which is half of all operations, needs nothing: no counter that other
/// workers wait for is locked. Only where a batch has several operations on one key can an earlier one change what a
/// later one comes to; then all that the key can need is loaded.
pub(crate) fn needs(ops: &[Op], view: &View, now_ms: i64) -> Needs {
    let mut seen = BTreeMap::<&EffectKey, u32>::new();
    for key in ops.iter().filter_map(Op::key) {
        *seen.entry(key).or_default() += 1;
    }
    let mut needs = Needs::default();
    for (key, _) in seen.into_iter().filter(|(_, times)| *times > 1) {
        ends::needs_of_all(&mut needs, key, view);
    }
    for op in ops {
        match op {
            Op::Claim(request) => claim::needs(&mut needs, request, view, now_ms),
            Op::Renew(_) => {}
            Op::MarkSent(lease) => ends::needs_of_mark(&mut needs, lease, view),
            Op::Settle(lease, ..) | Op::End(lease, ..) => {
                ends::needs(&mut needs, &lease.key, lease.fence, view);
            }
            Op::SettleByHand(key, fence, _) => ends::needs(&mut needs, key, *fence, view),
            Op::SetTenantBudget { budget, .. } => {
                needs.tenants.insert(budget.tenant.clone());
            }
        }
    }
    needs
}

/// Decides an operation and changes the view accordingly.
///
/// # Errors
///
/// What the trait's method returns for it; the view is then as it was.
pub(crate) fn apply(op: &Op, view: &mut View, now_ms: i64, config: Config) -> Result<Step, Error> {
    match op {
        Op::Claim(request) => claim::claim(view, now_ms, config, request),
        Op::Renew(lease) => ends::renew(view, now_ms, lease).map(Step::Done),
        Op::MarkSent(lease) => ends::mark_sent(view, now_ms, lease).map(Step::Done),
        Op::Settle(lease, settlement, feedback) => {
            ends::settle(view, now_ms, lease, (settlement, feedback)).map(Step::Done)
        }
        Op::End(lease, ending, reason, feedback) => {
            ends::finish(view, now_ms, lease, (*ending, reason, feedback)).map(Step::Done)
        }
        Op::SettleByHand(key, fence, settlement) => {
            hand::settle(view, now_ms, (key, *fence), settlement).map(Step::Done)
        }
        Op::SetTenantBudget {
            budget,
            actor,
            reason,
        } => hand::set_budget(view, now_ms, budget, (actor, reason)).map(Step::Done),
    }
}

/// Makes the result of an effect from what is stored of it.
///
/// # Errors
///
/// [`Error::Corrupt`] if it is missing or does not match its checksum, [`Error::Pruned`] if its response is gone.
pub(crate) fn answer(key: &EffectKey, fence: u32, stored: Option<StoredAnswer>) -> Result<Committed, Error> {
    let corrupt = |what| Error::Corrupt {
        key: key.clone(),
        fence,
        what,
    };
    let Some(StoredAnswer {
        spend: Some(spend),
        checksum,
        response,
    }) = stored
    else {
        return Err(corrupt("the committed attempt is not settled"));
    };
    let response = response.ok_or_else(|| Error::Pruned {
        key: key.clone(),
        fence,
    })?;
    if checksum != Some(answer_checksum(key, fence, &spend, &response)) {
        return Err(corrupt("the answer does not match its checksum"));
    }
    Ok(Committed {
        fence,
        response,
        spend,
    })
}

/// Turns an outcome into what [`crate::Journal::claim`] returns; the result is there if the outcome asked for it.
pub(crate) fn claimed(outcome: Outcome, result: Option<Committed>) -> Option<Claim> {
    match (outcome, result) {
        (Outcome::Claim(claim), _) => Some(claim),
        (Outcome::Answer(_, _, Returned::Replay), Some(result)) => Some(Claim::Replay(result)),
        (Outcome::Answer(..) | Outcome::Cleared | Outcome::Settled(_) | Outcome::Done, _) => None,
    }
}

/// Turns an outcome into what [`crate::Journal::mark_sent`] returns; the result is there if the outcome asked for it.
pub(crate) fn cleared(outcome: &Outcome, result: Option<Committed>) -> Option<Clearance> {
    match (outcome, result) {
        (Outcome::Cleared, _) => Some(Clearance::Call),
        (Outcome::Answer(_, _, Returned::Superseded), Some(result)) => Some(Clearance::Superseded(result)),
        (Outcome::Answer(..) | Outcome::Claim(_) | Outcome::Settled(_) | Outcome::Done, _) => None,
    }
}
