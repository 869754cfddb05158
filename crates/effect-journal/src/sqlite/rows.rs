//! Rows to values and back.

use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};

use crate::engine::{Attempt, BudgetRow, Counted, Effect, Response, StoredAnswer, Ticket};
use crate::{
    Allowance, Amount, AttemptRecord, Counts, EffectClass, EffectKey, Note, NoteAction, Period,
    RequestDigest, Spend, State,
};

/// Reads an effect with its key.
pub(super) fn effect(row: &Row<'_>) -> rusqlite::Result<(EffectKey, Effect)> {
    let effect = Effect {
        digest: RequestDigest::from_bytes(row.get("digest")?),
        fence: row.get("fence")?,
        committed_fence: row.get("committed_fence")?,
    };
    Ok((row.get("key")?, effect))
}

/// Reads an attempt with its key and fence, without its response; the query names `has_response`.
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<((EffectKey, u32), Attempt)> {
    let has_response: bool = row.get("has_response")?;
    let accounts: String = row.get("accounts")?;
    let attempt = Attempt {
        state: row.get("state")?,
        class: row.get("class")?,
        owner: row.get("owner")?,
        model: row.get("model")?,
        provider: row.get("provider")?,
        tenant: row.get("tenant")?,
        price_table: row.get("price_table")?,
        bound: bound(row)?,
        spend: spent(row)?,
        claimed_unix_ms: row.get("claimed_unix_ms")?,
        lease_ms: row.get("lease_ms")?,
        lease_until_unix_ms: row.get("lease_until_unix_ms")?,
        sent_unix_ms: row.get("sent_unix_ms")?,
        ended_unix_ms: row.get("ended_unix_ms")?,
        reason: row.get("reason")?,
        by_hand: row.get("by_hand")?,
        counters: serde_json::from_str(&accounts).map_err(|error| malformed("accounts", &error))?,
        limit: counted(row)?,
        checksum: row.get("checksum")?,
        response: if has_response {
            Response::Stored
        } else {
            Response::Absent
        },
    };
    Ok(((row.get("key")?, row.get("fence")?), attempt))
}

/// Reads an answer with what it is checked by.
pub(super) fn answer(row: &Row<'_>) -> rusqlite::Result<StoredAnswer> {
    Ok(StoredAnswer {
        spend: spent(row)?,
        checksum: row.get("checksum")?,
        response: row.get("response")?,
    })
}

/// Reads a place in a queue with its key.
pub(super) fn ticket(row: &Row<'_>) -> rusqlite::Result<(EffectKey, Ticket)> {
    let ticket = Ticket {
        limit: row.get("limit_name")?,
        bucket: row.get("bucket")?,
        tokens: tokens(row, "tokens")?,
    };
    Ok((row.get("key")?, ticket))
}

/// Reads what a counter holds.
pub(super) fn amount(row: &Row<'_>) -> rusqlite::Result<Amount> {
    Ok(Amount {
        cost_micros: row.get("cost_micros")?,
        tokens: tokens(row, "tokens")?,
    })
}

/// Reads a tenant's budget with its place.
pub(super) fn budget(row: &Row<'_>) -> rusqlite::Result<((String, Period), BudgetRow)> {
    let max_tokens: Option<i64> = row.get("max_tokens")?;
    let budget = BudgetRow {
        max: Allowance {
            cost_micros: row.get("max_cost_micros")?,
            tokens: max_tokens.map(i64::unsigned_abs),
        },
        changed_unix_ms: row.get("changed_unix_ms")?,
        changed_by: row.get("changed_by")?,
    };
    Ok(((row.get("tenant")?, row.get("period")?), budget))
}

/// Reads a note.
pub(super) fn note(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: row.get("id")?,
        unix_ms: row.get("unix_ms")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        subject: row.get("subject")?,
        before: row.get("before_json")?,
        after: row.get("after_json")?,
        reason: row.get("reason")?,
    })
}

/// Reads a row of the ledger; the query names the standing `standing` and joins the effect.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<AttemptRecord> {
    let fence = row.get("fence")?;
    let committed_fence: Option<u32> = row.get("committed_fence")?;
    Ok(AttemptRecord {
        key: row.get("key")?,
        fence,
        state: row.get("standing")?,
        committed: committed_fence == Some(fence),
        owner: row.get("owner")?,
        model: row.get("model")?,
        provider: row.get("provider")?,
        tenant: row.get("tenant")?,
        price_table: row.get("price_table")?,
        class: row.get("class")?,
        digest: RequestDigest::from_bytes(row.get("digest")?),
        upper_bound: bound(row)?,
        spend: spent(row)?,
        claimed_unix_ms: row.get("claimed_unix_ms")?,
        lease_until_unix_ms: row.get("lease_until_unix_ms")?,
        sent_unix_ms: row.get("sent_unix_ms")?,
        ended_unix_ms: row.get("ended_unix_ms")?,
        reason: row.get("reason")?,
        by_hand: row.get("by_hand")?,
    })
}

/// Reads a count of tokens.
pub(super) fn tokens(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(column)?;
    Ok(stored.unsigned_abs())
}

/// Returns a count of tokens as SQLite holds it; recorded counts are bounded far below its limit.
pub(super) fn stored_tokens(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

/// Returns how a choice of what counts is stored.
pub(super) fn counts_name(counts: Counts) -> &'static str {
    match counts {
        Counts::Actual => "actual",
        Counts::Reserved => "reserved",
    }
}

fn bound(row: &Row<'_>) -> rusqlite::Result<Spend> {
    Ok(Spend {
        input_tokens: tokens(row, "bound_input_tokens")?,
        cached_input_tokens: tokens(row, "bound_cached_input_tokens")?,
        cache_write_input_tokens: tokens(row, "bound_cache_write_input_tokens")?,
        output_tokens: tokens(row, "bound_output_tokens")?,
        reasoning_tokens: tokens(row, "bound_reasoning_tokens")?,
        cost_micros: row.get("bound_cost_micros")?,
    })
}

fn spent(row: &Row<'_>) -> rusqlite::Result<Option<Spend>> {
    let Some(cost_micros) = row.get("spent_cost_micros")? else {
        return Ok(None);
    };
    Ok(Some(Spend {
        input_tokens: tokens(row, "spent_input_tokens")?,
        cached_input_tokens: tokens(row, "spent_cached_input_tokens")?,
        cache_write_input_tokens: tokens(row, "spent_cache_write_input_tokens")?,
        output_tokens: tokens(row, "spent_output_tokens")?,
        reasoning_tokens: tokens(row, "spent_reasoning_tokens")?,
        cost_micros,
    }))
}

fn counted(row: &Row<'_>) -> rusqlite::Result<Option<Counted>> {
    let Some(name) = row.get("limit_name")? else {
        return Ok(None);
    };
    let counts: String = row.get("limit_counts")?;
    Ok(Some(Counted {
        name,
        bucket: row.get("limit_bucket")?,
        tokens: tokens(row, "limit_tokens")?,
        counts: if counts == counts_name(Counts::Reserved) {
            Counts::Reserved
        } else {
            Counts::Actual
        },
    }))
}

fn malformed(column: &str, error: &serde_json::Error) -> rusqlite::Error {
    let error = format!("{column}: {error}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}

impl FromSql for EffectKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_str(value.as_str()?).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl FromSql for Period {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_str(value.as_str()?).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl FromSql for NoteAction {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let known = Self::ALL.into_iter().find(|action| action.as_str() == text);
        known.ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for EffectClass {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "paid" => Ok(Self::Paid),
            "free" => Ok(Self::Free),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl ToSql for EffectClass {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Paid => "paid",
            Self::Free => "free",
        }
        .into())
    }
}
