//! What an effect has used, as the journal's ledger has it.
//!
//! The ledger knows what one attempt can't: calls of earlier attempts whose outcome was never learned, and answers that came
//! late. So what is reported with an answer or a failure is always the whole effect's, and whoever sums over effects takes
//! the last report of each.

use effect_journal::{AttemptFilter, AttemptRecord, EffectKey, Error, Journal, Scope, Spend, State};
use workflow_types::{proto::Usage, request::to_double};

/// Reads what an effect has used; `None` if nothing was called for it, or nothing that may be billed.
pub(crate) async fn used(journal: &dyn Journal, key: &EffectKey) -> Result<Option<Usage>, Error> {
    let mut usage = Usage::default();
    let mut after = None;
    loop {
        let filter = AttemptFilter {
            scope: Scope::key(key),
            after,
            limit: AttemptFilter::MAX_LIMIT,
            ..AttemptFilter::default()
        };
        let page = journal.attempts(filter).await?;
        for record in &page {
            add(&mut usage, record);
        }
        match page.last() {
            Some(last) if page.len() == AttemptFilter::MAX_LIMIT as usize => {
                after = Some((last.key.clone(), last.fence));
            }
            Some(_) | None => break,
        }
    }
    Ok((usage.calls + usage.unknown_calls > 0).then_some(usage))
}

/// Gives what one answered call used.
pub(crate) fn answered(spend: &Spend, price_table: &str) -> Usage {
    let mut usage = Usage::default();
    settled(&mut usage, spend, price_table);
    usage
}

fn add(usage: &mut Usage, record: &AttemptRecord) {
    match record.state {
        State::Settled => {
            let spend = record.spend.unwrap_or(record.upper_bound);
            settled(usage, &spend, &record.price_table);
        }
        State::Unknown => {
            usage.unknown_calls = usage.unknown_calls.saturating_add(1);
            usage.unknown_cost_micros += micros(&record.upper_bound);
            name(usage, &record.price_table);
        }
        // What another attempt has under way is for that attempt to report.
        State::Reserved | State::Sent | State::Released => {}
    }
}

fn settled(usage: &mut Usage, spend: &Spend, price_table: &str) {
    let add =
        |sum: &mut i32, tokens: u64| *sum = sum.saturating_add(i32::try_from(tokens).unwrap_or(i32::MAX));
    usage.calls = usage.calls.saturating_add(1);
    add(&mut usage.input_tokens, spend.input_tokens);
    add(&mut usage.cached_input_tokens, spend.cached_input_tokens);
    add(
        &mut usage.cache_write_input_tokens,
        spend.cache_write_input_tokens,
    );
    add(&mut usage.output_tokens, spend.output_tokens);
    add(&mut usage.reasoning_tokens, spend.reasoning_tokens);
    usage.cost_micros += micros(spend);
    name(usage, price_table);
}

/// Prices that changed between two attempts are both named.
fn name(usage: &mut Usage, price_table: &str) {
    let known = |list: &str| list.split(", ").any(|known| known == price_table);
    if price_table.is_empty() || known(&usage.price_table) {
        return;
    }
    if !usage.price_table.is_empty() {
        usage.price_table.push_str(", ");
    }
    usage.price_table.push_str(price_table);
}

fn micros(spend: &Spend) -> f64 {
    to_double(u64::try_from(spend.cost_micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_tables_of_all_calls_are_named_once() {
        let mut usage = answered(&Spend::default(), "own 1");
        for table in ["own 1", "", "list 2", "own 1"] {
            settled(&mut usage, &Spend::default(), table);
        }
        assert_eq!((usage.calls, usage.price_table.as_str()), (5, "own 1, list 2"));
    }
}
