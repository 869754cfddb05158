//! Texts and their chunks, by the tokenizer of the default local model.

use documents::tokens::TokenCounter;
use serde_json::{Value, json};
use workflow_types::failure::FailureCode;

use super::*;
use crate::fixture::{Bench, PREFIX, SMOLLM2, cancelled, input, problems, scoped};

async fn preprocess(bench: &Bench, adjust: Value) -> Result<PreprocessDataOutput, Error> {
    let mut object = json!({"model": SMOLLM2, "maxOutputTokens": 256, "stagePrefix": PREFIX});
    object
        .as_object_mut()
        .unwrap()
        .extend(adjust.as_object().unwrap().clone());
    let input = input(&object);
    scoped(async |scope| run(&bench.services, input, &scope).await).await
}

fn prose(sentences: usize) -> String {
    let sentence = |number| {
        format!("The worker reads sentence number {number} and writes down what it has understood. ")
    };
    (0..sentences).map(sentence).collect()
}

async fn texts(bench: &Bench, output: &PreprocessDataOutput) -> Vec<String> {
    let mut texts = Vec::new();
    for chunk in &output.chunks {
        texts.push(bench.read(chunk.blob.as_ref().unwrap()).await);
    }
    texts
}

async fn counter(bench: &Bench) -> Arc<TokenCounter> {
    let model = bench
        .services
        .models
        .find(&workflow_types::request::ModelRef::parse(SMOLLM2).unwrap())
        .unwrap();
    model
        .counter(&bench.services.pool, &tokio_util::sync::CancellationToken::new())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_text_that_fits_is_one_chunk_with_its_language_and_its_times() {
    let bench = Bench::new();
    let story = "Once a worker had read all the documents on its table, and nobody had asked it for anything, it began \
                 to wonder whether there might be more of them somewhere behind the door.";
    let text = format!("\u{FEFF}{story}\r\nThe\u{200B} end.  ");
    let adjust = json!({"content": {"text": text}, "system": "Be brief.", "instruction": "Summarize."});
    let output = preprocess(&bench, adjust).await.unwrap();
    let expected = format!("{story}\nThe end.");
    assert_eq!(texts(&bench, &output).await, [expected.as_str()]);
    assert_eq!(output.language.as_deref(), Some("eng"));
    let counter = counter(&bench).await;
    assert_eq!(
        output.content_tokens.unsigned_abs() as usize,
        counter.count(&expected)
    );
    assert_eq!(output.chunks[0].tokens, output.content_tokens);
    let taken = counter.count("Be brief.") + counter.count("Summarize.");
    let overhead = window::TEMPLATE_TOKENS + 2 * window::MESSAGE_TOKENS;
    assert_eq!(
        output.window_tokens.unsigned_abs() as usize,
        2048 - 256 - taken - overhead
    );
    let steps: Vec<_> = output.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(
        steps,
        ["read", "normalize", "language", "tokenize", "wait", "write"]
    );
    assert_eq!(bench.staged().await, ["staged/chunks/00000.txt"]);
}

#[tokio::test]
async fn a_long_text_is_cut_to_what_the_window_leaves() {
    let bench = Bench::new();
    let text = prose(600);
    let file = bench.upload("doc.txt", &text);
    let output = preprocess(&bench, json!({"content": {"blob": file}}))
        .await
        .unwrap();
    assert!(output.chunks.len() > 3, "{}", output.chunks.len());
    let counter = counter(&bench).await;
    let texts = texts(&bench, &output).await;
    for (chunk, text) in output.chunks.iter().zip(&texts) {
        assert_eq!(chunk.tokens.unsigned_abs() as usize, counter.count(text));
        assert!(chunk.tokens <= output.window_tokens);
    }
    assert_eq!(texts.join(" "), text.trim_end());
    let again = preprocess(&bench, json!({"content": {"blob": file}}))
        .await
        .unwrap();
    assert_eq!(again.chunks, output.chunks, "a retry stages the same");
    assert_eq!(bench.staged().await.len(), output.chunks.len());
}

#[tokio::test]
async fn chunks_are_of_the_size_and_overlap_asked_for() {
    let bench = Bench::new();
    let adjust = json!({
        "content": {"text": prose(60)},
        "preprocessing": {"chunkTokens": 64, "chunkOverlapTokens": 20},
    });
    let output = preprocess(&bench, adjust).await.unwrap();
    assert!(output.chunks.iter().all(|chunk| chunk.tokens <= 64));
    let texts = texts(&bench, &output).await;
    let last_sentence = texts[0].rsplit("The worker").next().unwrap();
    assert!(texts[1].contains(last_sentence), "{texts:?}");
    assert!((bench.counted("aiw_data_chunks_total") - f64::from(count(texts.len()))).abs() < 0.5);
}

#[tokio::test]
async fn a_text_is_left_as_it_is_when_normalising_is_off() {
    let bench = Bench::new();
    let adjust = json!({"content": {"text": "e\u{301}\u{200B}  x"}, "preprocessing": {"normalize": false}});
    let output = preprocess(&bench, adjust).await.unwrap();
    assert_eq!(texts(&bench, &output).await, ["e\u{301}\u{200B}  x"]);
}

#[tokio::test]
async fn what_cannot_be_prepared_is_told_by_its_path() {
    let bench = Bench::new();
    let words = json!({"text": "some words"});
    let cases = [
        (
            json!({"content": words, "maxOutputTokens": 2048}),
            "parameters.maxOutputTokens",
        ),
        (
            json!({"content": words, "instruction": prose(200)}),
            "parameters.maxOutputTokens",
        ),
        (
            json!({"content": words, "maxOutputTokens": -1}),
            "parameters.maxOutputTokens",
        ),
        (
            json!({"content": words, "preprocessing": {"chunkOverlapTokens": 1500}}),
            "preprocessing.chunkOverlapTokens",
        ),
        (json!({"content": {}}), "content.text"),
        (json!({"content": words, "stagePrefix": "runs/"}), "stagePrefix"),
        (
            json!({"content": {"blob": bench.upload("large", vec![b'x'; 1 << 20])}, "model": "plain"}),
            "model",
        ),
    ];
    for (adjust, path) in cases {
        assert_eq!(
            problems(preprocess(&bench, adjust.clone()).await.unwrap_err())[0].path,
            path,
            "{adjust}"
        );
    }
    let unknown = preprocess(&bench, json!({"content": words, "model": "openai/gpt"}))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), FailureCode::ModelGone);
    let nothing = preprocess(&bench, json!({"content": {"text": "\u{200B}"}}))
        .await
        .unwrap_err();
    assert_eq!(nothing.code(), FailureCode::InvalidInput);
    assert_eq!(bench.staged().await, Vec::<String>::new());
}

#[tokio::test]
async fn more_chunks_than_a_workflow_can_follow_are_refused_before_any_is_written() {
    let bench = Bench::new();
    let text = prose(10_000);
    let adjust = json!({
        "content": {"blob": bench.upload("large.txt", text)},
        "model": "other/estimated",
        "preprocessing": {"chunkTokens": 40},
    });
    let found = problems(preprocess(&bench, adjust).await.unwrap_err());
    assert_eq!(found[0].path, "preprocessing.chunkTokens");
    assert!(found[0].message.contains("at most 4096"), "{found:?}");
    assert_eq!(bench.staged().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_list_of_the_most_chunks_fits_a_payload() {
    let bench = Bench::new();
    let output = preprocess(&bench, json!({"content": {"text": prose(1)}}))
        .await
        .unwrap();
    let listed = serde_json::to_vec(&output.chunks).unwrap().len();
    assert!(listed < LISTED_CHUNK_BYTES + PREFIX.len(), "{listed}");
}

#[tokio::test]
async fn a_cancelled_preparation_stops() {
    let bench = Bench::new();
    bench.upload("doc.txt", prose(10_000));
    let object =
        json!({"content": {"blob": {"uri": "blob:inbox/doc.txt"}}, "model": SMOLLM2, "stagePrefix": PREFIX});
    let input = input(&object);
    let error = cancelled(async |scope| run(&bench.services, input, &scope).await).await;
    assert!(
        matches!(error, Some(Error::Stopped | Error::Blocking(_))),
        "{error:?}"
    );
    assert_eq!(bench.staged().await, Vec::<String>::new());
}
