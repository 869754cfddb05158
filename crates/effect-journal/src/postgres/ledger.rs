//! Reading the ledger, and pruning what is no longer needed of it.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::fault::Fault;
use super::rows::{self, ATTEMPT, BUDGET, Columns, NOTE};
use crate::{
    Account, Amount, AttemptFilter, AttemptRecord, EffectKey, Note, NoteAction, NoteFilter, Period, Scope,
    Spend, State, Tally, TenantBudget, TenantStanding, Totals, engine,
};

/// How many responses one transaction prunes, so that a long prune does not hold up claims.
pub(super) const PRUNE_BATCH: u64 = 200;

/// Where an attempt stands at the moment `$1`. Must say the same as `rules::standing`; the behaviour suite compares.
pub(super) const STANDING: &str = "CASE
    WHEN a.state = 'reserved' AND a.lease_until_unix_ms <= $1 THEN 'released'
    WHEN a.state = 'sent' AND a.lease_until_unix_ms <= $1 THEN 'unknown'
    ELSE a.state END";

/// What [`tally`] reads: sums, no larger than what can be returned.
// A spend exists exactly where an attempt is settled, so the bound stands in for all others.
pub(super) const SUMS: &str = "count(*),
    least(sum(coalesce(a.spent_input_tokens, a.bound_input_tokens)), 9223372036854775807)::bigint,
    least(sum(coalesce(a.spent_cached_input_tokens, a.bound_cached_input_tokens)), 9223372036854775807)::bigint,
    least(sum(coalesce(a.spent_cache_write_input_tokens, a.bound_cache_write_input_tokens)), 9223372036854775807)::bigint,
    least(sum(coalesce(a.spent_output_tokens, a.bound_output_tokens)), 9223372036854775807)::bigint,
    least(sum(coalesce(a.spent_reasoning_tokens, a.bound_reasoning_tokens)), 9223372036854775807)::bigint,
    least(sum(coalesce(a.spent_cost_micros, a.bound_cost_micros)), 9223372036854775807)::bigint";

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Returns the server's time, in milliseconds since 1970.
pub(super) async fn now(client: &Client) -> Result<i64, Fault> {
    let row = client
        .query_one(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        )
        .await?;
    Columns::of(&row).take()
}

/// Lists one page of attempts.
pub(super) async fn attempts(
    client: &Client,
    now: i64,
    filter: &AttemptFilter,
) -> Result<Vec<AttemptRecord>, Fault> {
    let (mut start, end) = bounds(&filter.scope);
    let (after_key, after_fence) = match &filter.after {
        Some((key, fence)) => (key.to_string(), i64::from(*fence)),
        None => (String::new(), 0),
    };
    // The index is entered at the page's first key instead of at the scope's.
    start = start.max(after_key.clone());
    let limit = i64::from(filter.limit.min(AttemptFilter::MAX_LIMIT));
    let state = filter.state.map(State::as_str);
    let sql = format!(
        "SELECT {ATTEMPT}, {STANDING}, e.digest, e.committed_fence
         FROM attempt a JOIN effect e ON e.key = a.key
         WHERE a.key >= $2 AND ($3::text IS NULL OR a.key < $3) AND (a.key > $4 OR a.fence > $5)
           AND ($6::text IS NULL OR {STANDING} = $6)
           AND ($7::text IS NULL OR a.tenant = $7)
           AND ($8::text IS NULL OR a.model = $8)
           AND ($9::text IS NULL OR a.provider = $9)
           AND ($10::bigint IS NULL OR a.claimed_unix_ms >= $10)
           AND ($11::bigint IS NULL OR a.claimed_unix_ms < $11)
         ORDER BY a.key, a.fence LIMIT $12"
    );
    let parameters: Params<'_> = &[
        &now,
        &start,
        &end,
        &after_key,
        &after_fence,
        &state,
        &filter.tenant,
        &filter.model,
        &filter.provider,
        &filter.since_unix_ms,
        &filter.until_unix_ms,
        &limit,
    ];
    let page = client.query(&sql, parameters).await?;
    page.iter().map(rows::record).collect()
}

/// Sums the attempts of a scope.
pub(super) async fn totals(client: &Client, now: i64, scope: &Scope) -> Result<Totals, Fault> {
    let (start, end) = bounds(scope);
    let sql = format!(
        "SELECT {STANDING}, {SUMS} FROM attempt a
         WHERE a.key >= $2 AND ($3::text IS NULL OR a.key < $3) GROUP BY 1"
    );
    let mut totals = Totals::default();
    for row in client.query(&sql, &[&now, &start, &end]).await? {
        let (standing, tally) = tally(&mut Columns::of(&row))?;
        totals.add(standing, tally);
    }
    Ok(totals)
}

/// Reads a standing and [`SUMS`].
pub(super) fn tally(columns: &mut Columns<'_>) -> Result<(State, Tally), Fault> {
    let standing = columns.state()?;
    let attempts = columns.tokens()?;
    let spend = Spend {
        input_tokens: columns.tokens()?,
        cached_input_tokens: columns.tokens()?,
        cache_write_input_tokens: columns.tokens()?,
        output_tokens: columns.tokens()?,
        reasoning_tokens: columns.tokens()?,
        cost_micros: columns.take()?,
    };
    Ok((standing, Tally { attempts, spend }))
}

/// Lists one page of notes.
pub(super) async fn notes(client: &Client, filter: &NoteFilter) -> Result<Vec<Note>, Fault> {
    let sql = format!(
        "SELECT {NOTE} FROM note
         WHERE ($1::text IS NULL OR action = $1) AND ($2::text IS NULL OR key = $2)
           AND ($3::text IS NULL OR actor = $3) AND ($4::bigint IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5"
    );
    let action = filter.action.map(NoteAction::as_str);
    let key = filter.key.as_ref().map(EffectKey::as_str);
    let limit = i64::from(filter.limit.min(NoteFilter::MAX_LIMIT));
    let page = client
        .query(&sql, &[&action, &key, &filter.actor, &filter.before_id, &limit])
        .await?;
    page.iter().map(rows::note).collect()
}

/// Lists the budgets of all tenants with what is used of them.
pub(super) async fn tenant_budgets(client: &Client, now: i64) -> Result<Vec<TenantStanding>, Fault> {
    let sql = format!("SELECT {BUDGET} FROM tenant_budget ORDER BY tenant, period");
    let mut standings = Vec::new();
    for row in client.query(&sql, &[]).await? {
        let ((tenant, period), row) = rows::budget(&mut Columns::of(&row))?;
        let account = Account::tenant(&tenant).map_err(Fault::damaged)?;
        let used = amount(client, &account.counter(period, now)).await?;
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
pub(super) async fn used(client: &Client, now: i64, account: &Account) -> Result<Amount, Fault> {
    amount(client, &account.counter(Period::Total, now)).await
}

async fn amount(client: &Client, name: &str) -> Result<Amount, Fault> {
    let found: Option<Row> = client
        .query_opt(
            "SELECT cost_micros, tokens FROM account WHERE name = $1",
            &[&name],
        )
        .await?;
    match found {
        Some(row) => rows::amount(&mut Columns::of(&row)),
        None => Ok(Amount::default()),
    }
}

/// Deletes one batch of the responses that were settled before a moment, and returns how many.
///
/// What a writer holds is left for the next time; so this never waits for one, and never makes two wait for each other.
pub(super) async fn prune_batch(client: &Client, now: i64, age_ms: i64) -> Result<u64, Fault> {
    let before = now.saturating_sub(age_ms);
    let size = i64::try_from(PRUNE_BATCH).unwrap_or(i64::MAX);
    let pruned = client
        .execute(
            "WITH old AS (
                SELECT key, fence FROM attempt WHERE response IS NOT NULL AND ended_unix_ms < $1
                ORDER BY ended_unix_ms LIMIT $2 FOR UPDATE SKIP LOCKED)
             UPDATE attempt SET response = NULL FROM old WHERE attempt.key = old.key AND attempt.fence = old.fence",
            &[&before, &size],
        )
        .await?;
    client
        .execute(
            "DELETE FROM ticket WHERE bucket < $1",
            &[&engine::lapsed_before(now)],
        )
        .await?;
    Ok(pruned)
}

/// Returns the range of keys of a scope; no end is no end.
pub(super) fn bounds(scope: &Scope) -> (String, Option<String>) {
    let (start, end) = scope.range();
    // The server's texts hold no zero byte, and no key holds the byte after it.
    (start, end.map(|end| end.replace('\0', "\u{1}")))
}
