//! Large answers, in the blob store and without it.

use std::{fs, path::PathBuf};

use effect_journal::{Claim, ClaimRequest, EffectClass, OnUnknown, RequestDigest, Spend};
use workflow_types::{failure::FailureCode, proto::generate_text_output::Answer};

use super::fixture::{Fixture, Script, prompt_input};

fn long() -> String {
    "many words ".repeat(200).trim().to_owned()
}

/// Gives the offloaded answers.
fn shared(fixture: &Fixture) -> Vec<PathBuf> {
    let folder = fixture.blob_folder().join("shared");
    let Ok(folders) = fs::read_dir(folder) else {
        return Vec::new();
    };
    folders
        .flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[tokio::test]
async fn a_large_answer_is_kept_beside_the_journal_and_replayed() {
    let fixture = Fixture::new([Script::answer(&long()), Script::answer("small")]).await;
    fixture.run(prompt_input("call/1")).await.unwrap();
    let files = shared(&fixture);
    assert_eq!(files.len(), 1);
    let journaled = fs::read(&files[0]).unwrap();
    assert!(String::from_utf8(journaled).unwrap().contains("many words"));
    let again = fixture.run(prompt_input("call/1")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.answer, Some(Answer::Text(long())));
    fixture.run(prompt_input("call/2")).await.unwrap();
    assert_eq!(shared(&fixture).len(), 1, "a small answer stays in the journal");
    assert!((fixture.measured("aiw_response_offloads_total") - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn an_answer_that_was_changed_or_is_gone_is_not_replayed() {
    let fixture = Fixture::new([Script::answer(&long())]).await;
    fixture.run(prompt_input("call/0")).await.unwrap();
    let file = shared(&fixture).remove(0);
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.replacen("many", "MANY", 1)).unwrap();
    let changed = fixture.fail(prompt_input("call/0")).await;
    assert_eq!(changed.error.code(), FailureCode::Internal, "{:?}", changed.error);
    fs::remove_file(&file).unwrap();
    let gone = fixture.fail(prompt_input("call/0")).await;
    assert_eq!(gone.error.code(), FailureCode::OutcomeUnknown, "{:?}", gone.error);
    assert_eq!(gone.usage.map(|usage| usage.calls), Some(1), "it was paid for");
    fs::write(&file, whole).unwrap();
    assert!(fixture.run(prompt_input("call/0")).await.unwrap().replayed);
}

#[tokio::test]
async fn without_the_blob_store_a_large_answer_is_kept_in_the_journal() {
    let fixture = Fixture::new([Script::answer(&long())]).await;
    // A file where the folder would be.
    fs::write(fixture.blob_folder().join("shared"), "").unwrap();
    let first = fixture.run(prompt_input("call/0")).await.unwrap();
    assert_eq!(first.answer, Some(Answer::Text(long())));
    let again = fixture.run(prompt_input("call/0")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.answer, first.answer);
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn the_journal_itself_keeps_only_the_reference() {
    let fixture = Fixture::new([Script::answer(&long())]).await;
    fixture.run(prompt_input("call/0")).await.unwrap();
    let attempts = fixture
        .journal
        .attempts(effect_journal::AttemptFilter::default())
        .await
        .unwrap();
    let request = ClaimRequest {
        key: attempts[0].key.clone(),
        digest: RequestDigest::from_bytes(*attempts[0].digest.as_bytes()),
        owner: "test".into(),
        class: EffectClass::Paid,
        on_unknown: OnUnknown::Repeat,
        model: String::new(),
        provider: String::new(),
        upper_bound: Spend::default(),
        tenant: None,
        price_table: String::new(),
        accounts: Vec::new(),
        limits: None,
    };
    let Claim::Replay(committed) = fixture.journal.claim(request).await.unwrap() else {
        panic!("it is committed")
    };
    assert!(committed.response.len() < 300, "{}", committed.response.len());
}
