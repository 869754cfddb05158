//! Answers as models give them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn value(answer: &str) -> Value {
    match extract(answer) {
        Answer::Extracted { value, range } => {
            assert_eq!(serde_json::from_str::<Value>(&answer[range]).unwrap(), value);
            value
        }
        other @ (Answer::NoJson(_) | Answer::Truncated { .. }) => panic!("{other:?} in {answer}"),
    }
}

#[test]
fn a_whole_text_may_be_any_value() {
    assert_eq!(value(" {\"a\": 1}\n"), json!({"a": 1}));
    assert_eq!(value("\"yes\""), json!("yes"));
    assert_eq!(value("null"), json!(null));
}

#[test]
fn a_json_fence_is_preferred_to_everything_around_it() {
    assert_eq!(
        value("Given {\"x\": 0}:\n```\n[0]\n```\n```json\n{\"a\": [1]}\n```\nDone {\"y\": 2}."),
        json!({"a": [1]})
    );
    assert_eq!(value("```JSON\n\"yes\"\n```"), json!("yes"));
    assert_eq!(value("Sure!\n```json {\"a\": 1} ```"), json!({"a": 1}));
    assert_eq!(
        value("```json\n{\"code\": \"a\\n```\\nb\"}\n"),
        json!({"code": "a\n```\nb"})
    );
    assert_eq!(value("```python\nprint()\n```\nand {\"a\": 2}"), json!({"a": 2}));
}

#[test]
fn a_value_is_found_in_prose_and_brackets_of_prose_are_not_values() {
    assert_eq!(
        value("Here [see note] it is: {\"a\": \"}]\\\"{\"} as asked."),
        json!({"a": "}]\"{"})
    );
    assert_eq!(value("I think [sic the answer is [1, 2]"), json!([1, 2]));
    assert_eq!(value("\"Quote { and\" then {\"a\": 1}"), json!({"a": 1}));
}

#[test]
fn the_answer_is_taken_from_behind_the_reasoning() {
    assert_eq!(
        value("<think>maybe {\"a\": 1}?</think>\n{\"a\": 2}"),
        json!({"a": 2})
    );
}

#[test]
fn a_value_that_never_closes_is_truncated_and_its_inner_values_are_not_the_answer() {
    for cut in [
        "{\"a\": [{\"b\": 1}, {\"b\": 2}",
        "```json\n{\"a\": [{\"b\": 1}, {\"b\"",
        "[1, 2",
        "{\"a\": \"x",
        "{",
    ] {
        let offset = cut.find(['{', '[']).unwrap();
        assert_eq!(extract(cut), Answer::Truncated { offset }, "{cut}");
    }
}

#[test]
fn what_is_almost_json_is_neither_taken_nor_repaired() {
    assert_eq!(extract("no brackets at all"), Answer::NoJson(Reason::Absent));
    assert_eq!(extract(""), Answer::NoJson(Reason::Absent));
    assert_eq!(
        extract("ok: {name: {\"a\": 1}}"),
        Answer::NoJson(Reason::Invalid { offset: 4 })
    );
    assert_eq!(
        extract("{\"a\": 1,}"),
        Answer::NoJson(Reason::Invalid { offset: 0 })
    );
    assert_eq!(
        extract("{\"n\": 1e999}"),
        Answer::NoJson(Reason::Invalid { offset: 0 })
    );
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    value(&nested(MAX_DEPTH));
    for depth in [MAX_DEPTH + 1, 127, 128, 10_000, 100_000] {
        assert_eq!(
            extract(&nested(depth)),
            Answer::NoJson(Reason::TooDeep { offset: 0 }),
            "{depth}"
        );
    }
    assert_eq!(
        extract(&"[".repeat(1 << 20)),
        Answer::NoJson(Reason::TooDeep { offset: 0 })
    );
    let large = " ".repeat(MAX_ANSWER_BYTES + 1);
    assert_eq!(
        extract(&large),
        Answer::NoJson(Reason::TooLarge { bytes: large.len() })
    );
}

#[test]
fn many_brackets_that_lead_nowhere_are_given_up() {
    assert_eq!(
        extract(&"[x ".repeat(300_000)),
        Answer::NoJson(Reason::TooDeep { offset: 0 })
    );
    let tail = "y".repeat(1 << 20);
    assert_eq!(
        extract(&format!("{}{tail}", "{x ".repeat(100))),
        Answer::NoJson(Reason::Absent)
    );
}

proptest! {
    #[test]
    fn no_answer_panics(answer in any::<String>()) {
        let got = extract(&answer);
        prop_assert_eq!(got.clone(), extract(&answer));
    }

    #[test]
    fn no_answer_of_json_s_own_characters_panics(answer in "[\\[\\]{}\",:\\\\`a1 \njsonż]{0,40}") {
        if let Answer::Extracted { value, range } = extract(&answer) {
            prop_assert_eq!(serde_json::from_str::<Value>(&answer[range]).unwrap(), value);
        }
    }

    #[test]
    fn an_object_is_found_whole_in_prose_and_truncated_when_cut(
        text in "[ -~ż\n]{0,20}", number in any::<i64>(), before in "[a-z .]{0,20}", cut in 1_usize..200
    ) {
        let object = json!({"text": text, "list": [number, {"x": null}]});
        let json = object.to_string();
        prop_assert_eq!(value(&format!("{before}{json} bye")), object);
        let end = json.floor_char_boundary(1 + cut % (json.len() - 1));
        if end < json.len() {
            let got = extract(&format!("{before}{}", &json[..end]));
            prop_assert_eq!(got, Answer::Truncated { offset: before.len() });
        }
    }
}
