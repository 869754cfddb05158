//! The trait of a journal and what crosses it.
//!
//! The steps are those of one attempt: claim, mark sent, then settle, release or mark unknown. They are separate
//! calls and not one "run this closure once", because the caller has to heartbeat, stream and cancel between them,
//! and because only the caller can tell a refusal that is not billed from a broken connection.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Account, AccountClaim, Amount, AttemptFilter, AttemptRecord, EffectClass, EffectKey, Error, Feedback,
    HandSettlement, LimitClaim, Limited, Note, NoteFilter, OverBudget, RequestDigest, Scope, Spend,
    SpendQuery, SpendRow, TenantBudget, TenantStanding, Totals,
};

/// Keeps effects that cost money or cannot be repeated to one committed result each, with every call accounted for.
///
/// Dropping a future does not undo its step: the step may still happen. A claim that is dropped this way is
/// released when its lease runs out.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Asks to perform an effect; only [`Claim::Granted`] allows it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the request is none, [`Error::Storage`] if the grant could not be made durable: then there must be no call. [`Error::Pruned`] if
    /// the result is gone, [`Error::Corrupt`] if it is damaged.
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, Error>;

    /// Extends the lease to its full length from now; a holder does this every 10 seconds.
    ///
    /// A lease that ran out and that nobody took over is extended too.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if a later attempt took over, [`Error::State`] if the attempt has ended.
    async fn renew(&self, lease: &Lease) -> Result<(), Error>;

    /// Records durably that the request is about to leave, and extends the lease; comes before the first byte.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] if a later attempt took over, [`Error::State`] if the attempt was sent before or has ended,
    /// [`Error::Storage`] if the mark could not be made durable. After any error there must be no call.
    async fn mark_sent(&self, lease: &Lease) -> Result<Clearance, Error>;

    /// Records the answer and what it cost, also when the lease is lost: the spend of a fenced attempt counts.
    ///
    /// The attempt must have been marked sent. Repeating the call changes nothing and returns the same. An attempt
    /// that was settled by hand meanwhile takes over the answer and its spend, with a note.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the attempt was never sent or was released.
    async fn settle(
        &self,
        lease: &Lease,
        settlement: Settlement,
        feedback: Feedback,
    ) -> Result<Settled, Error>;

    /// Ends the attempt without spend.
    ///
    /// After [`mark_sent`](Journal::mark_sent) this is allowed only on the provider's explicit word that it does
    /// not bill, such as an answer of 429 or another 4xx. A broken connection is no such word: that is
    /// [`mark_unknown`](Journal::mark_unknown). The reason is listed, and holds no prompt or document text.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the attempt is settled.
    async fn release(&self, lease: &Lease, reason: &str, feedback: Feedback) -> Result<(), Error>;

    /// Ends the attempt as sent with an outcome that could not be learned; it counts at its upper bound.
    ///
    /// A later [`settle`](Journal::settle) or [`release`](Journal::release) reconciles it. The reason is listed,
    /// and holds no prompt or document text.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the attempt was never sent, or is settled or released.
    async fn mark_unknown(&self, lease: &Lease, reason: &str, feedback: Feedback) -> Result<(), Error>;

    /// Settles or releases an attempt whose outcome could not be learned, by a person's word, and writes a note.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the attempt does not stand as unknown, [`Error::NoAttempt`] if there is none,
    /// [`Error::Invalid`] if the actor is missing.
    async fn settle_by_hand(
        &self,
        key: &EffectKey,
        fence: u32,
        settlement: HandSettlement,
    ) -> Result<(), Error>;

    /// Lists what was changed by hand, the latest first, one page at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    async fn notes(&self, filter: NoteFilter) -> Result<Vec<Note>, Error>;

    /// Sets what a tenant may use in each day, each month or in all, or removes that, and writes a note.
    ///
    /// What the tenant has used already counts.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the tenant's name is none, the budget is negative or the actor is missing.
    async fn set_tenant_budget(&self, actor: &str, reason: &str, budget: TenantBudget) -> Result<(), Error>;

    /// Lists the budgets of all tenants with what is used of them now, by name and period.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    async fn tenant_budgets(&self) -> Result<Vec<TenantStanding>, Error>;

    /// Returns what an account uses now, reservations included; a tenant's over all time.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    async fn used(&self, account: &Account) -> Result<Amount, Error>;

    /// Sums the ledger by the dimensions that are asked for, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    async fn report(&self, query: SpendQuery) -> Result<Vec<SpendRow>, Error>;

    /// Lists attempts by key and fence, one page at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    async fn attempts(&self, filter: AttemptFilter) -> Result<Vec<AttemptRecord>, Error>;

    /// Sums the ledger of a scope.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    async fn totals(&self, scope: &Scope) -> Result<Totals, Error>;

    /// Deletes the responses of attempts that settled longer ago than the age, and returns how many.
    ///
    /// Spend and states stay, and so does the fact that the effect is done: its next claim is [`Error::Pruned`].
    /// The age must never be shorter than the longest execution timeout plus the namespace's retention, because
    /// until then a retry or a reset can still ask for the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be written.
    async fn prune(&self, older_than: Duration) -> Result<u64, Error>;

    /// Checks that a claim could be written now, by writing.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] or [`Error::Closed`] if it could not.
    async fn check(&self) -> Result<(), Error>;
}

/// What a caller wants to do, and on whose behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The effect.
    pub key: EffectKey,
    /// The digest of the canonical request; the same key with another digest is refused.
    pub digest: RequestDigest,
    /// Who asks: the worker's identity.
    pub owner: String,
    /// Whether it costs money.
    pub class: EffectClass,
    /// What to do about an earlier attempt whose outcome could not be learned.
    pub on_unknown: OnUnknown,
    /// The model to be called.
    pub model: String,
    /// The provider to be called.
    pub provider: String,
    /// The most that the call can use; an attempt whose outcome stays unknown counts at this.
    pub upper_bound: Spend,
    /// Whom the call is for, as the ledger lists it; at most [`Account::MAX_TENANT_BYTES`].
    pub tenant: Option<String>,
    /// The version of the prices that the bound and the settlement are computed with; empty where nothing is billed.
    pub price_table: String,
    /// The budgets that the upper bound is reserved in: in all of them or, if one has no room, in none.
    pub accounts: Vec<AccountClaim>,
    /// The provider's limit that the call counts against.
    pub limits: Option<LimitClaim>,
}

/// Decides what follows an attempt whose outcome could not be learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// Grant another attempt; the unknown one stays listed.
    #[default]
    Repeat,
    /// Grant none: the caller waits for a person's decision, and claims with `Repeat` after it.
    Park,
    /// Grant none: the caller fails.
    Fail,
}

/// What a claim returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The caller holds the effect and may perform it.
    Granted(Lease),
    /// The effect is done; this is its result.
    Replay(Committed),
    /// Another holder's lease is live.
    Busy {
        /// How long the lease lasts unless it is renewed.
        remaining: Duration,
    },
    /// The outcome of earlier attempts could not be learned, and the request was not to repeat.
    Unknown {
        /// Those attempts, the first hundred.
        attempts: Vec<AttemptRecord>,
    },
    /// The key was first claimed for another request; retrying cannot help.
    DigestMismatch {
        /// The digest that the key belongs to.
        recorded: RequestDigest,
    },
    /// A budget has no room for the call's upper bound; nothing was granted.
    OverBudget(OverBudget),
    /// The provider's limit has no place for the call yet; nothing was granted.
    Limited(Limited),
}

/// The right to perform one attempt, until it runs out or is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The effect.
    pub key: EffectKey,
    /// The attempt's number; a higher one fences a lower one off.
    pub fence: u32,
    /// How long the lease lasts from each renewal.
    pub length: Duration,
}

/// What [`Journal::mark_sent`] returns.
#[must_use = "a superseded attempt must not call"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clearance {
    /// The call may be made.
    Call,
    /// The answer of an earlier attempt arrived in the meantime; this attempt is released and must not call.
    Superseded(Committed),
}

/// The result of an effect; it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The attempt that earned it.
    pub fence: u32,
    /// The response as it was settled.
    pub response: Vec<u8>,
    /// What that attempt cost.
    pub spend: Spend,
}

/// An answer and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The response, opaque to the journal: a caller that needs it encrypted at rest encrypts it first.
    pub response: Vec<u8>,
    /// What the provider reported.
    pub spend: Spend,
}

/// What became of an answer.
#[must_use = "an answer that was not committed is not the effect's result"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is the effect's result.
    Committed,
    /// Its spend is recorded, and the effect's result is another's: claim again to learn it.
    ///
    /// The response is kept with its attempt, and becomes the result only if no later attempt brings one.
    SpendOnly,
}

impl ClaimRequest {
    /// The most budgets that one call counts in.
    pub const MAX_ACCOUNTS: usize = 8;

    /// Refuses what no store should hold.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let invalid = |what: &str| Error::Invalid {
            what: what.to_owned(),
        };
        if let Some(tenant) = &self.tenant {
            Account::tenant(tenant).map_err(|error| invalid(&error.to_string()))?;
        }
        if self.accounts.len() > Self::MAX_ACCOUNTS {
            return Err(invalid("a claim names more than 8 accounts"));
        }
        let name = self.limits.as_ref().map(|limit| limit.name.as_str());
        if name.is_some_and(|name| name.is_empty() || name.len() > LimitClaim::MAX_NAME_BYTES) {
            return Err(invalid("a limit's name is empty or longer than 256 bytes"));
        }
        Ok(())
    }
}
