//! Rows to values and back.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::thread::Fault;
use crate::digest::answer_checksum;
use crate::{AttemptRecord, Committed, EffectClass, EffectKey, Error, RequestDigest, Spend, State};

/// What is stored of an effect.
pub(super) struct Effect {
    pub(super) digest: RequestDigest,
    pub(super) fence: u32,
    pub(super) committed_fence: Option<u32>,
}

/// What decides about an attempt.
pub(super) struct Attempt {
    pub(super) state: State,
    pub(super) class: EffectClass,
    pub(super) lease_ms: i64,
    pub(super) lease_until_unix_ms: i64,
}

impl Attempt {
    /// Tells whether the lease has run out.
    pub(super) fn expired(&self, now: i64) -> bool {
        self.lease_until_unix_ms <= now
    }
}

/// Reads an effect, if it was ever claimed.
pub(super) fn effect(transaction: &Transaction<'_>, key: &EffectKey) -> Result<Option<Effect>, Fault> {
    let row = transaction
        .query_row(
            "SELECT digest, fence, committed_fence FROM effect WHERE key = ?1",
            [key.as_str()],
            |row| {
                Ok(Effect {
                    digest: RequestDigest::from_bytes(row.get(0)?),
                    fence: row.get(1)?,
                    committed_fence: row.get(2)?,
                })
            },
        )
        .optional()?;
    Ok(row)
}

/// Reads an attempt, if it was ever granted.
pub(super) fn attempt(
    transaction: &Transaction<'_>,
    key: &EffectKey,
    fence: u32,
) -> Result<Option<Attempt>, Fault> {
    let row = transaction
        .query_row(
            "SELECT state, class, lease_ms, lease_until_unix_ms FROM attempt WHERE key = ?1 AND fence = ?2",
            params![key.as_str(), fence],
            |row| {
                Ok(Attempt {
                    state: row.get(0)?,
                    class: row.get(1)?,
                    lease_ms: row.get(2)?,
                    lease_until_unix_ms: row.get(3)?,
                })
            },
        )
        .optional()?;
    Ok(row)
}

/// Reads a committed result, and refuses one that is pruned or does not match its checksum.
pub(super) fn committed(
    transaction: &Transaction<'_>,
    key: &EffectKey,
    fence: u32,
) -> Result<Committed, Fault> {
    let corrupt = |what| Error::Corrupt {
        key: key.clone(),
        fence,
        what,
    };
    let row = transaction
        .query_row(
            "SELECT * FROM attempt WHERE key = ?1 AND fence = ?2 AND state = 'settled'",
            params![key.as_str(), fence],
            |row| {
                let response: Option<Vec<u8>> = row.get("response")?;
                let checksum: Option<[u8; 32]> = row.get("checksum")?;
                Ok((response, checksum, spent(row)?))
            },
        )
        .optional()?;
    let Some((response, checksum, Some(spend))) = row else {
        return Err(corrupt("the committed attempt is not settled").into());
    };
    let Some(response) = response else {
        return Err(Error::Pruned {
            key: key.clone(),
            fence,
        }
        .into());
    };
    if checksum != Some(answer_checksum(key, fence, &spend, &response)) {
        return Err(corrupt("the answer does not match its checksum").into());
    }
    Ok(Committed {
        fence,
        response,
        spend,
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
        class: row.get("class")?,
        digest: RequestDigest::from_bytes(row.get("digest")?),
        upper_bound: Spend {
            input_tokens: tokens(row, "bound_input_tokens")?,
            cached_input_tokens: tokens(row, "bound_cached_input_tokens")?,
            output_tokens: tokens(row, "bound_output_tokens")?,
            reasoning_tokens: tokens(row, "bound_reasoning_tokens")?,
            cost_micros: row.get("bound_cost_micros")?,
        },
        spend: spent(row)?,
        claimed_unix_ms: row.get("claimed_unix_ms")?,
        lease_until_unix_ms: row.get("lease_until_unix_ms")?,
        sent_unix_ms: row.get("sent_unix_ms")?,
        ended_unix_ms: row.get("ended_unix_ms")?,
        reason: row.get("reason")?,
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

fn spent(row: &Row<'_>) -> rusqlite::Result<Option<Spend>> {
    let Some(cost_micros) = row.get("spent_cost_micros")? else {
        return Ok(None);
    };
    Ok(Some(Spend {
        input_tokens: tokens(row, "spent_input_tokens")?,
        cached_input_tokens: tokens(row, "spent_cached_input_tokens")?,
        output_tokens: tokens(row, "spent_output_tokens")?,
        reasoning_tokens: tokens(row, "spent_reasoning_tokens")?,
        cost_micros,
    }))
}

impl FromSql for EffectKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_str(value.as_str()?).map_err(|error| FromSqlError::Other(error.into()))
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
