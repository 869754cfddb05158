//! Claiming: who may perform the effect, decided and recorded in one transaction.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::ledger;
use super::rows::{self, stored_tokens};
use super::thread::Fault;
use crate::rules;
use crate::{AttemptFilter, Claim, ClaimRequest, EffectKey, Error, Lease, OnUnknown, Scope, State};

/// Decides a claim at a moment of the store's clock; a grant lasts for the lease's length.
pub(super) fn claim(
    transaction: &Transaction<'_>,
    now: i64,
    length: Duration,
    request: &ClaimRequest,
) -> Result<Claim, Fault> {
    let Some(effect) = rows::effect(transaction, &request.key)? else {
        transaction.execute(
            "INSERT INTO effect (key, digest, fence) VALUES (?1, ?2, 1)",
            params![request.key.as_str(), request.digest.as_bytes()],
        )?;
        return grant(transaction, now, length, (request, 1));
    };
    if effect.digest != request.digest {
        return Ok(Claim::DigestMismatch {
            recorded: effect.digest,
        });
    }
    if let Some(fence) = effect.committed_fence {
        return Ok(Claim::Replay(rows::committed(transaction, &request.key, fence)?));
    }
    if let Some(remaining) = held_for(transaction, now, &request.key, effect.fence)? {
        return Ok(Claim::Busy { remaining });
    }
    if let Some(fence) = earliest_answer(transaction, &request.key)? {
        super::ends::commit(transaction, &request.key, fence)?;
        return Ok(Claim::Replay(rows::committed(transaction, &request.key, fence)?));
    }
    if request.on_unknown != OnUnknown::Repeat {
        let attempts = unknown_attempts(transaction, now, &request.key)?;
        if !attempts.is_empty() {
            return Ok(Claim::Unknown { attempts });
        }
    }
    let fence = effect.fence.saturating_add(1);
    transaction.execute(
        "UPDATE effect SET fence = ?2 WHERE key = ?1",
        params![request.key.as_str(), fence],
    )?;
    grant(transaction, now, length, (request, fence))
}

/// Returns for how long the latest attempt still holds the effect; one whose lease ran out is ended here.
fn held_for(
    transaction: &Transaction<'_>,
    now: i64,
    key: &EffectKey,
    fence: u32,
) -> Result<Option<Duration>, Fault> {
    let latest = rows::attempt(transaction, key, fence)?.ok_or_else(|| Error::Corrupt {
        key: key.clone(),
        fence,
        what: "the latest attempt is missing",
    })?;
    let (standing, reason) = rules::standing(latest.state, latest.expired(now));
    match standing {
        State::Reserved | State::Sent => {}
        State::Settled | State::Released | State::Unknown => {
            if reason.is_some() {
                super::ends::end(transaction, now, (key, fence), (standing, reason))?;
            }
            return Ok(None);
        }
    }
    let mut remaining_ms = latest.lease_until_unix_ms - now;
    if remaining_ms > latest.lease_ms {
        // The clock was set back. A holder that lives renews soon; one that died must not hold on until the
        // clock has caught up.
        remaining_ms = latest.lease_ms;
        transaction.execute(
            "UPDATE attempt SET lease_until_unix_ms = ?3 WHERE key = ?1 AND fence = ?2",
            params![key.as_str(), fence, now + remaining_ms],
        )?;
    }
    Ok(Some(Duration::from_millis(remaining_ms.unsigned_abs())))
}

/// Returns an attempt whose answer came late, while a later attempt was under way that then brought none.
fn earliest_answer(transaction: &Transaction<'_>, key: &EffectKey) -> Result<Option<u32>, Fault> {
    let fence = transaction
        .query_row(
            "SELECT fence FROM attempt WHERE key = ?1 AND state = 'settled' AND response IS NOT NULL
             ORDER BY fence LIMIT 1",
            [key.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(fence)
}

fn unknown_attempts(
    transaction: &Transaction<'_>,
    now: i64,
    key: &EffectKey,
) -> Result<Vec<crate::AttemptRecord>, Fault> {
    let filter = AttemptFilter {
        scope: Scope::key(key),
        state: Some(State::Unknown),
        ..AttemptFilter::default()
    };
    ledger::attempts(transaction, now, &filter)
}

fn grant(
    transaction: &Transaction<'_>,
    now: i64,
    length: Duration,
    (request, fence): (&ClaimRequest, u32),
) -> Result<Claim, Fault> {
    let lease_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    let bound = request.class.recorded(request.upper_bound);
    transaction.execute(
        "INSERT INTO attempt (key, fence, state, class, owner, model, provider, bound_input_tokens,
            bound_cached_input_tokens, bound_output_tokens, bound_reasoning_tokens, bound_cost_micros,
            claimed_unix_ms, lease_ms, lease_until_unix_ms)
         VALUES (?1, ?2, 'reserved', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            request.key.as_str(),
            fence,
            request.class,
            request.owner,
            request.model,
            request.provider,
            stored_tokens(bound.input_tokens),
            stored_tokens(bound.cached_input_tokens),
            stored_tokens(bound.output_tokens),
            stored_tokens(bound.reasoning_tokens),
            bound.cost_micros,
            now,
            lease_ms,
            now.saturating_add(lease_ms),
        ],
    )?;
    Ok(Claim::Granted(Lease {
        key: request.key.clone(),
        fence,
        length,
    }))
}
