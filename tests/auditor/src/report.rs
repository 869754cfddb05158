//! What an audit says: numbers, lists by name, offences.
//!
//! Plain data apart from the rules that fill it, so that a program can read it as JSON and a test can look at any part.

use effect_journal::Spend;
use serde::Serialize;

/// Names a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// An effect has more than one committed result.
    SecondResult,
    /// An effect has no committed result.
    MissingResult,
    /// A call that the provider received is no attempt of the ledger.
    UnaccountedCall,
    /// A settled attempt is no call that the provider answered.
    UnseenAnswer,
    /// A settled attempt has other figures than the bill.
    DifferentSpend,
    /// A released attempt was billed.
    BilledRelease,
    /// An unknown attempt was billed more than its upper bound.
    BoundTooLow,
    /// A call follows another of the same effect whose outcome was known.
    RepeatWithoutReason,
    /// The answer in a history is not the one that the provider sent.
    OtherAnswer,
    /// Something is still under way.
    NotOver,
    /// A payload can't be read.
    Unread,
}

/// One offence against a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What offends: an effect's key with the attempt's number, or `call` and its number on the bill.
    pub subject: String,
    /// In what way.
    pub detail: String,
}

/// An attempt whose outcome could not be learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The effect's key and the attempt's number: `key#2`.
    pub attempt: String,
    /// Why it is unknown, as the journal has it.
    pub reason: String,
    /// What it counts as.
    pub at_most: Spend,
    /// The call's number on the bill; none when the provider never saw it.
    pub call: Option<u64>,
    /// What it really cost.
    pub billed: Spend,
}

/// A call that was made although one for the same effect had been made before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repeat {
    /// The effect's key and the attempt's number.
    pub attempt: String,
    /// The call's number on the bill; none when the provider never saw it.
    pub call: Option<u64>,
    /// What was not known of each earlier attempt: `#1: connection lost`.
    pub because: Vec<String>,
}

/// The numbers of an audit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Runs whose history was read.
    pub runs: usize,
    /// Answers in those histories.
    pub told: usize,
    /// Of these, the ones that came from the journal.
    pub replayed: usize,
    /// Effects that a provider bills for.
    pub keys: usize,
    /// Of these, the ones with a result.
    pub results: usize,
    /// Calls that the provider received.
    pub calls: usize,
    /// Of these, the ones that were answered to the end.
    pub answered: usize,
    /// Of these, the ones that the provider refused.
    pub refused: usize,
    /// Of these, the ones that broke off, on either side.
    pub broken: usize,
    /// Attempts that are settled.
    pub settled: usize,
    /// Attempts that are released.
    pub released: usize,
    /// Attempts that are unknown.
    pub unknown: usize,
    /// Calls that were made again after a refusal, which costs nothing.
    pub retried_after_refusal: usize,
    /// What the provider bills in all.
    pub billed: Spend,
    /// What the ledger has as spent.
    pub spent: Spend,
    /// What the ledger has at most for unknown attempts.
    pub unknown_at_most: Spend,
    /// What the provider bills for those.
    pub unknown_billed: Spend,
}

/// What an audit came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// No rule is offended.
    pub holds: bool,
    /// The numbers.
    pub figures: Figures,
    /// Attempts whose outcome could not be learned.
    pub unknown: Vec<Unknown>,
    /// Calls that were made again, with the reason.
    pub repeats: Vec<Repeat>,
    /// Effects without a result that no history expects one of.
    pub unanswered: Vec<String>,
    /// Offences.
    pub violations: Vec<Violation>,
}
