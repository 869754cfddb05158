//! From tokens to money, in millionths of the currency unit and always rounded up.
//!
//! Rounding up keeps every amount at or above the truth, so sums of many small calls do not pass a budget unseen. The
//! arithmetic is 128 bits wide and saturates: an absurd price or count ends at the largest amount, which no budget
//! allows, and never wraps to a small one.

use crate::provider::{Billing, LongPrompt, Usage};
use crate::settings::Problem;

/// The prices of one call, in millionths of the currency unit for a million tokens.
#[derive(Clone, Copy)]
struct Rates {
    input: u64,
    cached: u64,
    written: u64,
    output: u64,
}

impl Rates {
    /// The higher of each price.
    fn at_least(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cached: self.cached.max(other.cached),
            written: self.written.max(other.written),
            output: self.output.max(other.output),
        }
    }
}

impl From<LongPrompt> for Rates {
    fn from(prices: LongPrompt) -> Self {
        Self {
            input: prices.input_micros_per_million,
            cached: prices.cached_input_micros_per_million,
            written: prices
                .cache_write_input_micros_per_million
                .unwrap_or(prices.input_micros_per_million),
            output: prices.output_micros_per_million,
        }
    }
}

impl Billing {
    /// Gives the ordinary prices, and those of a long prompt with the threshold; none where nothing is charged.
    fn rates(self) -> Option<(Rates, Option<(u64, Rates)>)> {
        let Self::PerToken {
            input_micros_per_million: input,
            cached_input_micros_per_million: cached,
            cache_write_input_micros_per_million: written,
            output_micros_per_million: output,
            long_prompt,
        } = self
        else {
            return None;
        };
        let ordinary = Rates {
            input,
            cached,
            written: written.unwrap_or(input),
            output,
        };
        Some((
            ordinary,
            long_prompt.map(|long| (long.above_input_tokens, long.into())),
        ))
    }

    /// Reports prices of long prompts below the ordinary ones: an upper bound of the tokens would then be none of the
    /// money.
    pub(crate) fn problem(self, path: &str) -> Option<Problem> {
        let (ordinary, Some((_, long))) = self.rates()? else {
            return None;
        };
        let is_lower = long.input < ordinary.input
            || long.cached < ordinary.cached
            || long.written < ordinary.written
            || long.output < ordinary.output;
        is_lower.then(|| {
            Problem::new(
                format!("{path}.long_prompt"),
                "has a price below the ordinary one; give the higher prices of long prompts, or leave it out",
            )
        })
    }
}

/// Gives what a call cost, in millionths of the currency unit, rounded up.
pub fn cost(billing: Billing, usage: &Usage) -> i64 {
    let Some((ordinary, long)) = billing.rates() else {
        return 0;
    };
    let input = u64::from(usage.input_tokens);
    let rates = match long {
        Some((threshold, rates)) if input > threshold => rates,
        Some(_) | None => ordinary,
    };
    let cached = u64::from(usage.cached_input_tokens).min(input);
    let written = u64::from(usage.cache_write_input_tokens).min(input - cached);
    amount([
        (input - cached - written, rates.input),
        (cached, rates.cached),
        (written, rates.written),
        (usage.output_tokens.into(), rates.output),
    ])
}

/// Gives the most that a call of at most so many tokens can cost, in millionths of the currency unit, rounded up.
///
/// Every input token is taken at the dearest of the prices it can have: who knows before the call what the provider
/// will find in its cache, or write to it?
pub fn upper_bound(billing: Billing, input_tokens: u64, output_tokens: u64) -> i64 {
    let Some((ordinary, long)) = billing.rates() else {
        return 0;
    };
    let rates = match long {
        Some((threshold, rates)) if input_tokens > threshold => ordinary.at_least(rates),
        Some(_) | None => ordinary,
    };
    let dearest = rates.input.max(rates.cached).max(rates.written);
    amount([(input_tokens, dearest), (output_tokens, rates.output)])
}

fn amount<const N: usize>(parts: [(u64, u64); N]) -> i64 {
    let total = parts.into_iter().fold(0_u128, |sum, (tokens, per_million)| {
        sum.saturating_add(u128::from(tokens) * u128::from(per_million))
    });
    i64::try_from(total.div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
