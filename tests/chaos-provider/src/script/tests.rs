//! Which rule a request takes, and how a script is read.

use super::*;

fn call(model: &str, message: &str, marker: Option<&str>) -> Call {
    Call {
        model: model.into(),
        messages: vec!["be brief".into(), message.into()],
        marker: marker.map(Into::into),
        ..Call::default()
    }
}

fn dice() -> Dice {
    Dice::new(1, "request", 1)
}

fn place(deck: &mut Deck, call: &Call) -> Option<usize> {
    deck.take(call, &dice()).rule
}

#[test]
fn rules_are_used_up_in_order_and_then_comes_a_normal_answer() {
    let rules = [
        Rule::once(Reply::new(Behaviour::Garbage)),
        Rule::times(2, Reply::new(Behaviour::refused(500))),
    ];
    let mut deck = Deck::new(Script::new(rules));
    let any = call("m", "text", None);
    let taken: Vec<_> = (0..4).map(|_| place(&mut deck, &any)).collect();
    assert_eq!(taken, [Some(0), Some(1), Some(1), None]);
    assert_eq!(deck.take(&any, &dice()), Taken::default());
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    let when = When {
        model: Some("a".into()),
        prompt_contains: Some("slow".into()),
        ..When::default()
    };
    let mut deck = Deck::new(Script::new([
        Rule::always(Reply::default()).when(when),
        Rule::always(Reply::default()).when(When::marker("here")),
    ]));
    assert_eq!(place(&mut deck, &call("a", "a slow one", None)), Some(0));
    assert_eq!(place(&mut deck, &call("a", "a fast one", None)), None);
    assert_eq!(place(&mut deck, &call("b", "a slow one", None)), None);
    assert_eq!(place(&mut deck, &call("b", "a slow one", Some("here"))), Some(1));
}

#[test]
fn a_request_that_does_not_match_uses_nothing_up() {
    let mut deck = Deck::new(Script::new([Rule::once(Reply::default()).when(When::model("a"))]));
    assert_eq!(place(&mut deck, &call("b", "", None)), None);
    assert_eq!(place(&mut deck, &call("a", "", None)), Some(0));
    assert_eq!(place(&mut deck, &call("a", "", None)), None);
}

#[test]
fn the_script_of_the_readme_is_one() {
    let readme = include_str!("../../README.md");
    let json = readme
        .split("```json")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let script: Script = serde_json::from_str(json).unwrap();
    assert_eq!(script.rules.len(), 3);
    assert_eq!(script.chances.len(), 2);
    assert_eq!(script.impossible_chance(), None);
    assert_eq!(script.rules[1].times, Some(2));
    let cut = Behaviour::Cut {
        after: Point::Tokens(3),
        how: Cut::Reset,
        token_delay_ms: 0,
    };
    assert_eq!(script.rules[1].reply.behaviour, cut);
}

#[test]
fn a_misspelt_field_of_a_behaviour_is_refused() {
    let json = r#"{"rules": [{"reply": {"behaviour": {"kind": "answer", "token_delay": 5}}}]}"#;
    let error = serde_json::from_str::<Script>(json).unwrap_err().to_string();
    assert!(error.contains("token_delay"), "{error}");
}

#[test]
fn every_behaviour_survives_its_json_under_the_name_of_its_kind() {
    let all = [
        Behaviour::Answer(Answer {
            text: Text::Words(3),
            finish: Finish::Length,
            ..Answer::default()
        }),
        Behaviour::RateLimited {
            retry_after: RetryAfter::Date(2),
        },
        Behaviour::quota_exhausted(),
        Behaviour::Cut {
            after: Point::Head,
            how: Cut::Stall,
            token_delay_ms: 1,
        },
        Behaviour::Overloaded {
            retry_after: RetryAfter::Seconds(1),
        },
        Behaviour::Truncated { after_tokens: 2 },
        Behaviour::StreamError { after_tokens: 1 },
        Behaviour::Garbage,
        Behaviour::Html { status: 502 },
        Behaviour::Huge { bytes: 10 },
    ];
    for behaviour in all {
        let json = serde_json::to_value(&behaviour).unwrap();
        assert_eq!(json["kind"], behaviour.kind());
        assert_eq!(serde_json::from_value::<Behaviour>(json).unwrap(), behaviour);
    }
}

#[test]
fn requests_that_no_rule_takes_are_left_to_chance_in_the_given_shares() {
    let mut script = Script::campaign([
        (5.0, Reply::new(Behaviour::refused(529))),
        (20.0, Reply::new(Behaviour::Garbage)),
    ]);
    script.rules = vec![Rule::always(Reply::text("ruled")).when(When::model("ruled"))];
    let mut deck = Deck::new(script);
    let (any, ruled) = (call("m", "text", None), call("ruled", "text", None));
    let mut met = [0, 0, 0];
    for nth in 0..4_000 {
        let taken = deck.take(&any, &Dice::new(9, "request", nth));
        assert_eq!(
            taken,
            deck.take(&any, &Dice::new(9, "request", nth)),
            "the same call, the same fate"
        );
        met[taken.chance.map_or(2, |place| place)] += 1;
        assert_eq!(deck.take(&ruled, &Dice::new(9, "request", nth)).chance, None);
    }
    assert!((150..250).contains(&met[0]), "{met:?}");
    assert!((720..880).contains(&met[1]), "{met:?}");
    assert_eq!(met.iter().sum::<i32>(), 4_000);
}

#[test]
fn a_chance_may_be_for_some_requests_only() {
    let mut script = Script::campaign([(100.0, Reply::new(Behaviour::Garbage))]);
    script.chances[0].when = When {
        protocol: Some(Protocol::Anthropic),
        ..When::default()
    };
    let mut deck = Deck::new(script);
    let mut call = call("m", "text", None);
    assert_eq!(deck.take(&call, &dice()).chance, None);
    call.protocol = Protocol::Anthropic;
    assert_eq!(deck.take(&call, &dice()).chance, Some(0));
}

#[test]
fn chances_above_a_hundred_per_cent_are_found() {
    let campaign =
        |percents: &[f64]| Script::campaign(percents.iter().map(|percent| (*percent, Reply::default())));
    assert_eq!(campaign(&[60.0, 40.0]).impossible_chance(), None);
    assert_eq!(campaign(&[60.0, 41.0]).impossible_chance(), Some(1));
    assert_eq!(campaign(&[-1.0]).impossible_chance(), Some(0));
    assert_eq!(campaign(&[f64::NAN]).impossible_chance(), Some(0));
}

#[test]
fn a_reply_s_own_latency_goes_before_the_script_s() {
    let (own, all) = (Latency::Fixed { ms: 1 }, Latency::Fixed { ms: 2 });
    let reply = Reply {
        latency: Some(own),
        ..Reply::default()
    };
    let mut deck = Deck::new(Script {
        latency: Some(all),
        token_latency: Some(own),
        ..Script::new([Rule::once(reply)])
    });
    let any = call("m", "text", None);
    assert_eq!(deck.take(&any, &dice()).reply.latency, Some(own));
    let second = deck.take(&any, &dice());
    assert_eq!(
        (second.reply.latency, second.token_latency),
        (Some(all), Some(own))
    );
}
