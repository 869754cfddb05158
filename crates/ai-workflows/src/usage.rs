//! Adding up tokens and money.

use workflow_types::proto::Usage;

/// Adds what one more call used.
pub(crate) fn add(total: &mut Usage, part: &Usage) {
    total.calls = total.calls.saturating_add(part.calls);
    total.input_tokens = total.input_tokens.saturating_add(part.input_tokens);
    total.cached_input_tokens = total.cached_input_tokens.saturating_add(part.cached_input_tokens);
    total.output_tokens = total.output_tokens.saturating_add(part.output_tokens);
    total.reasoning_tokens = total.reasoning_tokens.saturating_add(part.reasoning_tokens);
    total.estimated |= part.estimated;
    total.cache_write_input_tokens = total
        .cache_write_input_tokens
        .saturating_add(part.cache_write_input_tokens);
    total.cost_micros += part.cost_micros;
    total.unknown_calls = total.unknown_calls.saturating_add(part.unknown_calls);
    total.unknown_cost_micros += part.unknown_cost_micros;
    // Prices that changed in mid-run are both named.
    if !part.price_table.is_empty()
        && !total
            .price_table
            .split(", ")
            .any(|known| known == part.price_table)
    {
        if !total.price_table.is_empty() {
            total.price_table.push_str(", ");
        }
        total.price_table.push_str(&part.price_table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_added_and_an_estimate_sticks() {
        let part = Usage {
            calls: 1,
            input_tokens: 2,
            cached_input_tokens: 3,
            output_tokens: 4,
            reasoning_tokens: 5,
            estimated: true,
            cache_write_input_tokens: 6,
            cost_micros: 7.0,
            unknown_calls: 8,
            unknown_cost_micros: 9.0,
            price_table: "2026-11".into(),
        };
        let mut total = Usage {
            estimated: false,
            ..part.clone()
        };
        add(&mut total, &part);
        add(&mut total, &Usage::default());
        let twice = Usage {
            calls: 2,
            input_tokens: 4,
            cached_input_tokens: 6,
            output_tokens: 8,
            reasoning_tokens: 10,
            estimated: true,
            cache_write_input_tokens: 12,
            cost_micros: 14.0,
            unknown_calls: 16,
            unknown_cost_micros: 18.0,
            price_table: "2026-11".into(),
        };
        assert_eq!(total, twice);
        let later = Usage {
            price_table: "2026-12".into(),
            ..Usage::default()
        };
        add(&mut total, &later);
        assert_eq!(total.price_table, "2026-11, 2026-12");
    }
}
