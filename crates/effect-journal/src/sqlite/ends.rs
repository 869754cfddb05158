//! What a holder does with its attempt: renew it, send it, end it.
//!
//! Ending does not ask for the lease. The lease decides who may call; what a call cost is true whoever holds it.

use rusqlite::{Transaction, params};

use super::rows::{self, Attempt, Effect, stored_tokens};
use super::thread::Fault;
use crate::digest::answer_checksum;
use crate::rules::{self, Event};
use crate::{Clearance, EffectKey, Error, Lease, Settled, Settlement, State};

/// Extends a lease from now.
pub(super) fn renew(transaction: &Transaction<'_>, now: i64, lease: &Lease) -> Result<(), Fault> {
    let (effect, attempt) = load(transaction, lease)?;
    refuse_fenced(lease, &effect)?;
    match attempt.state {
        State::Reserved | State::Sent => {}
        State::Settled | State::Released | State::Unknown => {
            return Err(disallowed(lease, attempt.state, "be renewed").into());
        }
    }
    transaction.execute(
        "UPDATE attempt SET lease_until_unix_ms = ?3 WHERE key = ?1 AND fence = ?2",
        params![lease.key.as_str(), lease.fence, now + attempt.lease_ms],
    )?;
    Ok(())
}

/// Records that the request is about to leave, unless another attempt's answer has become the result.
pub(super) fn mark_sent(transaction: &Transaction<'_>, now: i64, lease: &Lease) -> Result<Clearance, Fault> {
    let (effect, attempt) = load(transaction, lease)?;
    if let (State::Reserved | State::Released, Some(fence)) = (attempt.state, effect.committed_fence) {
        let committed = rows::committed(transaction, &lease.key, fence)?;
        if attempt.state == State::Reserved {
            let ended = (State::Released, Some(rules::SUPERSEDED));
            end(transaction, now, (&lease.key, lease.fence), ended)?;
        }
        return Ok(Clearance::Superseded(committed));
    }
    refuse_fenced(lease, &effect)?;
    follow(lease, attempt.state, Event::Send)?;
    transaction.execute(
        "UPDATE attempt SET state = 'sent', sent_unix_ms = ?3, lease_until_unix_ms = ?4
         WHERE key = ?1 AND fence = ?2",
        params![lease.key.as_str(), lease.fence, now, now + attempt.lease_ms],
    )?;
    Ok(Clearance::Call)
}

/// Records an answer and its spend, and makes it the result if the effect has none and none is on its way.
pub(super) fn settle(
    transaction: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    settlement: &Settlement,
) -> Result<Settled, Fault> {
    let (effect, attempt) = load(transaction, lease)?;
    let state = follow(lease, attempt.state, Event::Settle)?;
    if state == attempt.state {
        return Ok(outcome(effect.committed_fence == Some(lease.fence)));
    }
    let latest = latest_standing(transaction, now, lease, &effect)?;
    write_answer(transaction, now, lease, (&attempt, settlement))?;
    let commits = effect.committed_fence.is_none() && rules::may_commit(effect.fence == lease.fence, latest);
    if commits {
        commit(transaction, &lease.key, lease.fence)?;
    }
    Ok(outcome(commits))
}

/// Ends an attempt as released or unknown, for the reason that its owner gives.
pub(super) fn finish(
    transaction: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    (event, reason): (Event, &str),
) -> Result<(), Fault> {
    let (_, attempt) = load(transaction, lease)?;
    let state = follow(lease, attempt.state, event)?;
    if state != attempt.state {
        end(transaction, now, (&lease.key, lease.fence), (state, Some(reason)))?;
    }
    Ok(())
}

/// Writes that an attempt has ended without an answer.
pub(super) fn end(
    transaction: &Transaction<'_>,
    now: i64,
    (key, fence): (&EffectKey, u32),
    (state, reason): (State, Option<&str>),
) -> Result<(), Fault> {
    transaction.execute(
        "UPDATE attempt SET state = ?3, ended_unix_ms = ?4, reason = ?5 WHERE key = ?1 AND fence = ?2",
        params![key.as_str(), fence, state, now, reason],
    )?;
    Ok(())
}

/// Makes a settled attempt's answer the effect's result.
pub(super) fn commit(transaction: &Transaction<'_>, key: &EffectKey, fence: u32) -> Result<(), Fault> {
    transaction.execute(
        "UPDATE effect SET committed_fence = ?2 WHERE key = ?1",
        params![key.as_str(), fence],
    )?;
    Ok(())
}

fn outcome(committed: bool) -> Settled {
    if committed {
        Settled::Committed
    } else {
        Settled::SpendOnly
    }
}

fn load(transaction: &Transaction<'_>, lease: &Lease) -> Result<(Effect, Attempt), Fault> {
    let effect = rows::effect(transaction, &lease.key)?;
    let attempt = rows::attempt(transaction, &lease.key, lease.fence)?;
    let missing = || Error::NoAttempt {
        key: lease.key.clone(),
        fence: lease.fence,
    };
    Ok(effect.zip(attempt).ok_or_else(missing)?)
}

fn refuse_fenced(lease: &Lease, effect: &Effect) -> Result<(), Error> {
    if effect.fence == lease.fence {
        return Ok(());
    }
    Err(Error::Fenced {
        key: lease.key.clone(),
        fence: lease.fence,
        current: effect.fence,
    })
}

fn follow(lease: &Lease, state: State, event: Event) -> Result<State, Error> {
    rules::next(state, event).ok_or_else(|| disallowed(lease, state, event.operation()))
}

fn disallowed(lease: &Lease, state: State, operation: &'static str) -> Error {
    Error::State {
        key: lease.key.clone(),
        fence: lease.fence,
        state,
        operation,
    }
}

fn latest_standing(
    transaction: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    effect: &Effect,
) -> Result<State, Fault> {
    let latest = rows::attempt(transaction, &lease.key, effect.fence)?.ok_or_else(|| Error::Corrupt {
        key: lease.key.clone(),
        fence: effect.fence,
        what: "the latest attempt is missing",
    })?;
    Ok(rules::standing(latest.state, latest.expired(now)).0)
}

fn write_answer(
    transaction: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    (attempt, settlement): (&Attempt, &Settlement),
) -> Result<(), Fault> {
    let spend = attempt.class.recorded(settlement.spend);
    let checksum = answer_checksum(&lease.key, lease.fence, &spend, &settlement.response);
    transaction.execute(
        "UPDATE attempt SET state = 'settled', ended_unix_ms = ?3, spent_input_tokens = ?4,
            spent_cached_input_tokens = ?5, spent_output_tokens = ?6, spent_reasoning_tokens = ?7,
            spent_cost_micros = ?8, checksum = ?9, response = ?10
         WHERE key = ?1 AND fence = ?2",
        params![
            lease.key.as_str(),
            lease.fence,
            now,
            stored_tokens(spend.input_tokens),
            stored_tokens(spend.cached_input_tokens),
            stored_tokens(spend.output_tokens),
            stored_tokens(spend.reasoning_tokens),
            spend.cost_micros,
            checksum,
            settlement.response,
        ],
    )?;
    Ok(())
}
