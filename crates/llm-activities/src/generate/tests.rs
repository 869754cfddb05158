//! What an attempt does with a scripted provider at the trait, a real journal and a real store.

mod fixture;
mod offloading;
mod spending;
mod streams;

use std::time::Duration;

use effect_journal::{AttemptFilter, Scope as LedgerScope, State};
use model_clients::provider::{CallOutcome, ErrorKind, Finish};
use workflow_types::{
    failure::FailureCode,
    proto::{
        BatchLine, BlobRef, Content, GenerateTextInput, LineRef, LlmPipelineInput, OnUnknown, Outcome,
        OutputSpec, Problem, Repair, ServedBy, content, generate_text_input::Request,
        generate_text_output::Answer,
    },
};

use crate::error::Error;
use fixture::{Fixture, Script, prompt_input};

async fn states(fixture: &Fixture) -> Vec<State> {
    let filter = AttemptFilter {
        scope: LedgerScope::all(),
        ..AttemptFilter::default()
    };
    let attempts = fixture.journal.attempts(filter).await.unwrap();
    attempts.into_iter().map(|attempt| attempt.state).collect()
}

#[tokio::test]
async fn a_finished_answer_is_replayed_and_nobody_is_called_again() {
    let fixture = Fixture::new([Script::answer("  words  ")]).await;
    let first = fixture.run(prompt_input("call/0")).await.unwrap();
    assert_eq!(first.answer, Some(Answer::Text("words".into())));
    assert_eq!((first.outcome(), first.replayed), (Outcome::Completed, false));
    let served = ServedBy {
        provider: "scripted".into(),
        model: "one-2026".into(),
        response_id: Some("r-1".into()),
    };
    assert_eq!(first.served_by, Some(served));
    let second = fixture.run(prompt_input("call/0")).await.unwrap();
    assert!(second.replayed);
    assert_eq!(second.answer, first.answer);
    assert_eq!(second.served_by, first.served_by);
    assert_eq!(second.usage, first.usage);
    assert_eq!(fixture.calls(), 1);
    assert_eq!(states(&fixture).await, [State::Settled]);
}

#[tokio::test]
async fn a_call_whose_outcome_is_unknown_is_repeated_and_stays_listed() {
    let broken = Script::failure(ErrorKind::StreamBroken, CallOutcome::Unknown);
    let fixture = Fixture::new([broken, Script::answer("words")]).await;
    let error = fixture.run(prompt_input("call/0")).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::StreamBroken);
    assert!(fixture.run(prompt_input("call/0")).await.is_ok());
    assert_eq!(states(&fixture).await, [State::Unknown, State::Settled]);
}

#[tokio::test]
async fn a_call_whose_outcome_is_unknown_is_not_repeated_when_that_is_forbidden() {
    let broken = Script::failure(ErrorKind::Transport, CallOutcome::Unknown);
    let fixture = Fixture::new([broken, Script::answer("words")]).await;
    let input = || GenerateTextInput {
        on_unknown: OnUnknown::Fail.into(),
        ..prompt_input("call/0")
    };
    fixture.run(input()).await.unwrap_err();
    let error = fixture.run(input()).await.unwrap_err();
    assert!(
        matches!(error, Error::OutcomeUnknown { attempts: 1 }),
        "{error:?}"
    );
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn a_refusal_that_is_not_billed_is_released_and_tried_again() {
    let refused = Script::failure(ErrorKind::Overloaded, CallOutcome::NotBilled);
    let fixture = Fixture::new([refused, Script::answer("words")]).await;
    assert_eq!(
        fixture.run(prompt_input("call/0")).await.unwrap_err().code(),
        FailureCode::Overloaded
    );
    assert!(fixture.run(prompt_input("call/0")).await.is_ok());
    assert_eq!(states(&fixture).await, [State::Released, State::Settled]);
}

#[tokio::test]
async fn an_effect_that_is_under_way_is_not_begun_twice() {
    let fixture = Fixture::new([Script::held("words")]).await;
    let first = fixture.run(prompt_input("call/0"));
    let second = async {
        fixture.called(1).await;
        let error = fixture.run(prompt_input("call/0")).await.unwrap_err();
        fixture.let_go();
        error
    };
    let (first, error) = tokio::join!(first, second);
    assert!(
        matches!(error, Error::Busy { remaining } if remaining > Duration::from_secs(30)),
        "{error:?}"
    );
    assert!(first.is_ok());
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let fixture = Fixture::new([Script::answer("words")]).await;
    fixture.run(prompt_input("call/0")).await.unwrap();
    let mut other = prompt_input("call/0");
    if let Some(Request::Prompt(prompt)) = &mut other.request {
        prompt.instruction = Some("Something else.".into());
    }
    let error = fixture.run(other).await.unwrap_err();
    assert!(matches!(error, Error::OtherRequest), "{error:?}");
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn a_cancelled_call_is_given_up_and_listed() {
    let fixture = Fixture::new([Script::held("words")]).await;
    let stopped = async {
        fixture.called(1).await;
        fixture.cancel();
    };
    let (ended, ()) = tokio::join!(fixture.run_stoppable(prompt_input("call/0")), stopped);
    assert!(ended.is_none(), "a cancelled attempt gives no result");
    assert_eq!(states(&fixture).await, [State::Unknown]);
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_found_before_anything_is_sent() {
    let fixture = Fixture::new([]).await;
    let mut input = prompt_input("call/0");
    if let Some(Request::Prompt(prompt)) = &mut input.request {
        prompt.contents = vec![fixture::inline(&"word ".repeat(5_000))];
    }
    let output = fixture.run(input).await.unwrap();
    let too_long = output.too_long.expect("it doesn't fit");
    assert!(too_long.prompt_tokens > too_long.available_tokens);
    assert!(too_long.request.is_none(), "the workflow has the text already");
    assert!(states(&fixture).await.is_empty());
}

async fn line_input(fixture: &Fixture, line: &str) -> GenerateTextInput {
    let file = format!("{{\"text\":\"first\"}}\n{line}\n");
    let items: BlobRef = fixture.stage("uploads/items.jsonl", file.as_bytes()).await;
    let defaults: BlobRef = fixture
        .stage("staged/defaults.json", br#"{"model":"scripted/one"}"#)
        .await;
    let place = LineRef {
        file: Some(items),
        offset_bytes: 17,
        length_bytes: i32::try_from(line.len()).unwrap(),
    };
    GenerateTextInput {
        request: Some(Request::Line(BatchLine {
            line: Some(place),
            defaults: Some(defaults),
            model: None,
        })),
        store_answer: true,
        store_name: "staged/items/1".into(),
        ..prompt_input("item/1/call/0")
    }
}

#[tokio::test]
async fn an_item_is_read_by_position_and_its_answer_is_stored() {
    let fixture = Fixture::new([Script::answer("words")]).await;
    let output = fixture
        .run(line_input(&fixture, r#"{"id":"a","text":"second"}"#).await)
        .await
        .unwrap();
    let Some(Answer::Blob(blob)) = output.answer else {
        panic!("the answer is stored: {output:?}")
    };
    assert_eq!(fixture.read(&blob).await, "words");
    assert!(
        fixture.last_prompt().ends_with("second"),
        "{}",
        fixture.last_prompt()
    );
}

#[tokio::test]
async fn an_item_is_asked_of_the_model_that_follows_when_that_is_said() {
    let fixture = Fixture::new([Script::answer("words")]).await;
    let mut input = line_input(&fixture, r#"{"id":"a","text":"second"}"#).await;
    if let Some(Request::Line(line)) = &mut input.request {
        line.model = Some("scripted/two".into());
    }
    fixture.run(input).await.unwrap();
    assert_eq!(fixture.last_model().as_deref(), Some("two"));
}

#[tokio::test]
async fn an_item_that_does_not_fit_comes_back_as_a_request_by_reference() {
    let fixture = Fixture::new([]).await;
    let line = format!(
        r#"{{"text":"{}","instruction":"Shorten."}}"#,
        "word ".repeat(3_000)
    );
    let output = fixture.run(line_input(&fixture, &line).await).await.unwrap();
    let request: LlmPipelineInput = output
        .too_long
        .and_then(|too_long| too_long.request)
        .expect("a request");
    assert_eq!(request.instruction.as_deref(), Some("Shorten."));
    assert_eq!(
        request.output,
        Some(OutputSpec {
            store: Some(true),
            ..OutputSpec::default()
        })
    );
    assert!(request.content.is_some());
}

#[tokio::test]
async fn an_item_s_own_word_on_repairs_is_passed_on() {
    for (line, allowed) in [
        (
            r#"{"text":"b","output":{"json":{"schema":{"type":"object"},"maxRepairs":0}}}"#,
            0,
        ),
        (
            r#"{"text":"b","output":{"json":{"schema":{"type":"object"}}}}"#,
            1,
        ),
        (r#"{"text":"b"}"#, 0),
    ] {
        let fixture = Fixture::new([Script::answer("[1]")]).await;
        let output = fixture.run(line_input(&fixture, line).await).await.unwrap();
        assert_eq!(output.max_repairs, allowed, "{line}");
    }
}

#[tokio::test]
async fn a_mistyped_item_is_bad_input_by_its_path() {
    let fixture = Fixture::new([]).await;
    let error = fixture
        .run(line_input(&fixture, r#"{"txet":"second"}"#).await)
        .await
        .unwrap_err();
    let Error::Input(problems) = error else {
        panic!("bad input: {error:?}")
    };
    assert_eq!(problems.into_vec()[0].path, "txet");
}

#[tokio::test]
async fn a_cut_answer_is_truncated_and_keeps_what_there_is() {
    let fixture = Fixture::new([Script::ended("{\"a\":", Finish::Length)]).await;
    let output = fixture.run(fixture::json_input("call/0")).await.unwrap();
    assert_eq!(output.outcome(), Outcome::Truncated);
    assert_eq!(output.answer, Some(Answer::Text("{\"a\":".into())));
}

#[tokio::test]
async fn a_model_nobody_has_is_named_together_with_those_there_are() {
    let fixture = Fixture::new([]).await;
    let mut input = prompt_input("call/0");
    if let Some(Request::Prompt(prompt)) = &mut input.request {
        prompt.model = "elsewhere/one".into();
    }
    let error = fixture.run(input).await.unwrap_err();
    assert_eq!(error.code(), FailureCode::ModelGone);
    assert!(error.to_string().contains("scripted"), "{error}");
}

#[tokio::test]
async fn a_correction_shows_the_model_its_answer_wherever_that_is() {
    for stored in [false, true] {
        let fixture = Fixture::new([Script::answer("{\"a\":1}")]).await;
        let source = if stored {
            content::Source::Blob(fixture.stage("staged/items/1.answer", b"[1]").await)
        } else {
            content::Source::Text("[1]".into())
        };
        let problem = Problem {
            path: "$".into(),
            message: "is not an object".into(),
        };
        let repair = Repair {
            answer: Some(Content { source: Some(source) }),
            problems: vec![problem],
        };
        let input = GenerateTextInput {
            repair: Some(repair),
            ..fixture::json_input("call/1")
        };
        let output = fixture.run(input).await.unwrap();
        assert_eq!(output.outcome(), Outcome::Completed);
        assert!(
            fixture.last_prompt().contains("is not an object"),
            "{}",
            fixture.last_prompt()
        );
        assert!(
            fixture.earlier_messages().contains("[1]"),
            "{}",
            fixture.earlier_messages()
        );
    }
}
