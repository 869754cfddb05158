//! Adding up tokens.

use workflow_types::proto::Usage;

/// Adds what one more call used.
pub(crate) fn add(total: &mut Usage, part: &Usage) {
    total.calls = total.calls.saturating_add(part.calls);
    total.input_tokens = total.input_tokens.saturating_add(part.input_tokens);
    total.cached_input_tokens = total.cached_input_tokens.saturating_add(part.cached_input_tokens);
    total.output_tokens = total.output_tokens.saturating_add(part.output_tokens);
    total.reasoning_tokens = total.reasoning_tokens.saturating_add(part.reasoning_tokens);
    total.estimated |= part.estimated;
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
        };
        let mut total = Usage {
            estimated: false,
            ..part
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
        };
        assert_eq!(total, twice);
    }
}
