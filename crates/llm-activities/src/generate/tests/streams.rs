//! Answers that are read while they come.

use std::fs;

use serde_json::json;
use workflow_types::proto::{GenerateTextInput, StreamTarget, generate_text_output::Answer};

use super::fixture::{Fixture, PREFIX, Script, json_input, prompt_input};

const STREAM: &str = "results/stream";

fn streamed(input: GenerateTextInput) -> GenerateTextInput {
    GenerateTextInput {
        stream: Some(StreamTarget {
            prefix: STREAM.into(),
            flush_milliseconds: 100,
        }),
        ..input
    }
}

fn folder(fixture: &Fixture) -> std::path::PathBuf {
    fixture.blob_folder().join(PREFIX).join(STREAM)
}

/// Puts an epoch's segments together, checking that each begins where the last ended, and reads its end marker.
async fn told(fixture: &Fixture, epoch: &str) -> (String, Option<serde_json::Value>) {
    let (mut text, mut end) = (String::new(), None);
    for name in fixture.objects(&format!("{STREAM}/{epoch}")).await {
        let found = fs::read_to_string(folder(fixture).join(epoch).join(&name)).unwrap();
        if name == "end.json" {
            end = Some(serde_json::from_str(&found).unwrap());
        } else {
            assert_eq!(name, format!("{:012}.txt", text.len()));
            text.push_str(&found);
        }
    }
    (text, end)
}

fn end_of(text: &str) -> serde_json::Value {
    let digest = effect_journal::RequestDigest::of(text.as_bytes());
    json!({"bytes": text.len(), "sha256": digest.to_string()})
}

/// Returns once something of the epoch is there.
async fn begun(fixture: &Fixture, epoch: &str) {
    let epoch = format!("{epoch}/");
    while !fixture
        .objects(STREAM)
        .await
        .iter()
        .any(|name| name.starts_with(&epoch))
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_segments_of_an_answer_are_the_answer_byte_for_byte() {
    let fixture = Fixture::new([Script::held(" \n Ein Wörtchen  und\n\nnoch eins \n\t ")]).await;
    let reader = async {
        // Text is there while the call is under way.
        begun(&fixture, "000001").await;
        assert_eq!(
            fixture.objects(&format!("{STREAM}/000001")).await,
            ["000000000000.txt"]
        );
        fixture.let_go();
    };
    let (output, ()) = tokio::join!(fixture.run(streamed(prompt_input("call/0"))), reader);
    let Some(Answer::Text(text)) = output.unwrap().answer else {
        panic!("a text")
    };
    assert_eq!(text, "Ein Wörtchen  und\n\nnoch eins");
    assert_eq!(
        told(&fixture, "000001").await,
        (text.clone(), Some(end_of(&text)))
    );
    assert!(fixture.measured("aiw_stream_errors_total") < 0.5);
}

#[tokio::test]
async fn a_call_that_is_made_again_is_told_anew_and_a_replay_adds_nothing() {
    let fixture = Fixture::new([
        Script::broken_after("Half an ans"),
        Script::answer("Another answer."),
    ])
    .await;
    let input = || streamed(prompt_input("call/0"));
    let reader = async {
        begun(&fixture, "000001").await;
        fixture.let_go();
    };
    let (failed, ()) = tokio::join!(fixture.fail(input()), reader);
    assert_eq!(failed.usage.map(|usage| usage.unknown_calls), Some(1));
    fixture.run(input()).await.unwrap();
    assert_eq!(told(&fixture, "000001").await, ("Half an ans".to_owned(), None));
    let second = ("Another answer.".to_owned(), Some(end_of("Another answer.")));
    assert_eq!(told(&fixture, "000002").await, second);
    let before = fixture.objects(STREAM).await;
    assert!(fixture.run(input()).await.unwrap().replayed);
    assert_eq!(fixture.objects(STREAM).await, before);
}

#[tokio::test]
async fn a_replay_tells_the_whole_where_an_earlier_worker_did_not_come_to_its_end() {
    let fixture = Fixture::new([Script::answer("An answer.")]).await;
    let input = || streamed(prompt_input("call/0"));
    fixture.run(input()).await.unwrap();
    fs::remove_file(folder(&fixture).join("000001/end.json")).unwrap();
    assert!(fixture.run(input()).await.unwrap().replayed);
    let whole = ("An answer.".to_owned(), Some(end_of("An answer.")));
    assert_eq!(told(&fixture, "000002").await, whole);
    assert_eq!(
        fixture.objects(&format!("{STREAM}/000002")).await,
        ["000000000000.txt", "end.json"]
    );
}

#[tokio::test]
async fn a_replay_tells_its_own_answer_where_another_was_told_last() {
    let fixture = Fixture::new([Script::answer("First."), Script::answer("Second.")]).await;
    fixture.run(streamed(prompt_input("call/0"))).await.unwrap();
    fixture.run(streamed(prompt_input("call/1"))).await.unwrap();
    assert!(
        fixture
            .run(streamed(prompt_input("call/0")))
            .await
            .unwrap()
            .replayed
    );
    assert_eq!(told(&fixture, "000002").await.0, "Second.");
    assert_eq!(
        told(&fixture, "000003").await,
        ("First.".to_owned(), Some(end_of("First.")))
    );
}

#[tokio::test]
async fn json_is_told_as_it_was_written() {
    let raw = "Sure:\n```json\n{\"a\": 1}\n```";
    let fixture = Fixture::new([Script::answer(raw)]).await;
    let output = fixture.run(streamed(json_input("call/0"))).await.unwrap();
    assert!(matches!(output.answer, Some(Answer::Json(_))), "{output:?}");
    assert_eq!(
        told(&fixture, "000001").await,
        (raw.to_owned(), Some(end_of(raw)))
    );
}

#[tokio::test]
async fn an_answer_of_nothing_has_an_end() {
    let fixture = Fixture::new([Script::answer(" \n")]).await;
    fixture.run(streamed(prompt_input("call/0"))).await.unwrap();
    assert_eq!(told(&fixture, "000001").await, (String::new(), Some(end_of(""))));
}

#[tokio::test]
async fn a_store_that_does_not_take_the_stream_costs_no_answer() {
    let fixture = Fixture::new([Script::answer("An answer.")]).await;
    // A file where the folder would be.
    fs::create_dir_all(folder(&fixture).parent().unwrap()).unwrap();
    fs::write(folder(&fixture), "").unwrap();
    let output = fixture.run(streamed(prompt_input("call/0"))).await.unwrap();
    assert_eq!(output.answer, Some(Answer::Text("An answer.".into())));
    assert!(fixture.measured("aiw_stream_errors_total") > 0.5);
    fs::remove_file(folder(&fixture)).unwrap();
    assert!(
        fixture
            .run(streamed(prompt_input("call/0")))
            .await
            .unwrap()
            .replayed
    );
    assert_eq!(told(&fixture, "000001").await.0, "An answer.");
}

#[tokio::test]
async fn a_stream_cannot_be_told_outside_of_the_run() {
    let fixture = Fixture::new([]).await;
    let mut input = streamed(prompt_input("call/0"));
    input.stream.as_mut().unwrap().prefix = "../other".into();
    fixture.fail(input).await;
    assert_eq!(fixture.calls(), 0);
}
