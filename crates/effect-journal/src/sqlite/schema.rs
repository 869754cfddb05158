//! The tables, and how an older file comes to have them.
//!
//! One row per effect holds what may change hands (the latest fence, the committed one); one row per attempt is
//! the ledger and is never deleted. The schema itself refuses a second commit, a settled attempt without a spend and
//! a changed note, so that a defect above it fails loudly instead of rewriting money. States are stored as words: an
//! operator with only the `sqlite3` shell can read the ledger.

use rusqlite::{Connection, TransactionBehavior};

/// The schema version of a file, which is the number of migrations applied to it.
pub(super) const VERSION: i64 = 2;

// The response comes last in its row: a listing then reads none of the pages that hold responses.
const EFFECTS_AND_ATTEMPTS: &str = "
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
";

// The table of attempts is made anew: columns that are added to a table come after its last, which is the response.
const BUDGETS_AND_LIMITS: &str = "
CREATE TABLE attempt_2 (
    key TEXT NOT NULL REFERENCES effect (key),
    fence INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'sent', 'settled', 'released', 'unknown')),
    class TEXT NOT NULL CHECK (class IN ('paid', 'free')),
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    tenant TEXT,
    price_table TEXT NOT NULL,
    bound_input_tokens INTEGER NOT NULL,
    bound_cached_input_tokens INTEGER NOT NULL,
    bound_cache_write_input_tokens INTEGER NOT NULL,
    bound_output_tokens INTEGER NOT NULL,
    bound_reasoning_tokens INTEGER NOT NULL,
    bound_cost_micros INTEGER NOT NULL,
    claimed_unix_ms INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL,
    lease_until_unix_ms INTEGER NOT NULL,
    sent_unix_ms INTEGER,
    ended_unix_ms INTEGER,
    reason TEXT,
    by_hand INTEGER NOT NULL CHECK (by_hand IN (0, 1)),
    accounts TEXT NOT NULL CHECK (json_valid(accounts)),
    limit_name TEXT,
    limit_bucket INTEGER CHECK ((limit_bucket IS NULL) = (limit_name IS NULL)),
    limit_tokens INTEGER CHECK ((limit_tokens IS NULL) = (limit_name IS NULL)),
    limit_counts TEXT CHECK (limit_counts IN ('actual', 'reserved') AND limit_name IS NOT NULL
        OR limit_counts IS NULL AND limit_name IS NULL),
    spent_input_tokens INTEGER,
    spent_cached_input_tokens INTEGER,
    spent_cache_write_input_tokens INTEGER,
    spent_output_tokens INTEGER,
    spent_reasoning_tokens INTEGER,
    spent_cost_micros INTEGER CHECK ((spent_cost_micros IS NOT NULL) = (state = 'settled')),
    checksum BLOB,
    response BLOB,
    PRIMARY KEY (key, fence)
) STRICT;

INSERT INTO attempt_2 (key, fence, state, class, owner, model, provider, tenant, price_table,
    bound_input_tokens, bound_cached_input_tokens, bound_cache_write_input_tokens, bound_output_tokens,
    bound_reasoning_tokens, bound_cost_micros, claimed_unix_ms, lease_ms, lease_until_unix_ms, sent_unix_ms,
    ended_unix_ms, reason, by_hand, accounts, spent_input_tokens, spent_cached_input_tokens,
    spent_cache_write_input_tokens, spent_output_tokens, spent_reasoning_tokens, spent_cost_micros, checksum, response)
SELECT key, fence, state, class, owner, model, provider, NULL, '',
    bound_input_tokens, bound_cached_input_tokens, 0, bound_output_tokens,
    bound_reasoning_tokens, bound_cost_micros, claimed_unix_ms, lease_ms, lease_until_unix_ms, sent_unix_ms,
    ended_unix_ms, reason, 0, '[]', spent_input_tokens, spent_cached_input_tokens,
    iif(state = 'settled', 0, NULL), spent_output_tokens, spent_reasoning_tokens, spent_cost_micros, checksum, response
FROM attempt;

DROP TABLE attempt;
ALTER TABLE attempt_2 RENAME TO attempt;

CREATE INDEX attempt_with_response ON attempt (ended_unix_ms) WHERE response IS NOT NULL;
CREATE INDEX attempt_by_time ON attempt (claimed_unix_ms);
CREATE INDEX attempt_reserved ON attempt (lease_until_unix_ms) WHERE state = 'reserved';
CREATE INDEX attempt_in_flight ON attempt (limit_name, lease_until_unix_ms) WHERE state IN ('reserved', 'sent');

CREATE TABLE account (
    name TEXT PRIMARY KEY NOT NULL,
    cost_micros INTEGER NOT NULL,
    tokens INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant_budget (
    tenant TEXT NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('day', 'month', 'total')),
    max_cost_micros INTEGER,
    max_tokens INTEGER,
    changed_unix_ms INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (tenant, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE provider_limit (
    name TEXT PRIMARY KEY NOT NULL,
    standing TEXT NOT NULL CHECK (json_valid(standing))
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket (
    key TEXT PRIMARY KEY NOT NULL,
    limit_name TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    tokens INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE note (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    unix_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    key TEXT,
    before_json TEXT NOT NULL,
    after_json TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE TRIGGER notes_never_change BEFORE UPDATE ON note
BEGIN
    SELECT RAISE(ABORT, 'a note never changes');
END;

CREATE TRIGGER notes_stay BEFORE DELETE ON note
BEGIN
    SELECT RAISE(ABORT, 'a note is never deleted');
END;
";

const MIGRATIONS: [&str; 2] = [EFFECTS_AND_ATTEMPTS, BUDGETS_AND_LIMITS];

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
