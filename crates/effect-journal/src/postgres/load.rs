//! Rows into the view.
//!
//! What does not depend on an answer is sent together: a batch goes to the server once for its keys and once for what
//! they need, however many operations are in it. The server performs what is sent in its order, so that what is read
//! after a lock was waited for is what the one before left.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::connection::Writer;
use super::fault::Fault;
use super::rows::{self, Columns};
use crate::engine::{Limit, Needs, Op, View};
use crate::{EffectKey, RequestDigest};

/// What a transaction begins with.
pub(super) struct Begun {
    /// The effects, attempts and tickets of its keys.
    pub(super) view: View,
    /// The server's time, in milliseconds since 1970.
    pub(super) now_ms: i64,
    /// The effects that it inserted, which are not in the view, with their digests.
    pub(super) inserted: BTreeMap<EffectKey, RequestDigest>,
}

/// Begins a transaction, locks the effects of a batch and loads what they have.
///
/// A claim inserts its effect before anything is decided: only a row can be locked, and two first claims at once must
/// not both find nothing.
pub(super) async fn begin(writer: &Writer, ops: &[Op]) -> Result<Begun, Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let keys: Vec<&str> = ops
        .iter()
        .filter_map(Op::key)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(EffectKey::as_str)
        .collect();
    let claimed: BTreeMap<&EffectKey, RequestDigest> = ops.iter().rev().filter_map(claimed).collect();
    let (new, digests): (Vec<&str>, Vec<&[u8]>) = claimed
        .iter()
        .map(|(key, digest)| (key.as_str(), &digest.as_bytes()[..]))
        .unzip();
    let (begun, inserted, effects, attempts, tickets, now) = tokio::join!(
        biased;
        client.batch_execute(opening(ops)),
        async { some(client, &statements.insert_effects, new.len(), &[&new, &digests]).await },
        async { some(client, &statements.lock_effects, keys.len(), &[&keys]).await },
        async { some(client, &statements.attempts, keys.len(), &[&keys]).await },
        async { some(client, &statements.tickets, keys.len(), &[&keys]).await },
        client.query_one(&statements.now, &[]),
    );
    begun?;
    let mut view = View::default();
    let inserted = inserted?
        .iter()
        .map(|row| Columns::of(row).key())
        .collect::<Result<Vec<_>, _>>()?;
    let inserted = inserted.into_iter().filter_map(|key| {
        let digest = *claimed.get(&key)?;
        Some((key, digest))
    });
    for row in &effects? {
        let (key, effect) = rows::effect(row)?;
        view.effects.load(key, effect);
    }
    for row in &attempts? {
        let (place, attempt) = rows::attempt(row)?;
        view.attempts.load(place, attempt);
    }
    for row in &tickets? {
        let (key, ticket) = rows::ticket(row)?;
        view.tickets.load(key, ticket);
    }
    Ok(Begun {
        inserted: inserted.collect(),
        now_ms: now?.try_get(0)?,
        view,
    })
}

/// Loads what a batch looks at beside its keys, locked.
///
/// What is under way is counted where a claim asks whether there is room for one more; a settlement does not.
pub(super) async fn needs(
    writer: &Writer,
    view: &mut View,
    (ops, now_ms): (&[Op], i64),
    needs: &Needs,
) -> Result<(), Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let [accounts, tenants, limits] = [&needs.counters, &needs.tenants, &needs.limits].map(sorted);
    let counted: Vec<&str> = ops
        .iter()
        .filter_map(counted)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let (new_accounts, amounts, budgets, new_limits, standings, under_way) = tokio::join!(
        biased;
        async { some(client, &statements.insert_accounts, accounts.len(), &[&accounts]).await },
        async { some(client, &statements.lock_accounts, accounts.len(), &[&accounts]).await },
        async { some(client, &statements.budgets, tenants.len(), &[&tenants]).await },
        async { some(client, &statements.insert_limits, limits.len(), &[&limits]).await },
        async { some(client, &statements.lock_limits, limits.len(), &[&limits]).await },
        async { some(client, &statements.in_flight, counted.len(), &[&counted, &now_ms]).await },
    );
    new_accounts?;
    take_accounts(view, &amounts?)?;
    for row in &budgets? {
        let (place, budget) = rows::budget(&mut Columns::of(row))?;
        view.budgets.load(place, budget);
    }
    new_limits?;
    for row in &standings? {
        let mut columns = Columns::of(row);
        let name: String = columns.take()?;
        // A row without a standing was inserted to be locked.
        if let Some(standing) = columns.take::<Option<&str>>()? {
            view.limits.load(name, Limit::from_json(standing)?);
        }
    }
    for name in counted {
        view.in_flight.entry(name.to_owned()).or_insert(0);
    }
    for row in &under_way? {
        let mut columns = Columns::of(row);
        let name: String = columns.take()?;
        let count: i64 = columns.take()?;
        view.in_flight
            .insert(name, u32::try_from(count).unwrap_or(u32::MAX));
    }
    Ok(())
}

/// Loads the expired reservations of accounts, and all accounts that they count in.
pub(super) async fn expired(
    writer: &Writer,
    view: &mut View,
    accounts: &BTreeSet<String>,
    now_ms: i64,
) -> Result<(), Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let held: Vec<&str> = view.effects.iter().map(|(key, _)| key.as_str()).collect();
    let names = sorted(accounts);
    let rows = client
        .query(&statements.expired, &[&now_ms, &names, &held])
        .await?;
    let mut touched = BTreeSet::new();
    for row in &rows {
        let (place, attempt) = rows::attempt(row)?;
        touched.extend(attempt.counters.iter().cloned());
        view.attempts.load(place, attempt);
    }
    touched.retain(|name| view.counters.get(name).is_none());
    if !touched.is_empty() {
        let found = client
            .query(&statements.lock_accounts, &[&sorted(&touched)])
            .await?;
        take_accounts(view, &found)?;
    }
    Ok(())
}

/// Asks for rows by so many names; for none, nothing is sent.
async fn some(
    client: &Client,
    statement: &Statement,
    names: usize,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if names == 0 {
        return Ok(Vec::new());
    }
    client.query(statement, params).await
}

fn take_accounts(view: &mut View, found: &[Row]) -> Result<(), Fault> {
    for row in found {
        let mut columns = Columns::of(row);
        let name: String = columns.take()?;
        view.counters.load(name, rows::amount(&mut columns)?);
    }
    Ok(())
}

fn claimed(op: &Op) -> Option<(&EffectKey, RequestDigest)> {
    match op {
        Op::Claim(request) => Some((&request.key, request.digest)),
        Op::Renew(_)
        | Op::MarkSent(_)
        | Op::Settle(..)
        | Op::End(..)
        | Op::SettleByHand(..)
        | Op::SetTenantBudget { .. } => None,
    }
}

/// Returns the limit that an operation asks for a place among the calls under way.
fn counted(op: &Op) -> Option<&str> {
    match op {
        Op::Claim(request) => {
            let limit = request.limits.as_ref()?;
            limit.rate.in_flight.map(|_| limit.name.as_str())
        }
        Op::Renew(_)
        | Op::MarkSent(_)
        | Op::Settle(..)
        | Op::End(..)
        | Op::SettleByHand(..)
        | Op::SetTenantBudget { .. } => None,
    }
}

/// Returns the statement that begins a transaction; those that set budgets follow each other, so that each one's note
/// says what the one before left.
fn opening(ops: &[Op]) -> &'static str {
    if ops.iter().any(|op| matches!(op, Op::SetTenantBudget { .. })) {
        "BEGIN; LOCK TABLE tenant_budget IN SHARE ROW EXCLUSIVE MODE"
    } else {
        "BEGIN"
    }
}

fn sorted(names: &BTreeSet<String>) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
