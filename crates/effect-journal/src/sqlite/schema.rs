//! The tables, and how an older file comes to have them.
//!
//! One row per effect holds what may change hands (the latest fence, the committed one); one row per attempt is
//! the ledger and is never deleted. The schema itself refuses a second commit and a settled attempt without a
//! spend, so that a defect above it fails loudly instead of rewriting money. States are stored as words: an
//! operator with only the `sqlite3` shell can read the ledger.

use rusqlite::{Connection, TransactionBehavior};

/// The schema version of a file, which is the number of migrations applied to it.
pub(super) const VERSION: i64 = 1;

// The response comes last in its row: a listing then reads none of the pages that hold responses.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE effect (
    key TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    fence INTEGER NOT NULL CHECK (fence > 0),
    committed_fence INTEGER CHECK (committed_fence BETWEEN 1 AND fence)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    key TEXT NOT NULL REFERENCES effect (key),
    fence INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'sent', 'settled', 'released', 'unknown')),
    class TEXT NOT NULL CHECK (class IN ('paid', 'free')),
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    bound_input_tokens INTEGER NOT NULL,
    bound_cached_input_tokens INTEGER NOT NULL,
    bound_output_tokens INTEGER NOT NULL,
    bound_reasoning_tokens INTEGER NOT NULL,
    bound_cost_micros INTEGER NOT NULL,
    claimed_unix_ms INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL,
    lease_until_unix_ms INTEGER NOT NULL,
    sent_unix_ms INTEGER,
    ended_unix_ms INTEGER,
    reason TEXT,
    spent_input_tokens INTEGER,
    spent_cached_input_tokens INTEGER,
    spent_output_tokens INTEGER,
    spent_reasoning_tokens INTEGER,
    spent_cost_micros INTEGER CHECK ((spent_cost_micros IS NOT NULL) = (state = 'settled')),
    checksum BLOB,
    response BLOB,
    PRIMARY KEY (key, fence)
) STRICT;

CREATE INDEX attempt_with_response ON attempt (ended_unix_ms) WHERE response IS NOT NULL;

CREATE TRIGGER effect_commits_once BEFORE UPDATE OF committed_fence ON effect
WHEN OLD.committed_fence IS NOT NULL AND NEW.committed_fence IS NOT OLD.committed_fence
BEGIN
    SELECT RAISE(ABORT, 'a committed result never changes');
END;

CREATE TABLE probe (room BLOB NOT NULL) STRICT;
"];

/// Brings a file to [`VERSION`]; returns the version that it had, which is newer than ours if nothing was done.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    // The lock comes before the look, so that two processes that open a new file do not both create it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let applied = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(applied) {
        transaction.execute_batch(migration)?;
    }
    if found < VERSION {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(found)
}
