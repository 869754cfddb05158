//! One transaction of the engine's: load, apply, write, and read back the answers that it asks for.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Transaction, params};

use super::thread::{Fault, Setup};
use super::{load, now, rows, write};
use crate::engine::{self, Needs, Op, Outcome, Step, View};
use crate::{Committed, EffectKey, Error};

/// What became of a step, with the effect's result if the outcome asks for it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) result: Option<Committed>,
}

/// Performs steps in their order within one transaction; what a step is refused for is its own affair.
pub(super) fn perform(
    transaction: &Transaction<'_>,
    setup: &Setup,
    ops: &[Op],
) -> Result<Vec<Result<Done, Error>>, Fault> {
    // Within the transaction: a time read before waiting for the lock could be seconds old.
    let now_ms = match &setup.clock {
        Some(clock) => clock.unix_ms(),
        None => now(transaction)?,
    };
    let mut view = View::default();
    load::keys(transaction, &mut view, ops)?;
    let needs = engine::needs(ops, &view, now_ms);
    load::needs(transaction, &mut view, &needs, now_ms)?;
    let mut outcomes = Vec::with_capacity(ops.len());
    for op in ops {
        outcomes.push(apply(transaction, setup, &mut view, (op, now_ms))?);
    }
    write::view(transaction, &view)?;
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(outcome) => complete(transaction, outcome),
            Err(refused) => Ok(Err(refused)),
        })
        .collect()
}

fn apply(
    transaction: &Transaction<'_>,
    setup: &Setup,
    view: &mut View,
    (op, now_ms): (&Op, i64),
) -> Result<Result<Outcome, Error>, Fault> {
    loop {
        match engine::apply(op, view, now_ms, setup.config) {
            Ok(Step::Done(outcome)) => return Ok(Ok(outcome)),
            Ok(Step::Sweep(counters)) => sweep(transaction, view, counters, now_ms)?,
            Err(refused) => return Ok(Err(refused)),
        }
    }
}

fn sweep(
    transaction: &Transaction<'_>,
    view: &mut View,
    counters: BTreeSet<String>,
    now_ms: i64,
) -> Result<(), Fault> {
    let touched = load::expired(transaction, view, &counters, now_ms)?;
    let needs = Needs {
        counters: touched,
        ..Needs::default()
    };
    load::needs(transaction, view, &needs, now_ms)?;
    view.swept.extend(counters);
    Ok(())
}

fn complete(transaction: &Transaction<'_>, outcome: Outcome) -> Result<Result<Done, Error>, Fault> {
    let Outcome::Answer(key, fence, _) = &outcome else {
        return Ok(Ok(Done {
            outcome,
            result: None,
        }));
    };
    let stored = answer(transaction, key, *fence)?;
    Ok(engine::answer(key, *fence, stored).map(|result| Done {
        outcome,
        result: Some(result),
    }))
}

fn answer(
    transaction: &Transaction<'_>,
    key: &EffectKey,
    fence: u32,
) -> Result<Option<engine::StoredAnswer>, Fault> {
    let mut statement = transaction.prepare_cached("SELECT * FROM attempt WHERE key = ?1 AND fence = ?2")?;
    let stored = statement
        .query_row(params![key.as_str(), fence], rows::answer)
        .optional()?;
    Ok(stored)
}
