//! What an answer says in either protocol.

use serde_json::json;

use super::*;

fn told(call: &Call, answer: &Answer) -> Told {
    let source = Source {
        seq: 7,
        response_id: "id-7",
        call,
        cached: 0,
        written: 0,
    };
    Told::new(&source, answer, false)
}

fn words(count: u32) -> Answer {
    Answer {
        text: Text::Words(count),
        ..Answer::default()
    }
}

fn call(protocol: Protocol) -> Call {
    Call {
        protocol,
        model: "m".into(),
        messages: vec!["one two three".into()],
        ..Call::default()
    }
}

#[test]
fn the_limit_of_a_request_cuts_the_answer_and_counts_what_is_left() {
    let call = Call {
        max_tokens: Some(2),
        ..call(Protocol::OpenAi)
    };
    let told = told(&call, &words(5));
    assert_eq!(told.text(), "word1 word2 ");
    let whole = told.whole();
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["prompt_tokens"], 3);
    assert_eq!(whole["usage"]["completion_tokens"], 2);
    assert_eq!(whole["usage"]["total_tokens"], 5);
}

#[test]
fn thought_tokens_count_against_the_limit_and_as_completion() {
    let call = Call {
        max_tokens: Some(6),
        ..call(Protocol::OpenAi)
    };
    let answer = Answer {
        reasoning_tokens: 4,
        ..words(5)
    };
    let told = told(&call, &answer);
    assert_eq!(told.tokens.len(), 2);
    let usage = &told.whole()["usage"];
    assert_eq!(usage["completion_tokens"], 6);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 4);
}

#[test]
fn each_protocol_counts_the_cache_its_own_way() {
    let answer = Answer {
        cached_tokens: Some(1),
        cache_write_tokens: Some(9),
        ..words(1)
    };
    let openai = told(&call(Protocol::OpenAi), &answer).whole()["usage"].clone();
    assert_eq!(openai["prompt_tokens"], 3);
    assert_eq!(
        openai["prompt_tokens_details"],
        json!({"cached_tokens": 1, "cache_write_tokens": 2})
    );
    let anthropic = told(&call(Protocol::Anthropic), &answer).whole()["usage"].clone();
    assert_eq!(
        anthropic,
        json!({"input_tokens": 0, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 1, "output_tokens": 1})
    );
}

#[test]
fn wrong_usage_is_too_low_too_high_zero_or_missing_and_the_cost_stays_true() {
    let reports = [
        (UsageReport::Percent(50), json!(1)),
        (UsageReport::Percent(300), json!(9)),
        (UsageReport::Zero, json!(0)),
        (UsageReport::Missing, json!(null)),
    ];
    for (usage, expected) in reports {
        let told = told(&call(Protocol::OpenAi), &Answer { usage, ..words(1) });
        assert_eq!(told.whole()["usage"]["prompt_tokens"], expected, "{usage:?}");
        assert_eq!(told.cost.prompt, 3);
    }
}

#[test]
fn every_ending_has_the_word_of_its_protocol() {
    for (finish, openai, anthropic) in [
        (Finish::Stop, "stop", "end_turn"),
        (Finish::Length, "length", "max_tokens"),
        (Finish::ContentFilter, "content_filter", "refusal"),
    ] {
        let answer = Answer { finish, ..words(1) };
        let one = told(&call(Protocol::OpenAi), &answer).whole();
        assert_eq!(one["choices"][0]["finish_reason"], openai);
        assert_eq!(
            told(&call(Protocol::Anthropic), &answer).whole()["stop_reason"],
            anthropic
        );
    }
}

#[test]
fn a_forced_tool_is_called_with_the_least_input() {
    let form = |is_named| {
        Form::Tool(Tool {
            name: "answer".into(),
            schema: json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}),
            is_named,
        })
    };
    let ask = |protocol, is_named| Call {
        form: form(is_named),
        ..call(protocol)
    };
    let answer = Answer::default();
    let one = told(&ask(Protocol::OpenAi, true), &answer).whole()["choices"][0].clone();
    assert_eq!(
        one["message"]["tool_calls"][0]["function"]["arguments"],
        r#"{"n":0}"#
    );
    assert_eq!(one["finish_reason"], "stop");
    let chosen = told(&ask(Protocol::OpenAi, false), &answer).whole();
    assert_eq!(chosen["choices"][0]["finish_reason"], "tool_calls");
    let other = told(&ask(Protocol::Anthropic, true), &answer);
    assert_eq!(other.whole()["content"][0]["input"], json!({"n": 0}));
    assert_eq!(other.whole()["stop_reason"], "tool_use");
    assert!(other.event("{", true).contains(r#""partial_json":"{""#));
}

#[test]
fn a_form_is_followed_unless_the_script_has_a_text_of_its_own() {
    let call = Call {
        form: Form::Schema(json!({"type": "array"})),
        ..call(Protocol::OpenAi)
    };
    assert_eq!(told(&call, &Answer::default()).text(), "[]");
    let fixed = Answer {
        text: Text::Fixed("no json".into()),
        ..Answer::default()
    };
    assert_eq!(told(&call, &fixed).text(), "no json");
    let any = Call {
        form: Form::AnyJson,
        ..call
    };
    let text = told(&any, &Answer::default()).text();
    assert!(serde_json::from_str::<Value>(&text).unwrap()["summary"].is_string());
}
