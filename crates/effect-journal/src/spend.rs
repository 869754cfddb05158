//! Money and tokens, per attempt and in sums.
//!
//! The ledger is read by attempt and not by result: an attempt whose outcome is unknown may have been billed, and
//! a ledger of results alone would never show it. Cost is an integer of millionths of the account's currency,
//! because sums of floating-point money depend on their order.

use serde::Serialize;

use crate::State;

/// Tells whether an effect costs money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// A provider bills for the call.
    Paid,
    /// Nobody bills, as for a model in this process: the result is journaled, the cost is recorded as zero.
    Free,
}

/// Counts what one call used, or at most may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spend {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens read from the provider's cache, a part of `input_tokens`.
    pub cached_input_tokens: u64,
    /// Tokens read and written to the provider's cache, a part of `input_tokens`.
    pub cache_write_input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
    /// Tokens of reasoning, a part of `output_tokens`.
    pub reasoning_tokens: u64,
    /// Price in millionths of the account's currency.
    pub cost_micros: i64,
}

/// Sums the spend of a number of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// How many attempts are summed.
    pub attempts: u64,
    /// What they used together.
    pub spend: Spend,
}

/// Sums the ledger of a scope by what is known of each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Attempts that were answered, at what they cost.
    pub settled: Tally,
    /// Attempts whose outcome could not be learned, at their upper bound.
    pub unknown: Tally,
    /// Attempts under way, at their upper bound.
    pub open: Tally,
    /// How many attempts ended without a bill.
    pub released: u64,
}

impl EffectClass {
    /// Returns what is recorded of a spend: nonsense bounded, and no cost for a free effect.
    ///
    /// A provider's usage figures are not under our control, and an answer that was paid for must not be lost
    /// because they are absurd; so they are bounded and not refused.
    pub(crate) fn recorded(self, spend: Spend) -> Spend {
        let cost_micros = match self {
            Self::Paid => spend.cost_micros.clamp(0, Spend::MAX_COST_MICROS),
            Self::Free => 0,
        };
        Spend {
            input_tokens: spend.input_tokens.min(Spend::MAX_TOKENS),
            cached_input_tokens: spend.cached_input_tokens.min(Spend::MAX_TOKENS),
            cache_write_input_tokens: spend.cache_write_input_tokens.min(Spend::MAX_TOKENS),
            output_tokens: spend.output_tokens.min(Spend::MAX_TOKENS),
            reasoning_tokens: spend.reasoning_tokens.min(Spend::MAX_TOKENS),
            cost_micros,
        }
    }
}

impl Spend {
    /// The most tokens of a kind that are recorded for one attempt; more is recorded as this many.
    pub const MAX_TOKENS: u64 = 1 << 40;
    /// The highest cost that is recorded for one attempt, a million units of currency; more is recorded as this.
    pub const MAX_COST_MICROS: i64 = 1_000_000_000_000;

    /// Adds two spends, stopping at the largest number instead of wrapping.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_input_tokens: self.cached_input_tokens.saturating_add(other.cached_input_tokens),
            cache_write_input_tokens: self
                .cache_write_input_tokens
                .saturating_add(other.cache_write_input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
        }
    }
}

impl Totals {
    /// Adds a sum of attempts that stand alike.
    pub(crate) fn add(&mut self, standing: State, tally: Tally) {
        let sum = match standing {
            State::Settled => &mut self.settled,
            State::Unknown => &mut self.unknown,
            State::Reserved | State::Sent => &mut self.open,
            State::Released => {
                self.released += tally.attempts;
                return;
            }
        };
        sum.attempts += tally.attempts;
        sum.spend = sum.spend.plus(tally.spend);
    }

    /// Returns the most that the scope can turn out to have used: settled, unknown and open together.
    pub fn at_most(&self) -> Spend {
        self.settled.spend.plus(self.unknown.spend).plus(self.open.spend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_usage_is_bounded_and_free_effects_cost_nothing() {
        let absurd = Spend {
            input_tokens: u64::MAX,
            cached_input_tokens: u64::MAX,
            cache_write_input_tokens: u64::MAX,
            output_tokens: 7,
            reasoning_tokens: u64::MAX,
            cost_micros: -1,
        };
        let bounded = Spend {
            input_tokens: Spend::MAX_TOKENS,
            cached_input_tokens: Spend::MAX_TOKENS,
            cache_write_input_tokens: Spend::MAX_TOKENS,
            output_tokens: 7,
            reasoning_tokens: Spend::MAX_TOKENS,
            cost_micros: 0,
        };
        assert_eq!(EffectClass::Paid.recorded(absurd), bounded);
        let dear = Spend {
            cost_micros: i64::MAX,
            ..Spend::default()
        };
        assert_eq!(
            EffectClass::Paid.recorded(dear).cost_micros,
            Spend::MAX_COST_MICROS
        );
        assert_eq!(EffectClass::Free.recorded(dear).cost_micros, 0);
    }

    #[test]
    fn at_most_counts_what_is_open_and_unknown() {
        let tally = |cost_micros| Tally {
            attempts: 1,
            spend: Spend {
                cost_micros,
                ..Spend::default()
            },
        };
        let totals = Totals {
            settled: tally(1),
            unknown: tally(20),
            open: tally(300),
            released: 4,
        };
        assert_eq!(totals.at_most().cost_micros, 321);
    }
}
