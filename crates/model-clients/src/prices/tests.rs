//! Which prices hold, and that the shipped ones can be used.

use super::{Asked, Error, Prices, SHIPPED, Table};
use crate::provider::Billing;

fn asked<'m>(provider: &'m str, protocol: &'m str, model: &'m str) -> Asked<'m> {
    Asked {
        provider,
        protocol,
        model,
        billing: None,
    }
}

fn entry(provider: &str, name: &str, input: u64) -> String {
    format!(
        "[[models]]\nprovider = \"{provider}\"\nname = \"{name}\"\nsource = \"test\"\n\
         input_micros_per_million = {input}\noutput_micros_per_million = 1\n"
    )
}

fn table(currency: &str, entries: &[String]) -> Table {
    let text = format!(
        "version = \"v7\"\ncurrency = \"{currency}\"\n{}",
        entries.concat()
    );
    Table::parse(&text, "a test's table").unwrap()
}

fn input_price(prices: &Prices, asked: Asked<'_>) -> Option<(u64, String)> {
    let found = prices.resolve(asked)?;
    match found.billing {
        Billing::Free => None,
        Billing::PerToken {
            input_micros_per_million,
            ..
        } => Some((input_micros_per_million, found.table)),
    }
}

#[test]
fn the_shipped_prices_are_in_dollars_and_name_their_sources() {
    let prices = Prices::shipped().unwrap();
    assert_eq!(prices.currency(), "USD");
    let list = Table::parse(SHIPPED, "").unwrap();
    assert!(list.sources().count() > 20);
    for source in list.sources() {
        assert!(source.len() > 10, "{source}");
    }
}

#[test]
fn shipped_prices_are_found_by_name_and_by_snapshot() {
    let prices = Prices::shipped().unwrap();
    let version = Table::parse(SHIPPED, "").unwrap().version().to_owned();
    let list = |price| Some((price, format!("list {version}")));
    for (protocol, model, price) in [
        ("anthropic", "claude-haiku-4-5", list(1_000_000)),
        ("anthropic", "claude-haiku-4-5-20251001", list(1_000_000)),
        ("anthropic", "claude-opus-4-20250514", list(15_000_000)),
        ("openai", "gpt-4o", list(2_500_000)),
        ("openai", "gpt-4o-2024-08-06", list(2_500_000)),
        ("openai", "gpt-4o-2024-05-13", list(5_000_000)),
        ("openai", "gpt-4o-audio", None),
        ("openai", "claude-haiku-4-5", None),
    ] {
        assert_eq!(
            input_price(&prices, asked("any", protocol, model)),
            price,
            "{model}"
        );
    }
}

#[test]
fn the_settings_come_before_the_own_table_and_that_before_the_list() {
    let own = table("USD", &[entry("openai", "gpt-4o", 7)]);
    let prices = Prices::with_own(Some(own)).unwrap();
    let model = asked("hosted", "openai", "gpt-4o");
    assert_eq!(input_price(&prices, model), Some((7, "own v7".to_owned())));
    assert!(
        input_price(&prices, asked("hosted", "openai", "gpt-4o-mini"))
            .unwrap()
            .1
            .starts_with("list ")
    );
    let free = prices
        .resolve(Asked {
            billing: Some(Billing::Free),
            ..model
        })
        .unwrap();
    assert_eq!((free.billing, free.table.as_str()), (Billing::Free, ""));
    let fixed = prices.resolve(model).map(|priced| priced.billing);
    let set = prices
        .resolve(Asked {
            billing: fixed,
            ..model
        })
        .unwrap();
    assert_eq!(set.table, "settings");
}

#[test]
fn the_closest_entry_counts_and_the_providers_own_before_the_protocols() {
    let own = table(
        "USD",
        &[
            entry("openai", "*", 1),
            entry("openai", "big-*", 2),
            entry("openai", "big-x", 3),
            entry("openai", "big-x-2026-05-07", 4),
            entry("hosted", "big*", 5),
        ],
    );
    let prices = Prices::with_own(Some(own)).unwrap();
    for (provider, model, price) in [
        ("a", "small", 1),
        ("a", "big-y", 2),
        ("a", "big-x", 3),
        ("a", "big-x-2026-01-01", 3),
        ("a", "big-x-2026-05-07", 4),
        ("hosted", "big-x", 5),
        ("hosted", "small", 1),
    ] {
        let found = input_price(&prices, asked(provider, "openai", model)).unwrap();
        assert_eq!(found.0, price, "{provider} {model}");
    }
    assert_eq!(input_price(&prices, asked("a", "anthropic", "big-x")), None);
}

#[test]
fn a_table_in_another_currency_replaces_the_list() {
    let prices = Prices::with_own(Some(table("EUR", &[]))).unwrap();
    assert_eq!(prices.currency(), "EUR");
    assert_eq!(input_price(&prices, asked("a", "openai", "gpt-4o")), None);
    assert!(!prices.describe().contains("list"), "{}", prices.describe());
}

#[test]
fn cached_input_costs_what_other_input_costs_unless_it_is_said() {
    let prices = Prices::with_own(Some(table("USD", &[entry("openai", "x", 9)]))).unwrap();
    let Some(Billing::PerToken {
        cached_input_micros_per_million,
        cache_write_input_micros_per_million,
        ..
    }) = prices
        .resolve(asked("a", "openai", "x"))
        .map(|priced| priced.billing)
    else {
        panic!("per token");
    };
    assert_eq!(
        (
            cached_input_micros_per_million,
            cache_write_input_micros_per_million
        ),
        (9, None)
    );
}

#[test]
fn all_mistakes_of_a_table_are_reported_together() {
    let long = "long_prompt = { above_input_tokens = 1, input_micros_per_million = 1, \
                cached_input_micros_per_million = 1, output_micros_per_million = 1 }\n";
    let text = format!(
        "version = \"a b\"\ncurrency = \"dollar\"\n{}{}{}{long}",
        entry("", "x", 1),
        entry("", "x", 1),
        entry("openai", "y", 5),
    );
    let Err(Error::Invalid { origin, problems }) = Table::parse(&text, "t.toml") else {
        panic!("invalid");
    };
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "version",
            "currency",
            "models[0]",
            "models[1]",
            "models[1]",
            "models[2].long_prompt"
        ]
    );
    assert_eq!(origin, "t.toml");
}

#[test]
fn a_file_that_is_no_table_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.toml");
    let shown = |error: Error| format!("{:#}", anyhow::Error::new(error));
    assert!(shown(Prices::load(Some(&path)).unwrap_err()).contains("prices.toml"));
    std::fs::write(&path, "version = \"v\"\ncurrency = \"USD\"\nprice = 1").unwrap();
    let error = shown(Prices::load(Some(&path)).unwrap_err());
    assert!(
        error.contains("prices.toml") && error.contains("price"),
        "{error}"
    );
    std::fs::write(&path, "version = \"v\"\ncurrency = \"USD\"").unwrap();
    assert!(Prices::load(Some(&path)).is_ok());
}
