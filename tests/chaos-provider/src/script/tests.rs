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

fn place(deck: &mut Deck, call: &Call) -> Option<usize> {
    deck.take(call).0
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
    assert_eq!(deck.take(&any).1, Reply::default());
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    let when = When {
        model: Some("a".into()),
        prompt_contains: Some("slow".into()),
        marker: None,
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
