//! The tables, and how an older schema comes to have them.
//!
//! As in every store: one row per effect holds what may change hands, one row per attempt is the ledger and is never
//! deleted, and the schema itself refuses a second commit, a settled attempt without a spend and a changed note.
//! Keys sort by their bytes, whatever language the database speaks.
//!
//! There is no foreign key from attempts to effects. It would look up and lock the effect once more for every
//! attempt, and the effect is locked by whoever writes an attempt of it.

use tokio_postgres::Client;

use super::connection::Source;

/// The schema's version, which is the number of migrations applied to it.
pub(super) const VERSION: i64 = 1;

// `open` is a column, so that marking an attempt as sent changes nothing that an index looks at: the row then finds
// room beside its old version, and no index is written.
const MIGRATIONS: [&str; 1] = [r#"
CREATE TABLE effect (
    key text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    fence bigint NOT NULL CHECK (fence >= 0),
    committed_fence bigint CHECK (committed_fence BETWEEN 1 AND fence)
) WITH (fillfactor = 50);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;

CREATE TRIGGER effect_commits_once BEFORE UPDATE OF committed_fence ON effect FOR EACH ROW
WHEN (OLD.committed_fence IS NOT NULL AND NEW.committed_fence IS DISTINCT FROM OLD.committed_fence)
EXECUTE FUNCTION refuse('a committed result never changes');

CREATE TABLE attempt (
    key text COLLATE "C" NOT NULL,
    fence bigint NOT NULL CHECK (fence > 0),
    state text NOT NULL CHECK (state IN ('reserved', 'sent', 'settled', 'released', 'unknown')),
    open boolean NOT NULL GENERATED ALWAYS AS (state IN ('reserved', 'sent')) STORED,
    class text NOT NULL CHECK (class IN ('paid', 'free')),
    owner text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    tenant text,
    price_table text NOT NULL,
    bound_input_tokens bigint NOT NULL,
    bound_cached_input_tokens bigint NOT NULL,
    bound_cache_write_input_tokens bigint NOT NULL,
    bound_output_tokens bigint NOT NULL,
    bound_reasoning_tokens bigint NOT NULL,
    bound_cost_micros bigint NOT NULL,
    claimed_unix_ms bigint NOT NULL,
    lease_ms bigint NOT NULL,
    lease_until_unix_ms bigint NOT NULL,
    sent_unix_ms bigint,
    ended_unix_ms bigint,
    reason text,
    by_hand boolean NOT NULL,
    spent_input_tokens bigint,
    spent_cached_input_tokens bigint,
    spent_cache_write_input_tokens bigint,
    spent_output_tokens bigint,
    spent_reasoning_tokens bigint,
    spent_cost_micros bigint CHECK ((spent_cost_micros IS NOT NULL) = (state = 'settled')),
    accounts text[] NOT NULL,
    limit_name text,
    limit_bucket bigint,
    limit_tokens bigint,
    limit_counts text CHECK (limit_counts IN ('actual', 'reserved')),
    checksum bytea,
    response bytea,
    PRIMARY KEY (key, fence)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX attempt_open ON attempt (limit_name) WHERE open;
CREATE INDEX attempt_with_response ON attempt (ended_unix_ms) WHERE response IS NOT NULL;
CREATE INDEX attempt_claimed ON attempt USING brin (claimed_unix_ms);

CREATE TABLE account (
    name text COLLATE "C" PRIMARY KEY,
    cost_micros bigint NOT NULL DEFAULT 0,
    tokens bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE tenant_budget (
    tenant text COLLATE "C" NOT NULL,
    period text NOT NULL CHECK (period IN ('day', 'month', 'total')),
    max_cost_micros bigint,
    max_tokens bigint,
    changed_unix_ms bigint NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (tenant, period)
);

CREATE TABLE provider_limit (
    name text COLLATE "C" PRIMARY KEY,
    standing text
) WITH (fillfactor = 50);

CREATE TABLE ticket (
    key text COLLATE "C" PRIMARY KEY,
    limit_name text NOT NULL,
    bucket bigint NOT NULL,
    tokens bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE note (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unix_ms bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    key text COLLATE "C",
    before_json text NOT NULL,
    after_json text NOT NULL,
    reason text NOT NULL
);

CREATE TRIGGER note_stays BEFORE UPDATE OR DELETE ON note FOR EACH ROW
EXECUTE FUNCTION refuse('a note never changes');

CREATE TABLE probe (room bytea NOT NULL);
ALTER TABLE probe ALTER COLUMN room SET STORAGE EXTERNAL;
"#];

/// Which migrations were applied, and when.
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    version bigint PRIMARY KEY,
    applied timestamptz NOT NULL DEFAULT now()
)";

/// Returns the version of the schema that the connection's search path leads to; 0 if it has no tables.
pub(super) async fn version(client: &Client) -> Result<i64, Source> {
    let there = client
        .query_one("SELECT to_regclass('schema_version') IS NOT NULL", &[])
        .await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = client
        .query_one("SELECT max(version) FROM schema_version", &[])
        .await?;
    Ok(row.try_get::<_, Option<i64>>(0)?.unwrap_or(0))
}

/// Brings a schema to [`VERSION`]; returns the version that it had, which is newer than ours if nothing was done.
///
/// A user that may not create anything can use a schema that somebody else brought to this version.
pub(super) async fn migrate(client: &Client, schema: &str) -> Result<i64, Source> {
    let found = version(client).await?;
    if found >= VERSION {
        return Ok(found);
    }
    // The lock comes before the look that counts, so that of many workers that start together one migrates. It is the
    // session's: only at the beginning of a transaction does the server learn what others have made meanwhile. It ends
    // with the connection, which is used for nothing else.
    let lock = format!("SELECT pg_advisory_lock(hashtext('effect-journal'), hashtext('{schema}'))");
    client.batch_execute(&lock).await?;
    client.batch_execute("BEGIN").await?;
    let found = version(client).await?;
    if found < VERSION {
        // Asked for first, because even the wish for a schema that is there needs the right to create one.
        let there = client
            .query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&schema])
            .await?;
        if !there.try_get::<_, bool>(0)? {
            client.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
        }
        client.batch_execute(VERSIONS).await?;
        for (number, migration) in (1_i64..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
            client.batch_execute(migration).await?;
            client
                .execute("INSERT INTO schema_version (version) VALUES ($1)", &[&number])
                .await?;
        }
    }
    client.batch_execute("COMMIT").await?;
    Ok(found)
}
