//! What concerns the provider alone: loading once, and refusing files.

use std::fs;
use std::sync::Arc;

use model_clients::{CallOutcome, ErrorKind, ModelProvider, TokenizerSpec};

use super::LocalModels;
use crate::load::{Error, Refusal};
use crate::options::{ModelOptions, Options};
use crate::real::model_path;

fn provider(model: ModelOptions) -> LocalModels {
    let options = Options {
        models: [("tiny".to_owned(), model)].into(),
        load_at_start: true,
        ..Options::default()
    };
    LocalModels::new(options).expect("valid options")
}

#[tokio::test]
async fn two_first_callers_share_one_load_and_a_caller_that_gives_up_does_not_stop_it() {
    let provider = provider(ModelOptions::new(model_path()));
    let slot = &provider.models["tiny"];
    let given_up = tokio::select! {
        biased;
        _ = Arc::clone(slot).load() => false,
        () = tokio::task::yield_now() => true,
    };
    assert!(given_up, "loading takes longer than one turn of the runtime");
    let (first, second) = tokio::join!(Arc::clone(slot).load(), Arc::clone(slot).load());
    assert!(Arc::ptr_eq(&first.expect("loads"), &second.expect("loads")));
}

#[tokio::test]
async fn a_missing_file_says_how_to_get_it() {
    let provider = provider(ModelOptions::new("nowhere/model.gguf"));
    let error = provider.prepare().await.expect_err("no file");
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    let error = provider.model("tiny").expect_err("no file");
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Internal, CallOutcome::NotSent)
    );
    assert!(error.message.contains("make setup"), "{error}");
}

#[tokio::test]
async fn a_file_with_another_digest_is_refused_and_the_right_digest_loads() {
    let wrong = ModelOptions {
        sha256: Some("0".repeat(64)),
        ..ModelOptions::new(model_path())
    };
    let error = provider(wrong).prepare().await.expect_err("another file");
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    let right = ModelOptions {
        sha256: Some("B179C9523D0E6A0F98A330C7562B682750A6F8C8C15E5BC70EA373728110DB53".to_owned()),
        ..ModelOptions::new(model_path())
    };
    provider(right).prepare().await.expect("the pinned file");
}

#[tokio::test]
async fn damaged_files_are_refused_by_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    fs::write(&path, "not a model").expect("written");
    let error = provider(ModelOptions::new(&path))
        .prepare()
        .await
        .expect_err("no GGUF");
    assert!(
        matches!(
            error,
            Error::Refused {
                source: Refusal::Metadata(_),
                ..
            }
        ),
        "{error}"
    );

    let whole = fs::read(model_path()).expect("read");
    fs::write(&path, &whole[..8 << 20]).expect("written");
    let error = provider(ModelOptions::new(&path))
        .prepare()
        .await
        .expect_err("cut off");
    assert!(
        matches!(
            error,
            Error::Refused {
                source: Refusal::Weights(_),
                ..
            }
        ),
        "{error}"
    );
    let shown = model_clients::Error::from(error);
    assert!(
        shown.message.contains("its weights are unusable: "),
        "the chain is shown: {shown}"
    );
}

#[test]
fn a_model_is_described_without_loading_it() {
    let provider = provider(ModelOptions {
        max_output_tokens: Some(512),
        ..ModelOptions::new(model_path())
    });
    let info = provider.model("tiny").expect("described");
    assert_eq!((info.context_window, info.max_output_tokens), (8192, Some(512)));
    assert_eq!(info.tokenizer, TokenizerSpec::Gguf { path: model_path() });
    assert!(info.constrained_json);
    assert!(
        provider.models["tiny"].model.get().is_none(),
        "nothing was loaded"
    );

    let error = provider.model("huge").expect_err("not there");
    assert_eq!(error.kind, ErrorKind::ModelGone);
    assert!(error.message.contains("[tiny]"), "{error}");
}

#[test]
fn the_context_window_can_be_shortened_and_not_stretched() {
    let with = |context_window| {
        provider(ModelOptions {
            context_window: Some(context_window),
            ..ModelOptions::new(model_path())
        })
    };
    assert_eq!(with(1024).model("tiny").expect("described").context_window, 1024);
    let error = with(16_384).model("tiny").expect_err("too long");
    assert!(
        error.message.contains("16384") && error.message.contains("8192"),
        "{error}"
    );
}

#[test]
fn wrong_options_are_refused_with_all_problems() {
    let options = Options {
        models: [(String::new(), ModelOptions::new(""))].into(),
        max_concurrent: 0,
        load_at_start: false,
    };
    let error = LocalModels::new(options).expect_err("three problems");
    assert_eq!(error.problems.len(), 3, "{error}");
    assert!(
        error.to_string().contains("local.max_concurrent: is 0"),
        "{error}"
    );
}
