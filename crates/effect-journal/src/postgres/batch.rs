//! One transaction of the engine's: load, apply, write.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::Writer;
use super::fault::Fault;
use super::load::{self, Begun};
use super::rows;
use super::write::{self, Changes};
use crate::engine::{self, Config, Op, Outcome, Step, View};
use crate::{Clock, Committed, EffectKey, Error};

/// What the engine needs to know beside the rows.
#[derive(Clone)]
pub(super) struct Setup {
    /// Tells the time in place of the server's clock.
    pub(super) clock: Option<Arc<dyn Clock>>,
    /// The engine's own.
    pub(super) config: Config,
}

/// What became of an operation, with the effect's result if the outcome asks for it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) result: Option<Committed>,
}

/// Performs operations in their order within one transaction, and writes a probe if asked to.
///
/// What an operation is refused for is its own affair.
pub(super) async fn perform(
    writer: &Writer,
    setup: &Setup,
    (ops, probe): (&[Op], bool),
) -> Result<Vec<Result<Done, Error>>, Fault> {
    let Begun {
        mut view,
        now_ms,
        inserted,
    } = load::begin(writer, ops).await?;
    let now_ms = setup.clock.as_ref().map_or(now_ms, |clock| clock.unix_ms());
    let needs = engine::needs(ops, &view, now_ms);
    load::needs(writer, &mut view, (ops, now_ms), &needs).await?;
    let mut outcomes = Vec::with_capacity(ops.len());
    for op in ops {
        outcomes.push(apply(writer, setup, &mut view, (op, now_ms)).await?);
    }
    let answers: Vec<(EffectKey, u32)> = outcomes.iter().flatten().filter_map(asked).collect();
    let changes = Changes {
        view: &view,
        inserted: &inserted,
        answers: &answers,
        probe,
    };
    let found = write::commit(writer, &changes).await?;
    let found = found
        .iter()
        .map(rows::answer)
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let complete = |outcome: Outcome| {
        let Some((key, fence)) = asked(&outcome) else {
            return Ok(Done {
                outcome,
                result: None,
            });
        };
        let result = engine::answer(&key, fence, found.get(&(key.clone(), fence)).cloned())?;
        Ok(Done {
            outcome,
            result: Some(result),
        })
    };
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.and_then(complete))
        .collect())
}

async fn apply(
    writer: &Writer,
    setup: &Setup,
    view: &mut View,
    (op, now_ms): (&Op, i64),
) -> Result<Result<Outcome, Error>, Fault> {
    loop {
        match engine::apply(op, view, now_ms, setup.config) {
            Ok(Step::Done(outcome)) => return Ok(Ok(outcome)),
            Ok(Step::Sweep(accounts)) => {
                load::expired(writer, view, &accounts, now_ms).await?;
                view.swept.extend(accounts);
            }
            Err(refused) => return Ok(Err(refused)),
        }
    }
}

fn asked(outcome: &Outcome) -> Option<(EffectKey, u32)> {
    match outcome {
        Outcome::Answer(key, fence, _) => Some((key.clone(), *fence)),
        Outcome::Claim(_) | Outcome::Cleared | Outcome::Settled(_) | Outcome::Done => None,
    }
}
