//! What a call costs, and what the sums say.

use super::*;
use crate::account::Ending;

fn tokens() -> Tokens {
    Tokens {
        prompt: 100,
        cached: 20,
        written: 30,
        completion: 10,
        reasoning: 4,
    }
}

#[test]
fn every_kind_of_token_has_its_price_and_the_sum_is_rounded_up() {
    let price = Price {
        model: Some("m".into()),
        input_micros_per_million: 1_000_000,
        cached_input_micros_per_million: Some(100_000),
        cache_write_input_micros_per_million: Some(1_250_000),
        output_micros_per_million: 5_000_000,
    };
    let prices = [price, Price::default()];
    // 50 + 2 + 37.5 + 50
    let bill = make_out(&prices, "m", tokens());
    assert_eq!(bill.cost_micros, 140);
    assert_eq!(
        (bill.prompt_tokens, bill.completion_tokens, bill.reasoning_tokens),
        (100, 10, 4)
    );
    assert_eq!(make_out(&prices, "other", tokens()).cost_micros, 0);
    assert_eq!(make_out(&[], "m", tokens()).cost_micros, 0);
}

#[test]
fn tokens_of_the_cache_cost_as_much_as_others_unless_they_have_a_price() {
    let price = Price {
        input_micros_per_million: 1_000_000,
        ..Price::default()
    };
    assert_eq!(make_out(&[price], "m", tokens()).cost_micros, 100);
}

fn record(model: &str, request: &str, ending: Option<(Outcome, Option<u16>, u64)>) -> Record {
    Record {
        model: model.into(),
        body_sha256: request.into(),
        ending: ending.map(|(outcome, status, cost_micros)| Ending {
            outcome,
            status,
            bill: Bill {
                prompt_tokens: 3,
                cached_tokens: 1,
                completion_tokens: 2,
                cost_micros,
                ..Bill::default()
            },
            ..Ending::default()
        }),
        ..Record::default()
    }
}

#[test]
fn calls_are_summed_by_what_they_have_in_common() {
    let records = [
        record("b", "x", Some((Outcome::Sent, Some(200), 1_500_000))),
        record("a", "x", Some((Outcome::Sent, Some(529), 0))),
        record("b", "y", Some((Outcome::Cut, Some(200), 7))),
        record("b", "y", None),
    ];
    let by_model = sums(&records, By::Model);
    assert_eq!(
        by_model.iter().map(|sum| sum.name.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let model = &by_model[1];
    assert_eq!(
        (model.calls, model.answered, model.broken, model.open),
        (3, 1, 1, 1)
    );
    assert_eq!(
        (model.prompt_tokens, model.cached_tokens, model.cost_micros),
        (6, 2, 1_500_007)
    );
    assert_eq!(by_model[0].refused, 1);
    let by_request = sums(&records, By::Request);
    assert_eq!(by_request.iter().map(|sum| sum.calls).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(sums(&records, By::Key)[0].calls, 4);
    assert_eq!(total(&records).cost_micros, 1_500_007);
    let table = table(&by_model);
    assert!(table.lines().nth(2).unwrap().ends_with("1.500007"), "{table}");
}
