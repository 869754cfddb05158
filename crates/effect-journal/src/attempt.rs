//! One attempt at an effect, as the ledger shows it.
//!
//! What is shown is what is true now, not what was last written: an attempt whose lease has run out reads as
//! `unknown` (or `released`, if nothing was sent) although no later claim has come to record that. Otherwise the
//! spend of a worker that died would stay invisible exactly when nobody retries its work.

use std::fmt;

use serde::Serialize;

use crate::{EffectClass, EffectKey, RequestDigest, Scope, Spend};

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Granted, and nothing has left the process.
    Reserved,
    /// The request may have reached the provider.
    Sent,
    /// Answered; the spend is known.
    Settled,
    /// Ended without a bill.
    Released,
    /// Sent, and the outcome could not be learned; counted at its upper bound.
    Unknown,
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptRecord {
    /// The effect.
    pub key: EffectKey,
    /// The attempt's number within the effect, from 1.
    pub fence: u32,
    /// Where it stands.
    pub state: State,
    /// Whether its answer is the effect's result.
    pub committed: bool,
    /// Who claimed it.
    pub owner: String,
    /// The model that was to be called.
    pub model: String,
    /// The provider that was to be called.
    pub provider: String,
    /// Whom it is for.
    pub tenant: Option<String>,
    /// The version of the prices that its money is computed with; empty where nothing is billed.
    pub price_table: String,
    /// Whether it costs money.
    pub class: EffectClass,
    /// The digest of the effect's request.
    pub digest: RequestDigest,
    /// The most it was expected to use.
    pub upper_bound: Spend,
    /// What it used; set once settled.
    pub spend: Option<Spend>,
    /// When it was claimed, in milliseconds since 1970 on the store's clock.
    pub claimed_unix_ms: i64,
    /// When its lease ends or ended, in milliseconds since 1970 on the store's clock.
    pub lease_until_unix_ms: i64,
    /// When it was marked sent, in milliseconds since 1970 on the store's clock.
    pub sent_unix_ms: Option<i64>,
    /// When it was last recorded as settled, released or unknown, in milliseconds since 1970 on the store's clock.
    pub ended_unix_ms: Option<i64>,
    /// Why it was released or became unknown; kept when a late answer settles it.
    pub reason: Option<String>,
    /// Whether a person's word ended it, and not an answer.
    pub by_hand: bool,
}

/// Selects attempts, in the order of key and fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFilter {
    /// The effects to look at.
    pub scope: Scope,
    /// Only attempts that stand here now.
    pub state: Option<State>,
    /// Only attempts for this tenant.
    pub tenant: Option<String>,
    /// Only attempts at this model.
    pub model: Option<String>,
    /// Only attempts at this provider.
    pub provider: Option<String>,
    /// Only attempts claimed at this moment or later, in milliseconds since 1970.
    pub since_unix_ms: Option<i64>,
    /// Only attempts claimed before this moment, in milliseconds since 1970.
    pub until_unix_ms: Option<i64>,
    /// Only attempts after this key and fence: the last of the page before.
    pub after: Option<(EffectKey, u32)>,
    /// The size of a page; at most [`AttemptFilter::MAX_LIMIT`] are returned.
    pub limit: u32,
}

impl AttemptFilter {
    /// The largest page, so that a listing does not hold up the claims of a running worker.
    pub const MAX_LIMIT: u32 = 1000;
}

impl Default for AttemptFilter {
    fn default() -> Self {
        Self {
            scope: Scope::all(),
            state: None,
            tenant: None,
            model: None,
            provider: None,
            since_unix_ms: None,
            until_unix_ms: None,
            after: None,
            limit: 100,
        }
    }
}

impl State {
    /// Every state, in the order in which an attempt can pass them.
    pub const ALL: [Self; 5] = [
        Self::Reserved,
        Self::Sent,
        Self::Settled,
        Self::Released,
        Self::Unknown,
    ];

    /// Returns the state's name as it is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Sent => "sent",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
