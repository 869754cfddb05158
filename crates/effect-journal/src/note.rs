//! What people changed by hand, and the notes that remember it.
//!
//! A ledger that can be corrected without a trace is none. Every change that comes from a person and not from a call
//! is written together with a note that holds who, what before, what after and why; notes are never changed.

use std::fmt;

use serde::Serialize;

use crate::{EffectKey, Spend};

/// Settles an attempt whose outcome could not be learned, by a person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandSettlement {
    /// What the provider's bill says.
    pub outcome: HandOutcome,
    /// Who says so; 1 to [`HandSettlement::MAX_ACTOR_BYTES`] bytes.
    pub actor: String,
    /// Why; at most [`HandSettlement::MAX_REASON_BYTES`] bytes, without prompt or document text.
    pub reason: String,
}

/// Tells what a person found out about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOutcome {
    /// The provider billed it.
    Billed(Spend),
    /// The provider did not bill it.
    NotBilled,
}

/// One change by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The note's number in the store; later notes have higher ones.
    pub id: i64,
    /// When, in milliseconds since 1970 on the store's clock.
    pub unix_ms: i64,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: NoteAction,
    /// What it was done to: `effect key#fence`, or `tenant:name@period`.
    pub subject: String,
    /// How the subject stood before, as JSON.
    pub before: String,
    /// How it stood after, as JSON.
    pub after: String,
    /// Why, in the actor's words.
    pub reason: String,
}

/// Names what a note remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteAction {
    /// An unknown attempt was settled by hand.
    SettleByHand,
    /// An answer came for an attempt that had been settled by hand, and replaced that settlement.
    LateAnswer,
    /// A tenant's budget was set or removed.
    SetTenantBudget,
}

/// Selects notes, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteFilter {
    /// Only notes of this kind.
    pub action: Option<NoteAction>,
    /// Only notes on this effect, or on any if `None`.
    pub key: Option<EffectKey>,
    /// Only notes by this actor.
    pub actor: Option<String>,
    /// Only notes with a lower number: the last of the page before.
    pub before_id: Option<i64>,
    /// The size of a page; at most [`NoteFilter::MAX_LIMIT`] are returned.
    pub limit: u32,
}

impl HandSettlement {
    /// The longest name of an actor, in bytes.
    pub const MAX_ACTOR_BYTES: usize = 256;
    /// The longest reason, in bytes.
    pub const MAX_REASON_BYTES: usize = 1024;
}

impl NoteFilter {
    /// The largest page.
    pub const MAX_LIMIT: u32 = 1000;
}

impl Default for NoteFilter {
    fn default() -> Self {
        Self {
            action: None,
            key: None,
            actor: None,
            before_id: None,
            limit: 100,
        }
    }
}

impl NoteAction {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::SettleByHand, Self::LateAnswer, Self::SetTenantBudget];

    /// Returns the action's name as it is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SettleByHand => "settle_by_hand",
            Self::LateAnswer => "late_answer",
            Self::SetTenantBudget => "set_tenant_budget",
        }
    }
}

impl fmt::Display for NoteAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
