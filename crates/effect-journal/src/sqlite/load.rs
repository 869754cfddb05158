//! Rows into the view: one statement per table, whatever the size of the batch.

use std::collections::BTreeSet;

use rusqlite::{Params, Row, Transaction, named_params};

use super::rows;
use super::thread::Fault;
use crate::engine::{Limit, Needs, Op, View};

/// Loads what the keys of a batch have: effects, attempts and tickets.
pub(super) fn keys(transaction: &Transaction<'_>, view: &mut View, ops: &[Op]) -> Result<(), Fault> {
    let keys: BTreeSet<&str> = ops
        .iter()
        .filter_map(Op::key)
        .map(crate::EffectKey::as_str)
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let keys = serde_json::to_string(&keys)?;
    each(
        transaction,
        "SELECT key, digest, fence, committed_fence FROM effect WHERE key IN (SELECT value FROM json_each(?1))",
        [&keys],
        |row| {
            let (key, effect) = rows::effect(row)?;
            view.effects.load(key, effect);
            Ok(())
        },
    )?;
    each(
        transaction,
        "SELECT *, typeof(response) <> 'null' AS has_response FROM attempt
         WHERE key IN (SELECT value FROM json_each(?1))",
        [&keys],
        |row| {
            let (place, attempt) = rows::attempt(row)?;
            view.attempts.load(place, attempt);
            Ok(())
        },
    )?;
    each(
        transaction,
        "SELECT key, limit_name, bucket, tokens FROM ticket WHERE key IN (SELECT value FROM json_each(?1))",
        [&keys],
        |row| {
            let (key, ticket) = rows::ticket(row)?;
            view.tickets.load(key, ticket);
            Ok(())
        },
    )
}

/// Loads what a batch looks at beside its keys.
pub(super) fn needs(
    transaction: &Transaction<'_>,
    view: &mut View,
    needs: &Needs,
    now_ms: i64,
) -> Result<(), Fault> {
    if !needs.counters.is_empty() {
        let names = serde_json::to_string(&needs.counters)?;
        each(
            transaction,
            "SELECT name, cost_micros, tokens FROM account WHERE name IN (SELECT value FROM json_each(?1))",
            [&names],
            |row| {
                view.counters.load(row.get("name")?, rows::amount(row)?);
                Ok(())
            },
        )?;
    }
    if !needs.tenants.is_empty() {
        let names = serde_json::to_string(&needs.tenants)?;
        each(
            transaction,
            "SELECT * FROM tenant_budget WHERE tenant IN (SELECT value FROM json_each(?1))",
            [&names],
            |row| {
                let (place, budget) = rows::budget(row)?;
                view.budgets.load(place, budget);
                Ok(())
            },
        )?;
    }
    limits(transaction, view, needs, now_ms)
}

/// Loads the expired reservations of counters, and returns all counters that they count in.
pub(super) fn expired(
    transaction: &Transaction<'_>,
    view: &mut View,
    counters: &BTreeSet<String>,
    now_ms: i64,
) -> Result<BTreeSet<String>, Fault> {
    let names = serde_json::to_string(counters)?;
    let mut touched = BTreeSet::new();
    each(
        transaction,
        "SELECT *, 0 AS has_response FROM attempt
         WHERE state = 'reserved' AND lease_until_unix_ms <= :now AND EXISTS (
             SELECT 1 FROM json_each(attempt.accounts) AS mine JOIN json_each(:names) AS asked USING (value))",
        named_params! { ":now": now_ms, ":names": names },
        |row| {
            let (place, attempt) = rows::attempt(row)?;
            touched.extend(attempt.counters.iter().cloned());
            view.attempts.load(place, attempt);
            Ok(())
        },
    )?;
    Ok(touched)
}

fn limits(transaction: &Transaction<'_>, view: &mut View, needs: &Needs, now_ms: i64) -> Result<(), Fault> {
    if needs.limits.is_empty() {
        return Ok(());
    }
    let names = serde_json::to_string(&needs.limits)?;
    let mut stored: Vec<(String, String)> = Vec::new();
    each(
        transaction,
        "SELECT name, standing FROM provider_limit WHERE name IN (SELECT value FROM json_each(?1))",
        [&names],
        |row| {
            stored.push((row.get("name")?, row.get("standing")?));
            Ok(())
        },
    )?;
    for (name, standing) in stored {
        view.limits.load(name, Limit::from_json(&standing)?);
    }
    for name in &needs.limits {
        view.in_flight.insert(name.clone(), 0);
    }
    each(
        transaction,
        "SELECT limit_name, count(*) AS attempts FROM attempt
         WHERE limit_name IN (SELECT value FROM json_each(:names)) AND state IN ('reserved', 'sent')
           AND lease_until_unix_ms > :now
         GROUP BY limit_name",
        named_params! { ":names": names, ":now": now_ms },
        |row| {
            view.in_flight
                .insert(row.get("limit_name")?, row.get("attempts")?);
            Ok(())
        },
    )
}

fn each(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
    mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), Fault> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}
