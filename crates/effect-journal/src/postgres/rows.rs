//! Rows to values.
//!
//! Columns are read in the order in which a query names them. By name, every value of every row would be looked for
//! among forty names.

use std::str::FromStr;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::fault::Fault;
use crate::engine::{Attempt, BudgetRow, Counted, Effect, Response, StoredAnswer, Ticket};
use crate::{
    Allowance, Amount, AttemptRecord, Counts, EffectClass, EffectKey, Note, NoteAction, Period,
    RequestDigest, Spend, State,
};

/// The columns that [`attempt`] reads, in their order.
pub(super) const ATTEMPT: &str = "a.key, a.fence, a.state, a.class, a.owner, a.model, a.provider, a.tenant,
    a.price_table, a.bound_input_tokens, a.bound_cached_input_tokens, a.bound_cache_write_input_tokens,
    a.bound_output_tokens, a.bound_reasoning_tokens, a.bound_cost_micros, a.spent_input_tokens,
    a.spent_cached_input_tokens, a.spent_cache_write_input_tokens, a.spent_output_tokens, a.spent_reasoning_tokens,
    a.spent_cost_micros, a.claimed_unix_ms, a.lease_ms, a.lease_until_unix_ms, a.sent_unix_ms, a.ended_unix_ms,
    a.reason, a.by_hand, a.accounts, a.limit_name, a.limit_bucket, a.limit_tokens, a.limit_counts, a.checksum,
    a.response IS NOT NULL";

/// The columns that [`answer`] reads, in their order.
pub(super) const ANSWER: &str = "a.key, a.fence, a.spent_input_tokens, a.spent_cached_input_tokens,
    a.spent_cache_write_input_tokens, a.spent_output_tokens, a.spent_reasoning_tokens, a.spent_cost_micros,
    a.checksum, a.response";

/// The columns that [`budget`] reads, in their order.
pub(super) const BUDGET: &str = "tenant, period, max_cost_micros, max_tokens, changed_unix_ms, changed_by";

/// The columns that [`note`] reads, in their order.
pub(super) const NOTE: &str = "id, unix_ms, actor, action, subject, before_json, after_json, reason";

/// The columns of a row, one after the other.
pub(super) struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    /// Begins with the first column.
    pub(super) fn of(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }

    /// Reads the next column.
    pub(super) fn take<T: FromSql<'a>>(&mut self) -> Result<T, Fault> {
        let value = self.row.try_get(self.next).map_err(Fault::damaged)?;
        self.next += 1;
        Ok(value)
    }

    /// Reads the next column as a key.
    pub(super) fn key(&mut self) -> Result<EffectKey, Fault> {
        self.parsed()
    }

    /// Reads the next column as an attempt's number.
    pub(super) fn fence(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.take::<i64>()?).map_err(Fault::damaged)
    }

    /// Reads the next column as a count of tokens.
    pub(super) fn tokens(&mut self) -> Result<u64, Fault> {
        Ok(self.take::<i64>()?.unsigned_abs())
    }

    /// Reads the next column as a state.
    pub(super) fn state(&mut self) -> Result<State, Fault> {
        self.word(State::ALL, State::as_str)
    }

    fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(&mut self) -> Result<T, Fault> {
        self.take::<&str>()?.parse().map_err(Fault::damaged)
    }

    fn word<T: Copy, const N: usize>(
        &mut self,
        all: [T; N],
        name: fn(T) -> &'static str,
    ) -> Result<T, Fault> {
        let text: &str = self.take()?;
        let known = all.into_iter().find(|value| name(*value) == text);
        known.ok_or_else(|| Fault::damaged(format!("{text:?} has no meaning in a stored row")))
    }

    fn digest(&mut self) -> Result<[u8; 32], Fault> {
        self.take::<&[u8]>()?.try_into().map_err(Fault::damaged)
    }

    fn bound(&mut self) -> Result<Spend, Fault> {
        Ok(Spend {
            input_tokens: self.tokens()?,
            cached_input_tokens: self.tokens()?,
            cache_write_input_tokens: self.tokens()?,
            output_tokens: self.tokens()?,
            reasoning_tokens: self.tokens()?,
            cost_micros: self.take()?,
        })
    }

    fn spent(&mut self) -> Result<Option<Spend>, Fault> {
        let mut counts = [0; 5];
        for count in &mut counts {
            *count = self.take::<Option<i64>>()?.unwrap_or(0).unsigned_abs();
        }
        let cost_micros: Option<i64> = self.take()?;
        let [
            input_tokens,
            cached_input_tokens,
            cache_write_input_tokens,
            output_tokens,
            reasoning_tokens,
        ] = counts;
        Ok(cost_micros.map(|cost_micros| Spend {
            input_tokens,
            cached_input_tokens,
            cache_write_input_tokens,
            output_tokens,
            reasoning_tokens,
            cost_micros,
        }))
    }

    fn counted(&mut self) -> Result<Option<Counted>, Fault> {
        let name: Option<String> = self.take()?;
        let bucket: Option<i64> = self.take()?;
        let tokens: Option<i64> = self.take()?;
        let counts: Option<&str> = self.take()?;
        let Some(((name, bucket), tokens)) = name.zip(bucket).zip(tokens) else {
            return Ok(None);
        };
        let reserved = counts == Some(counts_name(Counts::Reserved));
        Ok(Some(Counted {
            name,
            bucket,
            tokens: tokens.unsigned_abs(),
            counts: if reserved {
                Counts::Reserved
            } else {
                Counts::Actual
            },
        }))
    }
}

/// Reads key, digest, fence and committed fence.
pub(super) fn effect(row: &Row) -> Result<(EffectKey, Effect), Fault> {
    let mut columns = Columns::of(row);
    let key = columns.key()?;
    let digest = RequestDigest::from_bytes(columns.digest()?);
    let fence = columns.fence()?;
    let committed: Option<i64> = columns.take()?;
    let effect = Effect {
        digest,
        fence,
        committed_fence: committed.map(u32::try_from).transpose().map_err(Fault::damaged)?,
    };
    Ok((key, effect))
}

/// Reads the columns [`ATTEMPT`].
pub(super) fn attempt(row: &Row) -> Result<((EffectKey, u32), Attempt), Fault> {
    let mut columns = Columns::of(row);
    let place = (columns.key()?, columns.fence()?);
    let attempt = Attempt {
        state: columns.state()?,
        class: columns.word([EffectClass::Paid, EffectClass::Free], class_name)?,
        owner: columns.take()?,
        model: columns.take()?,
        provider: columns.take()?,
        tenant: columns.take()?,
        price_table: columns.take()?,
        bound: columns.bound()?,
        spend: columns.spent()?,
        claimed_unix_ms: columns.take()?,
        lease_ms: columns.take()?,
        lease_until_unix_ms: columns.take()?,
        sent_unix_ms: columns.take()?,
        ended_unix_ms: columns.take()?,
        reason: columns.take()?,
        by_hand: columns.take()?,
        counters: columns.take()?,
        limit: columns.counted()?,
        checksum: match columns.take::<Option<&[u8]>>()? {
            Some(bytes) => Some(bytes.try_into().map_err(Fault::damaged)?),
            None => None,
        },
        response: if columns.take()? {
            Response::Stored
        } else {
            Response::Absent
        },
    };
    Ok((place, attempt))
}

/// Reads the columns [`ATTEMPT`] with the standing, the effect's digest and its committed fence behind them.
pub(super) fn record(row: &Row) -> Result<AttemptRecord, Fault> {
    let ((key, fence), attempt) = attempt(row)?;
    // What follows the columns of the attempt.
    let mut columns = Columns {
        row,
        next: row.len() - 3,
    };
    let state = columns.state()?;
    let effect = Effect {
        digest: RequestDigest::from_bytes(columns.digest()?),
        fence,
        committed_fence: match columns.take::<Option<i64>>()? {
            Some(fence) => Some(u32::try_from(fence).map_err(Fault::damaged)?),
            None => None,
        },
    };
    Ok(Attempt { state, ..attempt }.record(&key, fence, &effect))
}

/// Reads the columns [`ANSWER`].
pub(super) fn answer(row: &Row) -> Result<((EffectKey, u32), StoredAnswer), Fault> {
    let mut columns = Columns::of(row);
    let place = (columns.key()?, columns.fence()?);
    let answer = StoredAnswer {
        spend: columns.spent()?,
        // A checksum of another length fits no answer.
        checksum: columns
            .take::<Option<&[u8]>>()?
            .and_then(|bytes| bytes.try_into().ok()),
        response: columns.take()?,
    };
    Ok((place, answer))
}

/// Reads key, limit, bucket and tokens.
pub(super) fn ticket(row: &Row) -> Result<(EffectKey, Ticket), Fault> {
    let mut columns = Columns::of(row);
    let key = columns.key()?;
    let ticket = Ticket {
        limit: columns.take()?,
        bucket: columns.take()?,
        tokens: columns.tokens()?,
    };
    Ok((key, ticket))
}

/// Reads cost and tokens.
pub(super) fn amount(columns: &mut Columns<'_>) -> Result<Amount, Fault> {
    Ok(Amount {
        cost_micros: columns.take()?,
        tokens: columns.tokens()?,
    })
}

/// Reads the columns [`BUDGET`].
pub(super) fn budget(columns: &mut Columns<'_>) -> Result<((String, Period), BudgetRow), Fault> {
    let place = (columns.take()?, columns.parsed()?);
    let budget = BudgetRow {
        max: Allowance {
            cost_micros: columns.take()?,
            tokens: columns.take::<Option<i64>>()?.map(i64::unsigned_abs),
        },
        changed_unix_ms: columns.take()?,
        changed_by: columns.take()?,
    };
    Ok((place, budget))
}

/// Reads the columns [`NOTE`].
pub(super) fn note(row: &Row) -> Result<Note, Fault> {
    let mut columns = Columns::of(row);
    Ok(Note {
        id: columns.take()?,
        unix_ms: columns.take()?,
        actor: columns.take()?,
        action: columns.word(NoteAction::ALL, NoteAction::as_str)?,
        subject: columns.take()?,
        before: columns.take()?,
        after: columns.take()?,
        reason: columns.take()?,
    })
}

/// Returns how a class is stored.
pub(super) fn class_name(class: EffectClass) -> &'static str {
    match class {
        EffectClass::Paid => "paid",
        EffectClass::Free => "free",
    }
}

/// Returns how a choice of what counts is stored.
pub(super) fn counts_name(counts: Counts) -> &'static str {
    match counts {
        Counts::Actual => "actual",
        Counts::Reserved => "reserved",
    }
}

/// Returns a count of tokens as it is stored; recorded counts are bounded far below the limit.
pub(super) fn stored(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
