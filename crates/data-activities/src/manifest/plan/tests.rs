//! How a line is run, and what a bad one is told.

use super::*;
use crate::fixture::{PREFIX, paths, prefix};

fn plan(defaults: &str, text: &str) -> Planned {
    let plan = Plan {
        file: BlobRef {
            uri: "blob:inbox/items.jsonl".into(),
            ..BlobRef::default()
        },
        prefix: prefix(),
        defaults: parse_json_strictly(defaults.as_bytes()).unwrap(),
        first_index: 10,
    };
    let line = Line {
        number: 1,
        offset: 7,
        length: text.len() as u64,
        text: Ok(text.to_owned()),
    };
    plan.item(&line, 2).unwrap()
}

fn invalid_of(planned: &Planned) -> &FailureDetails {
    match &planned.item.route {
        Some(Route::Invalid(details)) => details,
        other => panic!("valid: {other:?}"),
    }
}

#[test]
fn the_defaults_decide_together_with_the_item() {
    let by_line = plan("{}", r#"{"id":"a","text":"words"}"#);
    assert!(matches!(by_line.item.route, Some(Route::Line(_))));
    assert_eq!((by_line.item.index, by_line.item.id.as_str()), (12, "a"));

    let elsewhere = plan(r#"{"placement":"PLACEMENT_DATA_WORKER"}"#, r#"{"text":"words"}"#);
    assert!(matches!(elsewhere.item.route, Some(Route::Child(_))));
    let (path, text) = elsewhere.text.unwrap();
    assert_eq!(
        (path.as_str(), text.as_str()),
        (format!("{PREFIX}staged/items/12.txt").as_str(), "words")
    );
    assert_eq!(elsewhere.item.id, "13");

    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(20_000));
    let forced = plan(r#"{"placement":"PLACEMENT_AI_WORKER"}"#, &long);
    assert!(matches!(forced.item.route, Some(Route::Line(_))) && forced.text.is_none());
}

#[test]
fn an_item_that_waits_for_a_person_is_a_run_of_its_own() {
    let reviewed = plan(
        r#"{"review":{"when":"REVIEW_WHEN_ALWAYS"}}"#,
        r#"{"text":"words"}"#,
    );
    let Some(Route::Child(child)) = reviewed.item.route else {
        panic!("not a child: {:?}", reviewed.item)
    };
    assert!(child.review.is_some());
    assert_eq!(reviewed.text.unwrap().1, "words");
}

#[test]
fn every_mistake_of_a_line_is_told_by_its_path() {
    let long_id = "i".repeat(257);
    let json =
        format!(r#"{{"id":"{long_id}","text":"a","content":{{"text":"b"}},"parameters":{{"topP":2}}}}"#);
    let planned = plan("{}", &json);
    assert_eq!(paths(invalid_of(&planned)), ["id", "text", "parameters.topP"]);
    assert_eq!(planned.item.id, "13");
    for (json, path) in [
        ("{}", "content.text"),
        ("[]", "$"),
        ("null", "content.text"),
        (r#"{"txet":1}"#, "txet"),
    ] {
        assert_eq!(paths(invalid_of(&plan("{}", json))), [path], "{json}");
    }
}

#[test]
fn a_problem_never_quotes_the_line() {
    let secret = "secret \\\" words, expected or not".repeat(100);
    for json in [
        format!(r#"{{"text":"a","parameters":"{secret}"}}"#),
        format!(r#"{{"text":"a","parameters":{{"stop":"{secret}"}}}}"#),
        format!(r#"{{"text":"a","parameters":{{"seed":"{secret}"}}}}"#),
        format!(r#"{{"text":"a","output":{{"json":{{"schema":"{secret}"}}}}}}"#),
        format!(r#"{{"text":"{secret}"#),
    ] {
        let planned = plan("{}", &json);
        let problem = &invalid_of(&planned).problems[0];
        assert!(!problem.message.contains("secret"), "{problem:?}");
        assert!(problem.message.len() <= PROBLEM_LIMIT_BYTES + 3, "{problem:?}");
    }
}

#[test]
fn a_line_of_many_mistakes_makes_a_small_item() {
    let fields: Vec<_> = (0..5_000)
        .map(|field| format!(r#""{}{field}":1"#, "f".repeat(400)))
        .collect();
    let planned = plan("{}", &format!("{{{}}}", fields.join(",")));
    assert_eq!(invalid_of(&planned).problems.len(), MOST_PROBLEMS);
    assert!(planned.encoded_bytes().unwrap() < 16 * 1024);
}

#[test]
fn a_line_that_cannot_be_used_keeps_a_name_that_can_be_read() {
    let name = |text: &str| plan("{}", text).item.id;
    assert_eq!(name(r#"{"id":"a","text":"b","instrucion":"c"}"#), "a");
    assert_eq!(name(r#"{"id":"a","text":5}"#), "a");
    let number = "13";
    assert_eq!(name(r#"{"id":"","text":5}"#), number);
    assert_eq!(name(r#"{"id":5}"#), number);
    assert_eq!(name("{oops"), number);
}
