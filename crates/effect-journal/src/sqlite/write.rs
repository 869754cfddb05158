//! Rows out of the view: those that a batch changed.

use rusqlite::{Connection, named_params, params};

use super::rows::{counts_name, stored_tokens};
use super::thread::Fault;
use crate::EffectKey;
use crate::engine::{Attempt, Mark, Response, View};

/// Writes every row that was changed, and the notes.
pub(super) fn view(connection: &Connection, view: &View) -> Result<(), Fault> {
    for (key, effect, _) in view.effects.dirty() {
        connection
            .prepare_cached(
                "INSERT INTO effect (key, digest, fence, committed_fence) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (key) DO UPDATE SET fence = excluded.fence, committed_fence = excluded.committed_fence",
            )?
            .execute(params![
                key.as_str(),
                effect.digest.as_bytes(),
                effect.fence,
                effect.committed_fence
            ])?;
    }
    for ((key, fence), attempt, mark) in view.attempts.dirty() {
        if mark == Mark::New {
            insert(connection, key, *fence, attempt)?;
        }
        update(connection, key, *fence, attempt)?;
    }
    accounts(connection, view)?;
    limits(connection, view)?;
    notes(connection, view)
}

/// Inserts what never changes of an attempt; the rest follows as an update.
fn insert(connection: &Connection, key: &EffectKey, fence: u32, attempt: &Attempt) -> Result<(), Fault> {
    let accounts = serde_json::to_string(&attempt.counters)?;
    let limit = attempt.limit.as_ref();
    let mut statement = connection.prepare_cached(
        "INSERT INTO attempt (key, fence, state, class, owner, model, provider, tenant, price_table,
            bound_input_tokens, bound_cached_input_tokens, bound_cache_write_input_tokens, bound_output_tokens,
            bound_reasoning_tokens, bound_cost_micros, claimed_unix_ms, lease_ms, lease_until_unix_ms, by_hand,
            accounts, limit_name, limit_bucket, limit_tokens, limit_counts)
         VALUES (:key, :fence, 'reserved', :class, :owner, :model, :provider, :tenant, :price_table,
            :input, :cached, :cache_write, :output, :reasoning, :cost, :claimed, :lease, :lease_until, 0,
            :accounts, :limit, :bucket, :tokens, :counts)",
    )?;
    statement.execute(named_params! {
        ":key": key.as_str(),
        ":fence": fence,
        ":class": attempt.class,
        ":owner": attempt.owner,
        ":model": attempt.model,
        ":provider": attempt.provider,
        ":tenant": attempt.tenant,
        ":price_table": attempt.price_table,
        ":input": stored_tokens(attempt.bound.input_tokens),
        ":cached": stored_tokens(attempt.bound.cached_input_tokens),
        ":cache_write": stored_tokens(attempt.bound.cache_write_input_tokens),
        ":output": stored_tokens(attempt.bound.output_tokens),
        ":reasoning": stored_tokens(attempt.bound.reasoning_tokens),
        ":cost": attempt.bound.cost_micros,
        ":claimed": attempt.claimed_unix_ms,
        ":lease": attempt.lease_ms,
        ":lease_until": attempt.lease_until_unix_ms,
        ":accounts": accounts,
        ":limit": limit.map(|limit| &limit.name),
        ":bucket": limit.map(|limit| limit.bucket),
        ":tokens": limit.map(|limit| stored_tokens(limit.tokens)),
        ":counts": limit.map(|limit| counts_name(limit.counts)),
    })?;
    Ok(())
}

fn update(connection: &Connection, key: &EffectKey, fence: u32, attempt: &Attempt) -> Result<(), Fault> {
    let spend = attempt.spend.as_ref();
    let tokens = |count: fn(&crate::Spend) -> u64| spend.map(|spend| stored_tokens(count(spend)));
    let response = match &attempt.response {
        Response::New(bytes) => Some(bytes),
        Response::Absent | Response::Stored => None,
    };
    let mut statement = connection.prepare_cached(
        "UPDATE attempt SET state = :state, lease_until_unix_ms = :lease_until, sent_unix_ms = :sent,
            ended_unix_ms = :ended, reason = :reason, by_hand = :by_hand, spent_input_tokens = :input,
            spent_cached_input_tokens = :cached, spent_cache_write_input_tokens = :cache_write,
            spent_output_tokens = :output, spent_reasoning_tokens = :reasoning, spent_cost_micros = :cost,
            checksum = :checksum, response = coalesce(:response, response)
         WHERE key = :key AND fence = :fence",
    )?;
    statement.execute(named_params! {
        ":key": key.as_str(),
        ":fence": fence,
        ":state": attempt.state,
        ":lease_until": attempt.lease_until_unix_ms,
        ":sent": attempt.sent_unix_ms,
        ":ended": attempt.ended_unix_ms,
        ":reason": attempt.reason,
        ":by_hand": attempt.by_hand,
        ":input": tokens(|spend| spend.input_tokens),
        ":cached": tokens(|spend| spend.cached_input_tokens),
        ":cache_write": tokens(|spend| spend.cache_write_input_tokens),
        ":output": tokens(|spend| spend.output_tokens),
        ":reasoning": tokens(|spend| spend.reasoning_tokens),
        ":cost": spend.map(|spend| spend.cost_micros),
        ":checksum": attempt.checksum,
        ":response": response,
    })?;
    Ok(())
}

fn accounts(connection: &Connection, view: &View) -> Result<(), Fault> {
    for (name, amount, _) in view.counters.dirty() {
        connection
            .prepare_cached(
                "INSERT INTO account (name, cost_micros, tokens) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET cost_micros = excluded.cost_micros, tokens = excluded.tokens",
            )?
            .execute(params![name, amount.cost_micros, stored_tokens(amount.tokens)])?;
    }
    for ((tenant, period), row, _) in view.budgets.dirty() {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO tenant_budget
                    (tenant, period, max_cost_micros, max_tokens, changed_unix_ms, changed_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                tenant,
                period.as_str(),
                row.max.cost_micros,
                row.max.tokens.map(stored_tokens),
                row.changed_unix_ms,
                row.changed_by
            ])?;
    }
    for (tenant, period) in view.budgets.removed() {
        connection
            .prepare_cached("DELETE FROM tenant_budget WHERE tenant = ?1 AND period = ?2")?
            .execute(params![tenant, period.as_str()])?;
    }
    Ok(())
}

fn limits(connection: &Connection, view: &View) -> Result<(), Fault> {
    for (name, limit, _) in view.limits.dirty() {
        connection
            .prepare_cached("INSERT OR REPLACE INTO provider_limit (name, standing) VALUES (?1, ?2)")?
            .execute(params![name, limit.to_json()?])?;
    }
    for (key, ticket, _) in view.tickets.dirty() {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO ticket (key, limit_name, bucket, tokens) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                key.as_str(),
                ticket.limit,
                ticket.bucket,
                stored_tokens(ticket.tokens)
            ])?;
    }
    for key in view.tickets.removed() {
        connection
            .prepare_cached("DELETE FROM ticket WHERE key = ?1")?
            .execute([key.as_str()])?;
    }
    Ok(())
}

fn notes(connection: &Connection, view: &View) -> Result<(), Fault> {
    for note in &view.notes {
        connection
            .prepare_cached(
                "INSERT INTO note (unix_ms, actor, action, subject, key, before_json, after_json, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                note.unix_ms,
                note.actor,
                note.action.as_str(),
                note.subject,
                note.key.as_ref().map(EffectKey::as_str),
                note.before,
                note.after,
                note.reason
            ])?;
    }
    Ok(())
}
