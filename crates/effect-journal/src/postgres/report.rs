//! Sums of the ledger by dimensions.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Row};

use super::fault::Fault;
use super::ledger::{self, STANDING, SUMS};
use super::rows::Columns;
use crate::key::encode_into;
use crate::{Dimension, Scope, SpendQuery, SpendRow, Totals};

/// Sums attempts by what the query asks for.
pub(super) async fn report(client: &Client, now: i64, query: &SpendQuery) -> Result<Vec<SpendRow>, Fault> {
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
    let found = client
        .query(
            &question(&query.group_by),
            &[
                &now,
                &start,
                &end,
                &prefix,
                &query.tenant,
                &query.model,
                &query.provider,
                &query.since_unix_ms.unwrap_or(i64::MIN),
                &query.until_unix_ms.unwrap_or(i64::MAX),
            ],
        )
        .await?;
    let limit = query
        .limit
        .unwrap_or(SpendQuery::MAX_ROWS)
        .min(SpendQuery::MAX_ROWS);
    collect(
        &found,
        &query.group_by,
        usize::try_from(limit).unwrap_or(usize::MAX),
    )
}

fn question(group_by: &[Dimension]) -> String {
    let mut columns: Vec<String> = group_by.iter().map(|dimension| expression(*dimension)).collect();
    columns.push(STANDING.to_owned());
    // By their places: the dimensions, and the standing after them.
    let places: Vec<String> = (1..=columns.len()).map(|place| place.to_string()).collect();
    let (columns, places) = (columns.join(", "), places.join(", "));
    format!(
        "SELECT {columns}, {SUMS} FROM attempt a
         WHERE a.key >= $2 AND ($3::text IS NULL OR a.key < $3) AND starts_with(split_part(a.key, '/', 2), $4)
           AND ($5::text IS NULL OR a.tenant = $5)
           AND ($6::text IS NULL OR a.model = $6)
           AND ($7::text IS NULL OR a.provider = $7)
           AND a.claimed_unix_ms >= $8 AND a.claimed_unix_ms < $9
         GROUP BY {places} ORDER BY {places}"
    )
}

/// Joins what differs by the standing alone into one row each.
fn collect(found: &[Row], group_by: &[Dimension], limit: usize) -> Result<Vec<SpendRow>, Fault> {
    let mut rows: Vec<SpendRow> = Vec::new();
    for row in found {
        let mut columns = Columns::of(row);
        let mut dimensions = BTreeMap::new();
        for dimension in group_by {
            dimensions.insert(*dimension, columns.take()?);
        }
        if rows.last().is_none_or(|last| last.dimensions != dimensions) {
            if rows.len() == limit {
                break;
            }
            let totals = Totals::default();
            rows.push(SpendRow { dimensions, totals });
        }
        let (standing, tally) = ledger::tally(&mut columns)?;
        if let Some(last) = rows.last_mut() {
            last.totals.add(standing, tally);
        }
    }
    Ok(rows)
}

/// Returns what a dimension is in the database's words; texts sort by their bytes, as everywhere.
fn expression(dimension: Dimension) -> String {
    let text = match dimension {
        Dimension::Tenant => "coalesce(a.tenant, '')",
        Dimension::Model => "a.model",
        Dimension::Provider => "a.provider",
        Dimension::Workflow => "split_part(a.key, '/', 1) || '/' || split_part(a.key, '/', 2)",
        Dimension::Run => {
            "split_part(a.key, '/', 1) || '/' || split_part(a.key, '/', 2) || '/' || split_part(a.key, '/', 3)"
        }
        Dimension::Day => {
            "to_char(to_timestamp(a.claimed_unix_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        }
        Dimension::PriceTable => "a.price_table",
        Dimension::State => STANDING,
    };
    format!("({text}) COLLATE \"C\"")
}
