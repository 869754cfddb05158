//! Reading the ledger, and pruning what is no longer needed of it.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Transaction, named_params, params};

use super::rows::{self, tokens};
use super::thread::Fault;
use crate::{
    Account, Amount, AttemptFilter, AttemptRecord, Note, NoteFilter, Period, Scope, Spend, State, Tally,
    TenantBudget, TenantStanding, Totals, engine,
};

/// How many responses one transaction prunes, so that a long prune does not hold up claims.
pub(super) const PRUNE_BATCH: usize = 200;

/// How much [`check`] asks for: a claim needs a row, at times a split of some index pages, and a limit's standing.
const ROOM_BYTES: i64 = 48 * 1024;

// Must say the same as `rules::standing`; the behaviour suite compares the two.
pub(super) const STANDING: &str = "CASE
    WHEN state = 'reserved' AND lease_until_unix_ms <= :now THEN 'released'
    WHEN state = 'sent' AND lease_until_unix_ms <= :now THEN 'unknown'
    ELSE state END";

// A spend exists exactly where an attempt is settled, so the bound stands in for all others.
pub(super) const SUMS: &str = "count(*) AS attempts,
    sum(coalesce(spent_input_tokens, bound_input_tokens)) AS input_tokens,
    sum(coalesce(spent_cached_input_tokens, bound_cached_input_tokens)) AS cached_input_tokens,
    sum(coalesce(spent_cache_write_input_tokens, bound_cache_write_input_tokens)) AS cache_write_input_tokens,
    sum(coalesce(spent_output_tokens, bound_output_tokens)) AS output_tokens,
    sum(coalesce(spent_reasoning_tokens, bound_reasoning_tokens)) AS reasoning_tokens,
    sum(coalesce(spent_cost_micros, bound_cost_micros)) AS cost_micros";

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
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT attempt.*, {STANDING} AS standing, effect.digest, effect.committed_fence
         FROM attempt JOIN effect USING (key)
         WHERE attempt.key >= :start AND attempt.key < :end
           AND (attempt.key > :after_key OR attempt.fence > :after_fence)
           AND (:state IS NULL OR standing = :state)
           AND (:tenant IS NULL OR tenant = :tenant)
           AND (:model IS NULL OR model = :model)
           AND (:provider IS NULL OR provider = :provider)
           AND (:since IS NULL OR claimed_unix_ms >= :since)
           AND (:until IS NULL OR claimed_unix_ms < :until)
         ORDER BY attempt.key, attempt.fence LIMIT :limit"
    ))?;
    let parameters = named_params! {
        ":now": now,
        ":start": start,
        ":end": end,
        ":after_key": after_key,
        ":after_fence": after_fence,
        ":state": filter.state,
        ":tenant": filter.tenant,
        ":model": filter.model,
        ":provider": filter.provider,
        ":since": filter.since_unix_ms,
        ":until": filter.until_unix_ms,
        ":limit": filter.limit.min(AttemptFilter::MAX_LIMIT),
    };
    let page = statement.query_map(parameters, rows::record)?;
    Ok(page.collect::<rusqlite::Result<_>>()?)
}

/// Sums the attempts of a scope.
pub(super) fn totals(transaction: &Transaction<'_>, now: i64, scope: &Scope) -> Result<Totals, Fault> {
    let (start, end) = bounds(scope);
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {STANDING} AS standing, {SUMS} FROM attempt
         WHERE key >= :start AND key < :end GROUP BY standing"
    ))?;
    let parameters = named_params! { ":now": now, ":start": start, ":end": end };
    let mut totals = Totals::default();
    for sum in statement.query_map(parameters, tally)? {
        let (standing, tally) = sum?;
        totals.add(standing, tally);
    }
    Ok(totals)
}

/// Reads a sum with the standing of what it sums.
pub(super) fn tally(row: &rusqlite::Row<'_>) -> rusqlite::Result<(State, Tally)> {
    let spend = Spend {
        input_tokens: tokens(row, "input_tokens")?,
        cached_input_tokens: tokens(row, "cached_input_tokens")?,
        cache_write_input_tokens: tokens(row, "cache_write_input_tokens")?,
        output_tokens: tokens(row, "output_tokens")?,
        reasoning_tokens: tokens(row, "reasoning_tokens")?,
        cost_micros: row.get("cost_micros")?,
    };
    let attempts = tokens(row, "attempts")?;
    Ok((row.get("standing")?, Tally { attempts, spend }))
}

/// Lists one page of notes.
pub(super) fn notes(transaction: &Transaction<'_>, filter: &NoteFilter) -> Result<Vec<Note>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT * FROM note
         WHERE (:action IS NULL OR action = :action) AND (:key IS NULL OR key = :key)
           AND (:actor IS NULL OR actor = :actor) AND (:before IS NULL OR id < :before)
         ORDER BY id DESC LIMIT :limit",
    )?;
    let parameters = named_params! {
        ":action": filter.action.map(crate::NoteAction::as_str),
        ":key": filter.key.as_ref().map(crate::EffectKey::as_str),
        ":actor": filter.actor,
        ":before": filter.before_id,
        ":limit": filter.limit.min(NoteFilter::MAX_LIMIT),
    };
    let page = statement.query_map(parameters, rows::note)?;
    Ok(page.collect::<rusqlite::Result<_>>()?)
}

/// Lists the budgets of all tenants with what is used of them.
pub(super) fn tenant_budgets(transaction: &Transaction<'_>, now: i64) -> Result<Vec<TenantStanding>, Fault> {
    let mut statement = transaction.prepare_cached("SELECT * FROM tenant_budget ORDER BY tenant, period")?;
    let budgets = statement.query_map([], rows::budget)?;
    let mut standings = Vec::new();
    for budget in budgets {
        let ((tenant, period), row): ((String, Period), engine::BudgetRow) = budget?;
        let used = match Account::tenant(&tenant) {
            Ok(account) => used(transaction, &account.counter(period, now))?,
            // No such name can have been stored.
            Err(_) => Amount::default(),
        };
        standings.push(TenantStanding {
            budget: TenantBudget {
                tenant,
                period,
                max: row.max,
            },
            used,
            resets_unix_ms: period.ends_unix_ms(now),
            changed_unix_ms: row.changed_unix_ms,
            changed_by: row.changed_by,
        });
    }
    Ok(standings)
}

/// Returns what an account uses, over all time.
pub(super) fn account(transaction: &Transaction<'_>, now: i64, account: &Account) -> Result<Amount, Fault> {
    used(transaction, &account.counter(Period::Total, now))
}

/// Deletes one batch of the responses that were settled before a moment, and returns how many.
pub(super) fn prune_batch(transaction: &Transaction<'_>, now: i64, age_ms: i64) -> Result<usize, Fault> {
    let pruned = transaction.execute(
        "UPDATE attempt SET response = NULL WHERE rowid IN (
            SELECT rowid FROM attempt WHERE response IS NOT NULL AND ended_unix_ms < ?1
            ORDER BY ended_unix_ms LIMIT ?2)",
        params![
            now.saturating_sub(age_ms),
            i64::try_from(PRUNE_BATCH).unwrap_or(i64::MAX)
        ],
    )?;
    transaction.execute(
        "DELETE FROM ticket WHERE bucket < ?1",
        [engine::lapsed_before(now)],
    )?;
    Ok(pruned)
}

/// Writes and deletes as much as a claim can need.
pub(super) fn check(transaction: &Transaction<'_>) -> Result<(), Fault> {
    transaction.execute("INSERT INTO probe (room) VALUES (zeroblob(?1))", [ROOM_BYTES])?;
    transaction.execute("DELETE FROM probe", [])?;
    Ok(())
}

/// Returns the range of keys of a scope, the end as a value that SQLite compares with.
pub(super) fn bounds(scope: &Scope) -> (String, Value) {
    let (start, end) = scope.range();
    // SQLite sorts every blob after every text, so an empty blob is an end beyond all keys that the index can use.
    (start, end.map_or(Value::Blob(Vec::new()), Value::Text))
}

fn used(transaction: &Transaction<'_>, counter: &str) -> Result<Amount, Fault> {
    let mut statement =
        transaction.prepare_cached("SELECT cost_micros, tokens FROM account WHERE name = ?1")?;
    let amount = statement.query_row([counter], rows::amount).optional()?;
    Ok(amount.unwrap_or_default())
}
