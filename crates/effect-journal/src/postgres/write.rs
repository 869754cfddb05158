//! Rows out of the view, and the commit, in one go.

use std::collections::BTreeMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::connection::Writer;
use super::fault::Fault;
use super::rows::{class_name, counts_name, stored};
use crate::engine::{Attempt, Effect, Mark, Response, View};
use crate::{EffectKey, RequestDigest, Spend, State};

/// How much a check writes: a claim needs a row, at times a split of some index pages, and a limit's standing.
const ROOM_BYTES: usize = 48 * 1024;

/// A row to be written, as a statement takes it.
type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What of a batch is to be written and read back.
pub(super) struct Changes<'a> {
    /// The rows.
    pub(super) view: &'a View,
    /// The effects that are stored as a first grant leaves them.
    pub(super) inserted: &'a BTreeMap<EffectKey, RequestDigest>,
    /// The answers to be read back.
    pub(super) answers: &'a [(EffectKey, u32)],
    /// Whether to write and delete as much as a claim can need.
    pub(super) probe: bool,
}

/// Writes what was changed, reads the answers back and commits.
pub(super) async fn commit(writer: &Writer, batch: &Changes<'_>) -> Result<Vec<Row>, Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let view = batch.view;
    let effects = effects(view, batch.inserted);
    let new = attempts(view, |mark, _| mark == Mark::New);
    let changed = attempts(view, |mark, attempt| {
        mark == Mark::Changed || !is_as_granted(attempt)
    });
    if is_unchanged(batch, effects.len()) {
        // Nothing to wait for the disk for; what was inserted to be locked is taken back.
        let (answers, ended) = tokio::join!(
            biased;
            read_back(writer, batch.answers),
            client.batch_execute("ROLLBACK"),
        );
        ended?;
        return answers;
    }
    let (effects, new, changed, accounts, tickets, budgets, rest, answers, committed) = tokio::join!(
        biased;
        update_effects(client, &statements.update_effects, &effects),
        insert_attempts(client, &statements.insert_attempts, &new),
        update_attempts(client, &statements.update_attempts, &changed),
        put_accounts(writer, view),
        put_tickets(writer, view),
        put_budgets(writer, view),
        put_notes(writer, view, batch.probe),
        read_back(writer, batch.answers),
        client.batch_execute("COMMIT"),
    );
    // Each of them first: the server answers the commit of a transaction that has failed with a rollback, and calls
    // that a success.
    for written in [effects, new, changed, accounts, tickets, budgets, rest] {
        written.map_err(Fault::while_committing)?;
    }
    let answers = answers.map_err(Fault::while_committing)?;
    committed.map_err(|error| Fault::from(error).while_committing())?;
    Ok(answers)
}

fn is_unchanged(batch: &Changes<'_>, effects: usize) -> bool {
    let view = batch.view;
    let refused = batch.inserted.keys().all(|key| view.effects.get(key).is_none());
    let effects = if refused {
        effects - batch.inserted.len()
    } else {
        effects
    };
    effects == 0
        && !batch.probe
        && (refused || batch.inserted.is_empty())
        && view.attempts.dirty().next().is_none()
        && view.counters.dirty().next().is_none()
        && view.limits.dirty().next().is_none()
        && view.budgets.dirty().next().is_none()
        && view.budgets.removed().next().is_none()
        && view.tickets.dirty().next().is_none()
        && view.tickets.removed().next().is_none()
        && view.notes.is_empty()
}

/// Returns the effects that are not stored as they have to be.
fn effects<'a>(
    view: &'a View,
    inserted: &'a BTreeMap<EffectKey, RequestDigest>,
) -> Vec<(&'a EffectKey, Effect)> {
    let as_inserted = |key: &EffectKey, effect: &Effect| {
        effect.fence == 1 && effect.committed_fence.is_none() && inserted.get(key) == Some(&effect.digest)
    };
    let changed = view
        .effects
        .dirty()
        .filter(|(key, effect, _)| !as_inserted(key, effect));
    let changed = changed.map(|(key, effect, _)| (key, *effect));
    // A first claim that was refused: the row stays to be locked again, and stands for none.
    let refused = inserted.iter().filter(|(key, _)| view.effects.get(key).is_none());
    let refused = refused.map(|(key, digest)| {
        let none = Effect {
            digest: *digest,
            fence: 0,
            committed_fence: None,
        };
        (key, none)
    });
    changed.chain(refused).collect()
}

type Place<'a> = (&'a EffectKey, u32, &'a Attempt);

fn attempts(view: &View, wanted: impl Fn(Mark, &Attempt) -> bool) -> Vec<Place<'_>> {
    view.attempts
        .dirty()
        .filter(|(_, attempt, mark)| wanted(*mark, attempt))
        .map(|((key, fence), attempt, _)| (key, *fence, attempt))
        .collect()
}

/// Tells whether an attempt is as its insertion leaves it.
fn is_as_granted(attempt: &Attempt) -> bool {
    attempt.state == State::Reserved
        && attempt.sent_unix_ms.is_none()
        && attempt.ended_unix_ms.is_none()
        && attempt.reason.is_none()
        && !attempt.by_hand
}

async fn update_effects(
    client: &Client,
    statement: &Statement,
    rows: &[(&EffectKey, Effect)],
) -> Result<(), Fault> {
    run(
        client,
        statement,
        rows.len(),
        &[
            &column(rows, |(key, _)| key.as_str()),
            &column(rows, |(_, effect)| &effect.digest.as_bytes()[..]),
            &column(rows, |(_, effect)| i64::from(effect.fence)),
            &column(rows, |(_, effect)| effect.committed_fence.map(i64::from)),
        ],
    )
    .await
}

async fn insert_attempts(client: &Client, statement: &Statement, rows: &[Place<'_>]) -> Result<(), Fault> {
    let bound = |count: fn(&Spend) -> u64| column(rows, move |(_, _, attempt)| stored(count(&attempt.bound)));
    run(
        client,
        statement,
        rows.len(),
        &[
            &column(rows, |(key, ..)| key.as_str()),
            &column(rows, |(_, fence, _)| i64::from(*fence)),
            &column(rows, |(.., attempt)| class_name(attempt.class)),
            &column(rows, |(.., attempt)| attempt.owner.as_str()),
            &column(rows, |(.., attempt)| attempt.model.as_str()),
            &column(rows, |(.., attempt)| attempt.provider.as_str()),
            &column(rows, |(.., attempt)| attempt.tenant.as_deref()),
            &column(rows, |(.., attempt)| attempt.price_table.as_str()),
            &bound(|spend| spend.input_tokens),
            &bound(|spend| spend.cached_input_tokens),
            &bound(|spend| spend.cache_write_input_tokens),
            &bound(|spend| spend.output_tokens),
            &bound(|spend| spend.reasoning_tokens),
            &column(rows, |(.., attempt)| attempt.bound.cost_micros),
            &column(rows, |(.., attempt)| attempt.claimed_unix_ms),
            &column(rows, |(.., attempt)| attempt.lease_ms),
            &column(rows, |(.., attempt)| attempt.lease_until_unix_ms),
            // No account's name has a line's end.
            &column(rows, |(.., attempt)| attempt.counters.join("\n")),
            &column(rows, |(.., attempt)| {
                attempt.limit.as_ref().map(|limit| limit.name.as_str())
            }),
            &column(rows, |(.., attempt)| {
                attempt.limit.as_ref().map(|limit| limit.bucket)
            }),
            &column(rows, |(.., attempt)| {
                attempt.limit.as_ref().map(|limit| stored(limit.tokens))
            }),
            &column(rows, |(.., attempt)| {
                attempt.limit.as_ref().map(|limit| counts_name(limit.counts))
            }),
        ],
    )
    .await
}

async fn update_attempts(client: &Client, statement: &Statement, rows: &[Place<'_>]) -> Result<(), Fault> {
    let spent = |count: fn(&Spend) -> u64| {
        column(rows, move |(_, _, attempt)| {
            attempt.spend.as_ref().map(|spend| stored(count(spend)))
        })
    };
    run(
        client,
        statement,
        rows.len(),
        &[
            &column(rows, |(key, ..)| key.as_str()),
            &column(rows, |(_, fence, _)| i64::from(*fence)),
            &column(rows, |(.., attempt)| attempt.state.as_str()),
            &column(rows, |(.., attempt)| attempt.lease_until_unix_ms),
            &column(rows, |(.., attempt)| attempt.sent_unix_ms),
            &column(rows, |(.., attempt)| attempt.ended_unix_ms),
            &column(rows, |(.., attempt)| attempt.reason.as_deref()),
            &column(rows, |(.., attempt)| attempt.by_hand),
            &spent(|spend| spend.input_tokens),
            &spent(|spend| spend.cached_input_tokens),
            &spent(|spend| spend.cache_write_input_tokens),
            &spent(|spend| spend.output_tokens),
            &spent(|spend| spend.reasoning_tokens),
            &column(rows, |(.., attempt)| {
                attempt.spend.as_ref().map(|spend| spend.cost_micros)
            }),
            &column(rows, |(.., attempt)| {
                attempt.checksum.as_ref().map(|checksum| &checksum[..])
            }),
            &column(rows, |(.., attempt)| match &attempt.response {
                Response::New(bytes) => Some(bytes.as_slice()),
                Response::Absent | Response::Stored => None,
            }),
        ],
    )
    .await
}

/// Writes what accounts and limits hold; their rows are there, because they were locked.
async fn put_accounts(writer: &Writer, view: &View) -> Result<(), Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let amounts: Vec<_> = view.counters.dirty().collect();
    let mut standings = Vec::new();
    for (name, limit, _) in view.limits.dirty() {
        standings.push((name.as_str(), limit.to_json()?));
    }
    let (accounts, limits) = tokio::join!(
        biased;
        async {
            run(client, &statements.update_accounts, amounts.len(), &[
                &column(&amounts, |(name, ..)| name.as_str()),
                &column(&amounts, |(_, amount, _)| amount.cost_micros),
                &column(&amounts, |(_, amount, _)| stored(amount.tokens)),
            ])
            .await
        },
        async {
            run(client, &statements.update_limits, standings.len(), &[
                &column(&standings, |(name, _)| *name),
                &column(&standings, |(_, standing)| standing.as_str()),
            ])
            .await
        },
    );
    accounts.and(limits)
}

async fn put_tickets(writer: &Writer, view: &View) -> Result<(), Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let tickets: Vec<_> = view.tickets.dirty().collect();
    let gone: Vec<&str> = view.tickets.removed().map(EffectKey::as_str).collect();
    let (put, deleted) = tokio::join!(
        biased;
        async {
            run(client, &statements.put_tickets, tickets.len(), &[
                &column(&tickets, |(key, ..)| key.as_str()),
                &column(&tickets, |(_, ticket, _)| ticket.limit.as_str()),
                &column(&tickets, |(_, ticket, _)| ticket.bucket),
                &column(&tickets, |(_, ticket, _)| stored(ticket.tokens)),
            ])
            .await
        },
        async { delete(client, &statements.delete_tickets, gone.len(), &[&gone]).await },
    );
    put.and(deleted)
}

async fn put_budgets(writer: &Writer, view: &View) -> Result<(), Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let budgets: Vec<_> = view.budgets.dirty().collect();
    let gone: Vec<_> = view.budgets.removed().collect();
    let (put, deleted) = tokio::join!(
        biased;
        async {
            run(client, &statements.put_budgets, budgets.len(), &[
                &column(&budgets, |((tenant, _), ..)| tenant.as_str()),
                &column(&budgets, |((_, period), ..)| period.as_str()),
                &column(&budgets, |(_, row, _)| row.max.cost_micros),
                &column(&budgets, |(_, row, _)| row.max.tokens.map(stored)),
                &column(&budgets, |(_, row, _)| row.changed_unix_ms),
                &column(&budgets, |(_, row, _)| row.changed_by.as_str()),
            ])
            .await
        },
        async {
            delete(client, &statements.delete_budgets, gone.len(), &[
                &column(&gone, |(tenant, _)| tenant.as_str()),
                &column(&gone, |(_, period)| period.as_str()),
            ])
            .await
        },
    );
    put.and(deleted)
}

async fn put_notes(writer: &Writer, view: &View, probe: bool) -> Result<(), Fault> {
    let (client, statements) = (&writer.connection.client, &writer.statements);
    let notes = &view.notes;
    let (added, probed) = tokio::join!(
        biased;
        async {
            run(client, &statements.insert_notes, notes.len(), &[
                &column(notes, |note| note.unix_ms),
                &column(notes, |note| note.actor.as_str()),
                &column(notes, |note| note.action.as_str()),
                &column(notes, |note| note.subject.as_str()),
                &column(notes, |note| note.key.as_ref().map(EffectKey::as_str)),
                &column(notes, |note| note.before.as_str()),
                &column(notes, |note| note.after.as_str()),
                &column(notes, |note| note.reason.as_str()),
            ])
            .await
        },
        async {
            if !probe {
                return Ok(());
            }
            let room = format!(
                "INSERT INTO probe (room) VALUES (convert_to(repeat('0', {ROOM_BYTES}), 'SQL_ASCII')); DELETE FROM probe"
            );
            Ok(client.batch_execute(&room).await?)
        },
    );
    added.and(probed)
}

async fn read_back(writer: &Writer, answers: &[(EffectKey, u32)]) -> Result<Vec<Row>, Fault> {
    if answers.is_empty() {
        return Ok(Vec::new());
    }
    let keys = column(answers, |(key, _)| key.as_str());
    let fences = column(answers, |(_, fence)| i64::from(*fence));
    let client = &writer.connection.client;
    Ok(client
        .query(&writer.statements.answers, &[&keys, &fences])
        .await?)
}

/// Runs a statement on columns that were made of so many rows; on none, nothing is sent.
async fn run(client: &Client, statement: &Statement, rows: usize, columns: Params<'_>) -> Result<(), Fault> {
    if rows == 0 {
        return Ok(());
    }
    let written = client.execute(statement, columns).await?;
    // Every row was there or not there a moment ago, under a lock. The transaction may be committed all the same; what
    // matters is that nobody acts on it.
    if usize::try_from(written) != Ok(rows) {
        return Err(Fault::damaged(format!("{written} of {rows} rows were written")));
    }
    Ok(())
}

/// Deletes rows; one that is gone already is no loss.
async fn delete(
    client: &Client,
    statement: &Statement,
    rows: usize,
    columns: Params<'_>,
) -> Result<(), Fault> {
    if rows > 0 {
        client.execute(statement, columns).await?;
    }
    Ok(())
}

fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
