//! Sums of the ledger by dimensions.

use std::collections::BTreeMap;

use rusqlite::{Rows, Transaction, named_params};

use super::ledger::{self, STANDING, SUMS};
use super::thread::Fault;
use crate::key::encode_into;
use crate::{Dimension, Scope, SpendQuery, SpendRow, Totals};

/// Where the workflow's part of a key begins, and where it ends.
const SPLIT: &str = "SELECT *, second + instr(substr(key, second), '/') AS third FROM (
    SELECT *, first + instr(substr(key, first), '/') AS second FROM (
        SELECT *, instr(key, '/') + 1 AS first FROM attempt))";

/// Sums attempts by what the query asks for.
pub(super) fn report(
    transaction: &Transaction<'_>,
    now: i64,
    query: &SpendQuery,
) -> Result<Vec<SpendRow>, Fault> {
    let scope = query
        .namespace
        .as_deref()
        .map_or_else(Scope::all, Scope::namespace);
    let (start, end) = ledger::bounds(&scope);
    let mut prefix = String::new();
    encode_into(
        &mut prefix,
        query.workflow_id_prefix.as_deref().unwrap_or_default(),
    );
    let mut statement = transaction.prepare(&select(&query.group_by))?;
    let found = statement.query(named_params! {
        ":now": now,
        ":start": start,
        ":end": end,
        ":prefix": prefix,
        ":tenant": query.tenant,
        ":model": query.model,
        ":provider": query.provider,
        ":since": query.since_unix_ms.unwrap_or(i64::MIN),
        ":until": query.until_unix_ms.unwrap_or(i64::MAX),
    })?;
    collect(found, query)
}

fn select(group_by: &[Dimension]) -> String {
    let numbered = || group_by.iter().enumerate();
    let values: Vec<_> = numbered()
        .map(|(number, dimension)| format!("{} AS d{number}, ", expression(*dimension)))
        .collect();
    let columns: Vec<_> = numbered().map(|(number, _)| format!("d{number}, ")).collect();
    let (values, columns) = (values.concat(), columns.concat());
    format!(
        "SELECT {values} {STANDING} AS standing, {SUMS} FROM ({SPLIT})
         WHERE key >= :start AND key < :end AND substr(key, first, length(:prefix)) = :prefix
           AND (:tenant IS NULL OR tenant = :tenant)
           AND (:model IS NULL OR model = :model)
           AND (:provider IS NULL OR provider = :provider)
           AND claimed_unix_ms >= :since AND claimed_unix_ms < :until
         GROUP BY {columns} standing ORDER BY {columns} standing"
    )
}

/// Makes one row of those that differ in their standing alone.
fn collect(mut found: Rows<'_>, query: &SpendQuery) -> Result<Vec<SpendRow>, Fault> {
    let limit = query
        .limit
        .unwrap_or(SpendQuery::MAX_ROWS)
        .min(SpendQuery::MAX_ROWS);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rows: Vec<SpendRow> = Vec::new();
    while let Some(row) = found.next()? {
        let mut dimensions = BTreeMap::new();
        for (number, dimension) in query.group_by.iter().enumerate() {
            dimensions.insert(*dimension, row.get(number)?);
        }
        if rows.last().is_none_or(|last| last.dimensions != dimensions) {
            if rows.len() == limit {
                break;
            }
            let totals = Totals::default();
            rows.push(SpendRow { dimensions, totals });
        }
        let (standing, tally) = ledger::tally(row)?;
        if let Some(last) = rows.last_mut() {
            last.totals.add(standing, tally);
        }
    }
    Ok(rows)
}

fn expression(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Tenant => "coalesce(tenant, '')",
        Dimension::Model => "model",
        Dimension::Provider => "provider",
        Dimension::Workflow => "substr(key, 1, second - 2)",
        Dimension::Run => "substr(key, 1, third - 2)",
        Dimension::Day => "strftime('%Y-%m-%d', claimed_unix_ms / 1000, 'unixepoch')",
        Dimension::PriceTable => "price_table",
        Dimension::State => STANDING,
    }
}
