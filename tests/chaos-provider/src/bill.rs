//! The bill: what calls cost, and the sums that a test or a person compares the product's own ledger with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::account::{Bill, Outcome, Record};
use crate::told::Tokens;

const MICROS_OF_UNIT: u64 = 1_000_000;
/// The most characters of a name that a table shows.
const NAME_CHARS: usize = 40;

/// The price of a model, in millionths of the currency unit for a million tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// The model that it is for; every model when absent.
    pub model: Option<String>,
    /// Of the prompt.
    pub input_micros_per_million: u64,
    /// Of what the cache had; the same as the prompt when absent.
    pub cached_input_micros_per_million: Option<u64>,
    /// Of what was written to the cache; the same as the prompt when absent.
    pub cache_write_input_micros_per_million: Option<u64>,
    /// Of the answer.
    pub output_micros_per_million: u64,
}

/// Makes out the bill of a call; the first price that is for its model counts, and without one it is free.
pub(crate) fn make_out(prices: &[Price], model: &str, tokens: Tokens) -> Bill {
    let is_for = |price: &&Price| price.model.as_deref().is_none_or(|wanted| wanted == model);
    let fresh = tokens
        .prompt
        .saturating_sub(tokens.cached)
        .saturating_sub(tokens.written);
    let cost = prices.iter().find(is_for).map_or(0, |price| {
        let input = price.input_micros_per_million;
        let parts = [
            (fresh, input),
            (
                tokens.cached,
                price.cached_input_micros_per_million.unwrap_or(input),
            ),
            (
                tokens.written,
                price.cache_write_input_micros_per_million.unwrap_or(input),
            ),
            (tokens.completion, price.output_micros_per_million),
        ];
        let sum: u128 = parts
            .into_iter()
            .map(|(count, price)| u128::from(count) * u128::from(price))
            .sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    });
    Bill {
        prompt_tokens: tokens.prompt,
        cached_tokens: tokens.cached,
        cache_write_tokens: tokens.written,
        completion_tokens: tokens.completion,
        reasoning_tokens: tokens.reasoning,
        cost_micros: cost,
    }
}

/// What calls are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The model.
    Model,
    /// The digest of the request's body: equal requests are repeats of each other.
    Request,
    /// The value of the key header.
    Key,
    /// The API key, by the beginning of its digest.
    ApiKey,
    /// The behaviour that they got.
    Reply,
}

/// The sum of some calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// What they have in common; empty where they lack it.
    pub name: String,
    /// All of them.
    pub calls: u64,
    /// Those whose answer was sent to its end with a status of success.
    pub answered: u64,
    /// Those that were refused with a status of 400 or more.
    pub refused: u64,
    /// Those that broke off, on either side.
    pub broken: u64,
    /// Those without an ending: they run, or the provider was killed. Nothing of them is on the bill.
    pub open: u64,
    /// Tokens of their prompts, with those of the cache.
    pub prompt_tokens: u64,
    /// Of these, those read from the cache.
    pub cached_tokens: u64,
    /// Of these, those written to the cache.
    pub cache_write_tokens: u64,
    /// Tokens of their answers.
    pub completion_tokens: u64,
    /// Their money, in millionths of the currency unit.
    pub cost_micros: u64,
}

/// Sums calls up, in the order of their names.
pub fn sums(records: &[Record], by: By) -> Vec<Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for record in records {
        let name = match by {
            By::Model => record.model.clone(),
            By::Request => record.body_sha256.clone(),
            By::Key => record.key.clone().unwrap_or_default(),
            By::ApiKey => record.api_key.clone().unwrap_or_default(),
            By::Reply => record.reply.clone(),
        };
        let sum = sums.entry(name.clone()).or_insert_with(|| Sum {
            name,
            ..Sum::default()
        });
        sum.add(record);
    }
    sums.into_values().collect()
}

/// Sums all calls up.
pub fn total(records: &[Record]) -> Sum {
    let mut sum = Sum {
        name: "total".to_owned(),
        ..Sum::default()
    };
    for record in records {
        sum.add(record);
    }
    sum
}

impl Sum {
    fn add(&mut self, record: &Record) {
        self.calls += 1;
        let Some(ending) = &record.ending else {
            self.open += 1;
            return;
        };
        match ending.outcome {
            Outcome::Sent if ending.status.is_some_and(|status| status >= 400) => self.refused += 1,
            Outcome::Sent => self.answered += 1,
            Outcome::ClientLeft | Outcome::Cut => self.broken += 1,
        }
        let bill = ending.bill;
        self.prompt_tokens += u64::from(bill.prompt_tokens);
        self.cached_tokens += u64::from(bill.cached_tokens);
        self.cache_write_tokens += u64::from(bill.cache_write_tokens);
        self.completion_tokens += u64::from(bill.completion_tokens);
        self.cost_micros = self.cost_micros.saturating_add(bill.cost_micros);
    }
}

/// Writes sums as a table for people.
pub fn table(sums: &[Sum]) -> String {
    let width = sums
        .iter()
        .map(|sum| sum.name.chars().count().min(NAME_CHARS))
        .max()
        .unwrap_or(0)
        .max(5);
    let mut table = format!(
        "{:width$}  {:>7}  {:>8}  {:>7}  {:>6}  {:>5}  {:>10}  {:>10}  {:>10}  {:>10}  {:>14}\n",
        "",
        "calls",
        "answered",
        "refused",
        "broken",
        "open",
        "prompt",
        "cached",
        "written",
        "completion",
        "cost",
    );
    for sum in sums {
        let name: String = sum.name.chars().take(NAME_CHARS).collect();
        let cost = format!(
            "{}.{:06}",
            sum.cost_micros / MICROS_OF_UNIT,
            sum.cost_micros % MICROS_OF_UNIT
        );
        let row = writeln!(
            table,
            "{name:width$}  {:>7}  {:>8}  {:>7}  {:>6}  {:>5}  {:>10}  {:>10}  {:>10}  {:>10}  {cost:>14}",
            sum.calls,
            sum.answered,
            sum.refused,
            sum.broken,
            sum.open,
            sum.prompt_tokens,
            sum.cached_tokens,
            sum.cache_write_tokens,
            sum.completion_tokens,
        );
        debug_assert!(row.is_ok(), "writing to a string does not fail");
    }
    table
}

#[cfg(test)]
mod tests;
