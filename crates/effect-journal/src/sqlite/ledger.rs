//! Reading the ledger, and pruning what is no longer needed of it.

use rusqlite::types::Value;
use rusqlite::{Transaction, params};

use super::rows::{self, tokens};
use super::thread::Fault;
use crate::{AttemptFilter, AttemptRecord, Scope, Spend, State, Tally, Totals};

/// How many responses one transaction prunes, so that a long prune does not hold up claims.
pub(super) const PRUNE_BATCH: usize = 200;

/// How much [`check`] asks for: a claim needs a row and, at times, a split of three index pages.
const ROOM_BYTES: i64 = 16 * 1024;

// Must say the same as `rules::standing`; the behaviour suite compares the two.
const STANDING: &str = "CASE
    WHEN state = 'reserved' AND lease_until_unix_ms <= :now THEN 'released'
    WHEN state = 'sent' AND lease_until_unix_ms <= :now THEN 'unknown'
    ELSE state END";

/// Lists one page of attempts.
pub(super) fn attempts(
    transaction: &Transaction<'_>,
    now: i64,
    filter: &AttemptFilter,
) -> Result<Vec<AttemptRecord>, Fault> {
    let (mut start, end) = bounds(&filter.scope);
    let (after_key, after_fence) = match &filter.after {
        Some((key, fence)) => (key.to_string(), *fence),
        None => (String::new(), 0),
    };
    // The index is entered at the page's first key instead of at the scope's.
    start = start.max(after_key.clone());
    let mut statement = transaction.prepare(&format!(
        "SELECT attempt.*, {STANDING} AS standing, effect.digest, effect.committed_fence
         FROM attempt JOIN effect USING (key)
         WHERE attempt.key >= :start AND attempt.key < :end
           AND (attempt.key > :after_key OR attempt.fence > :after_fence)
           AND (:state IS NULL OR standing = :state)
         ORDER BY attempt.key, attempt.fence LIMIT :limit"
    ))?;
    let parameters = rusqlite::named_params! {
        ":now": now,
        ":start": start,
        ":end": end,
        ":after_key": after_key,
        ":after_fence": after_fence,
        ":state": filter.state,
        ":limit": filter.limit.min(AttemptFilter::MAX_LIMIT),
    };
    let page = statement.query_map(parameters, rows::record)?;
    Ok(page.collect::<rusqlite::Result<_>>()?)
}

/// Sums the attempts of a scope.
pub(super) fn totals(transaction: &Transaction<'_>, now: i64, scope: &Scope) -> Result<Totals, Fault> {
    let (start, end) = bounds(scope);
    // A spend exists exactly where an attempt is settled, so the bound stands in for all others.
    let mut statement = transaction.prepare(&format!(
        "SELECT {STANDING} AS standing, count(*) AS attempts,
            sum(coalesce(spent_input_tokens, bound_input_tokens)) AS input_tokens,
            sum(coalesce(spent_cached_input_tokens, bound_cached_input_tokens)) AS cached_input_tokens,
            sum(coalesce(spent_output_tokens, bound_output_tokens)) AS output_tokens,
            sum(coalesce(spent_reasoning_tokens, bound_reasoning_tokens)) AS reasoning_tokens,
            sum(coalesce(spent_cost_micros, bound_cost_micros)) AS cost_micros
         FROM attempt WHERE key >= :start AND key < :end GROUP BY standing"
    ))?;
    let parameters = rusqlite::named_params! { ":now": now, ":start": start, ":end": end };
    let sums = statement.query_map(parameters, |row| {
        let spend = Spend {
            input_tokens: tokens(row, "input_tokens")?,
            cached_input_tokens: tokens(row, "cached_input_tokens")?,
            output_tokens: tokens(row, "output_tokens")?,
            reasoning_tokens: tokens(row, "reasoning_tokens")?,
            cost_micros: row.get("cost_micros")?,
        };
        Ok((
            row.get::<_, State>("standing")?,
            Tally {
                attempts: tokens(row, "attempts")?,
                spend,
            },
        ))
    })?;
    let mut totals = Totals::default();
    for sum in sums {
        let (standing, tally) = sum?;
        match standing {
            State::Settled => totals.settled = tally,
            State::Unknown => totals.unknown = tally,
            State::Released => totals.released = tally.attempts,
            State::Reserved | State::Sent => {
                totals.open.attempts += tally.attempts;
                totals.open.spend = totals.open.spend.plus(tally.spend);
            }
        }
    }
    Ok(totals)
}

/// Deletes one batch of the responses that were settled before a moment, and returns how many.
pub(super) fn prune_batch(transaction: &Transaction<'_>, before_unix_ms: i64) -> Result<usize, Fault> {
    let pruned = transaction.execute(
        "UPDATE attempt SET response = NULL WHERE rowid IN (
            SELECT rowid FROM attempt WHERE response IS NOT NULL AND ended_unix_ms < ?1
            ORDER BY ended_unix_ms LIMIT ?2)",
        params![before_unix_ms, i64::try_from(PRUNE_BATCH).unwrap_or(i64::MAX)],
    )?;
    Ok(pruned)
}

/// Writes and deletes as much as a claim can need.
pub(super) fn check(transaction: &Transaction<'_>) -> Result<(), Fault> {
    transaction.execute("INSERT INTO probe (room) VALUES (zeroblob(?1))", [ROOM_BYTES])?;
    transaction.execute("DELETE FROM probe", [])?;
    Ok(())
}

fn bounds(scope: &Scope) -> (String, Value) {
    let (start, end) = scope.range();
    // SQLite sorts every blob after every text, so an empty blob is an end beyond all keys that the index can use.
    (start, end.map_or(Value::Blob(Vec::new()), Value::Text))
}
