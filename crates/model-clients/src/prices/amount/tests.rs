//! What calls cost, and what holds of every cost.

use proptest::prelude::{Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{cost, upper_bound};
use crate::provider::{Billing, LongPrompt, Usage};

const PRICES: Billing = Billing::PerToken {
    input_micros_per_million: 150_000,
    cached_input_micros_per_million: 75_000,
    cache_write_input_micros_per_million: Some(200_000),
    output_micros_per_million: 600_000,
    long_prompt: Some(LongPrompt {
        above_input_tokens: 2_000_000,
        input_micros_per_million: 300_000,
        cached_input_micros_per_million: 150_000,
        cache_write_input_micros_per_million: None,
        output_micros_per_million: 900_000,
    }),
};
const MILLION: u32 = 1_000_000;

fn usage(input_tokens: u32, cached: u32, written: u32, output_tokens: u32) -> Usage {
    Usage {
        input_tokens,
        cached_input_tokens: cached,
        cache_write_input_tokens: written,
        output_tokens,
        reasoning_tokens: 0,
    }
}

#[test]
fn a_call_costs_what_its_tokens_cost_rounded_up() {
    for (used, expected) in [
        (usage(MILLION, 0, 0, 0), 150_000),
        (usage(MILLION, MILLION, 0, MILLION), 675_000),
        (usage(MILLION, 0, MILLION, 0), 200_000),
        (usage(4, 2, 1, 0), 1),
        (usage(1, 0, 0, 0), 1),
        (usage(0, 0, 0, 0), 0),
        (usage(2 * MILLION, 0, 0, MILLION), 900_000),
        (usage(2 * MILLION + 1, 0, 0, MILLION), 1_500_001),
        (usage(3 * MILLION, MILLION, MILLION, 0), 750_000),
        // Counts that do not fit together are cut to the input.
        (usage(MILLION, MILLION, MILLION, 0), 75_000),
    ] {
        assert_eq!(cost(PRICES, &used), expected, "{used:?}");
    }
    assert_eq!(cost(Billing::Free, &usage(MILLION, 0, 0, MILLION)), 0);
}

#[test]
fn the_most_a_call_can_cost_takes_the_dearest_prices() {
    assert_eq!(upper_bound(PRICES, 1_000_000, 1_000_000), 800_000);
    assert_eq!(upper_bound(PRICES, 3_000_000, 1_000_000), 1_800_000);
    assert_eq!(upper_bound(Billing::Free, 1_000_000, 1_000_000), 0);
}

#[test]
fn absurd_amounts_end_at_the_largest() {
    let dear = Billing::PerToken {
        input_micros_per_million: u64::MAX,
        cached_input_micros_per_million: u64::MAX,
        cache_write_input_micros_per_million: None,
        output_micros_per_million: u64::MAX,
        long_prompt: None,
    };
    assert_eq!(upper_bound(dear, u64::MAX, u64::MAX), i64::MAX);
    assert_eq!(cost(dear, &usage(u32::MAX, 0, 0, u32::MAX)), i64::MAX);
}

#[test]
fn prices_of_long_prompts_below_the_ordinary_ones_are_reported() {
    assert_eq!(PRICES.problem("p"), None);
    let Billing::PerToken {
        long_prompt: Some(long),
        ..
    } = PRICES
    else {
        panic!("per token")
    };
    let swapped = Billing::PerToken {
        input_micros_per_million: 150_000,
        cached_input_micros_per_million: 75_000,
        cache_write_input_micros_per_million: Some(200_000),
        output_micros_per_million: 600_000,
        long_prompt: Some(LongPrompt {
            output_micros_per_million: 1,
            ..long
        }),
    };
    assert_eq!(swapped.problem("p").unwrap().path, "p.long_prompt");
}

/// A price that no number of tokens of one call brings to the largest amount, where every comparison would hold.
fn price() -> impl Strategy<Value = u64> {
    0_u64..1_000_000_000_000
}

/// Prices of which none of a long prompt is below the ordinary one.
fn billing() -> impl Strategy<Value = Billing> {
    let prices = (price(), price(), prop::option::of(price()), price());
    let surcharges = (price(), price(), price(), price());
    (prices, prop::option::of((any::<u32>(), surcharges))).prop_map(
        |((input, cached, write, output), long)| Billing::PerToken {
            input_micros_per_million: input,
            cached_input_micros_per_million: cached,
            cache_write_input_micros_per_million: write,
            output_micros_per_million: output,
            long_prompt: long.map(|(threshold, more)| LongPrompt {
                above_input_tokens: threshold.into(),
                input_micros_per_million: input.saturating_add(more.0),
                cached_input_micros_per_million: cached.saturating_add(more.1),
                cache_write_input_micros_per_million: Some(write.unwrap_or(input).saturating_add(more.2)),
                output_micros_per_million: output.saturating_add(more.3),
            }),
        },
    )
}

fn counts() -> impl Strategy<Value = Usage> {
    (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(i, c, w, o)| usage(i, c, w, o))
}

proptest! {
    #[test]
    fn more_tokens_never_cost_less(billing in billing(), used in counts(), input in any::<u32>(), output in any::<u32>()) {
        let more = Usage {
            input_tokens: used.input_tokens.saturating_add(input),
            output_tokens: used.output_tokens.saturating_add(output),
            ..used
        };
        prop_assert_eq!(billing.problem("p"), None);
        prop_assert!(cost(billing, &more) >= cost(billing, &used));
        prop_assert!(cost(billing, &used) >= 0);
    }

    #[test]
    fn no_call_costs_more_than_its_upper_bound(
        billing in billing(), used in counts(), input in any::<u32>(), output in any::<u32>(),
    ) {
        let input = u64::from(used.input_tokens) + u64::from(input);
        let output = u64::from(used.output_tokens) + u64::from(output);
        prop_assert!(cost(billing, &used) <= upper_bound(billing, input, output));
    }

    #[test]
    fn an_upper_bound_grows_with_the_tokens(
        billing in billing(), input in any::<u64>(), output in any::<u64>(), more in any::<u64>(),
    ) {
        let bound = upper_bound(billing, input, output);
        prop_assert!(bound >= 0);
        prop_assert!(upper_bound(billing, input.saturating_add(more), output) >= bound);
        prop_assert!(upper_bound(billing, input, output.saturating_add(more)) >= bound);
    }
}
