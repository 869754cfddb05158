//! The statements of a writer, prepared once for each connection.
//!
//! All of them take arrays: a batch of any size is one statement for each table. What is locked is locked in the order
//! of its key, effects before accounts before limits, so that writers wait for each other and do not deadlock.

use tokio_postgres::{Client, Statement};

use super::rows::{ANSWER, ATTEMPT, BUDGET};

/// A writer's prepared statements.
pub(super) struct Statements {
    pub(super) insert_effects: Statement,
    pub(super) lock_effects: Statement,
    pub(super) attempts: Statement,
    pub(super) tickets: Statement,
    pub(super) now: Statement,
    pub(super) insert_accounts: Statement,
    pub(super) lock_accounts: Statement,
    pub(super) budgets: Statement,
    pub(super) insert_limits: Statement,
    pub(super) lock_limits: Statement,
    pub(super) in_flight: Statement,
    pub(super) expired: Statement,
    pub(super) answers: Statement,
    pub(super) update_effects: Statement,
    pub(super) insert_attempts: Statement,
    pub(super) update_attempts: Statement,
    pub(super) update_accounts: Statement,
    pub(super) update_limits: Statement,
    pub(super) put_tickets: Statement,
    pub(super) delete_tickets: Statement,
    pub(super) put_budgets: Statement,
    pub(super) delete_budgets: Statement,
    pub(super) insert_notes: Statement,
}

/// What is inserted is held by the inserter until it commits. A claim is usually granted, so the row is the one that
/// a first grant leaves.
const INSERT_EFFECTS: &str = "INSERT INTO effect (key, digest, fence)
    SELECT key, digest, 1 FROM unnest($1::text[], $2::bytea[]) AS new (key, digest)
    ON CONFLICT (key) DO NOTHING RETURNING key";

/// What this transaction inserted itself is left out: it is held already, and stands for nothing.
const LOCK_EFFECTS: &str = "SELECT key, digest, fence, committed_fence FROM effect
    WHERE key = ANY($1::text[]) AND xmin <> pg_current_xact_id()::xid ORDER BY key FOR UPDATE";

const TICKETS: &str = "SELECT key, limit_name, bucket, tokens FROM ticket WHERE key = ANY($1::text[])";

/// A statement of its own after the locks: a time that was read while waiting for them could be seconds old.
const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const INSERT_ACCOUNTS: &str =
    "INSERT INTO account (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING";

const LOCK_ACCOUNTS: &str = "SELECT name, cost_micros, tokens FROM account
    WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE";

const INSERT_LIMITS: &str =
    "INSERT INTO provider_limit (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING";

const LOCK_LIMITS: &str = "SELECT name, standing FROM provider_limit
    WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE";

const IN_FLIGHT: &str = "SELECT limit_name, count(*) FROM attempt
    WHERE limit_name = ANY($1::text[]) AND open AND lease_until_unix_ms > $2 GROUP BY limit_name";

const UPDATE_EFFECTS: &str =
    "UPDATE effect SET digest = new.digest, fence = new.fence, committed_fence = new.committed
    FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[]) AS new (key, digest, fence, committed)
    WHERE effect.key = new.key";

const INSERT_ATTEMPTS: &str = "INSERT INTO attempt (key, fence, state, by_hand, class, owner, model, provider, tenant,
        price_table, bound_input_tokens, bound_cached_input_tokens, bound_cache_write_input_tokens,
        bound_output_tokens, bound_reasoning_tokens, bound_cost_micros, claimed_unix_ms, lease_ms,
        lease_until_unix_ms, accounts, limit_name, limit_bucket, limit_tokens, limit_counts)
    SELECT key, fence, 'reserved', false, class, owner, model, provider, tenant, price_table, input, cached,
        cache_write, output, reasoning, cost, claimed, lease, lease_until, string_to_array(accounts, E'\\n'),
        limit_name, bucket, tokens, counts
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[],
        $16::bigint[], $17::bigint[], $18::text[], $19::text[], $20::bigint[], $21::bigint[], $22::text[])
    AS new (key, fence, class, owner, model, provider, tenant, price_table, input, cached, cache_write, output,
        reasoning, cost, claimed, lease, lease_until, accounts, limit_name, bucket, tokens, counts)";

const UPDATE_ATTEMPTS: &str = "UPDATE attempt SET state = new.state, lease_until_unix_ms = new.lease_until,
        sent_unix_ms = new.sent, ended_unix_ms = new.ended, reason = new.reason, by_hand = new.by_hand,
        spent_input_tokens = new.input, spent_cached_input_tokens = new.cached,
        spent_cache_write_input_tokens = new.cache_write, spent_output_tokens = new.output,
        spent_reasoning_tokens = new.reasoning, spent_cost_micros = new.cost, checksum = new.checksum,
        response = coalesce(new.response, attempt.response)
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
        $8::boolean[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
        $15::bytea[], $16::bytea[])
    AS new (key, fence, state, lease_until, sent, ended, reason, by_hand, input, cached, cache_write, output,
        reasoning, cost, checksum, response)
    WHERE attempt.key = new.key AND attempt.fence = new.fence";

const UPDATE_ACCOUNTS: &str = "UPDATE account SET cost_micros = new.cost, tokens = new.tokens
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (name, cost, tokens) WHERE account.name = new.name";

const UPDATE_LIMITS: &str = "UPDATE provider_limit SET standing = new.standing
    FROM unnest($1::text[], $2::text[]) AS new (name, standing) WHERE provider_limit.name = new.name";

const PUT_TICKETS: &str = "INSERT INTO ticket (key, limit_name, bucket, tokens)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    ON CONFLICT (key) DO UPDATE
    SET limit_name = excluded.limit_name, bucket = excluded.bucket, tokens = excluded.tokens";

const DELETE_TICKETS: &str = "DELETE FROM ticket WHERE key = ANY($1::text[])";

const PUT_BUDGETS: &str = "INSERT INTO tenant_budget
        (tenant, period, max_cost_micros, max_tokens, changed_unix_ms, changed_by)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
    ON CONFLICT (tenant, period) DO UPDATE SET max_cost_micros = excluded.max_cost_micros,
        max_tokens = excluded.max_tokens, changed_unix_ms = excluded.changed_unix_ms,
        changed_by = excluded.changed_by";

const DELETE_BUDGETS: &str =
    "DELETE FROM tenant_budget USING unnest($1::text[], $2::text[]) AS old (tenant, period)
    WHERE tenant_budget.tenant = old.tenant AND tenant_budget.period = old.period";

const INSERT_NOTES: &str = "INSERT INTO note
        (unix_ms, actor, action, subject, key, before_json, after_json, reason)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[])";

impl Statements {
    /// Prepares all of them.
    pub(super) async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let attempts = format!("SELECT {ATTEMPT} FROM attempt a WHERE a.key = ANY($1::text[])");
        // Whoever holds one of the effects is about to end its attempt, or to go on with it: not ours to release.
        let expired = format!(
            "SELECT {ATTEMPT} FROM attempt a JOIN effect USING (key)
             WHERE a.open AND a.state = 'reserved' AND a.lease_until_unix_ms <= $1 AND a.accounts && $2::text[]
               AND a.key <> ALL($3::text[])
             FOR UPDATE OF effect, a SKIP LOCKED"
        );
        let answers = format!(
            "SELECT {ANSWER} FROM attempt a JOIN unnest($1::text[], $2::bigint[]) AS asked (key, fence)
             ON a.key = asked.key AND a.fence = asked.fence"
        );
        let budgets = format!("SELECT {BUDGET} FROM tenant_budget WHERE tenant = ANY($1::text[])");
        Ok(Self {
            insert_effects: client.prepare(INSERT_EFFECTS).await?,
            lock_effects: client.prepare(LOCK_EFFECTS).await?,
            attempts: client.prepare(&attempts).await?,
            tickets: client.prepare(TICKETS).await?,
            now: client.prepare(NOW).await?,
            insert_accounts: client.prepare(INSERT_ACCOUNTS).await?,
            lock_accounts: client.prepare(LOCK_ACCOUNTS).await?,
            budgets: client.prepare(&budgets).await?,
            insert_limits: client.prepare(INSERT_LIMITS).await?,
            lock_limits: client.prepare(LOCK_LIMITS).await?,
            in_flight: client.prepare(IN_FLIGHT).await?,
            expired: client.prepare(&expired).await?,
            answers: client.prepare(&answers).await?,
            update_effects: client.prepare(UPDATE_EFFECTS).await?,
            insert_attempts: client.prepare(INSERT_ATTEMPTS).await?,
            update_attempts: client.prepare(UPDATE_ATTEMPTS).await?,
            update_accounts: client.prepare(UPDATE_ACCOUNTS).await?,
            update_limits: client.prepare(UPDATE_LIMITS).await?,
            put_tickets: client.prepare(PUT_TICKETS).await?,
            delete_tickets: client.prepare(DELETE_TICKETS).await?,
            put_budgets: client.prepare(PUT_BUDGETS).await?,
            delete_budgets: client.prepare(DELETE_BUDGETS).await?,
            insert_notes: client.prepare(INSERT_NOTES).await?,
        })
    }
}
