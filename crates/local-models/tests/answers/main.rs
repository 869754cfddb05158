//! Answers of the real model, through the trait.

use std::time::{Duration, Instant};

use model_clients::{CallOutcome, ErrorKind, Finish, GenerateRequest, ResponseFormat, UsageSource};
use serde_json::{Value, json};

#[cfg(test)]
mod call;

use call::{Call, answer, provider, refusal, request};

const PARAGRAPH: &str = "Summarize in one sentence: The city council met on Tuesday to discuss the new bridge over the \
    river. Engineers presented three designs, and the council chose the one with a cycle lane and a wide pavement.";
#[tokio::test]
async fn a_summary_is_counted_timed_and_reported_while_it_grows() {
    let provider = provider(1).await;
    let call = Call::new();
    let mut progress = call.progress.subscribe();
    let request = request(PARAGRAPH, 10);
    let (answer, seen) = tokio::join!(call.of(&provider, &request), async {
        let mut seen = Vec::new();
        while progress.changed().await.is_ok() {
            seen.push(*progress.borrow_and_update());
        }
        seen
    });
    let answer = answer.expect("an answer");
    assert!(
        answer.text.starts_with("The city council met on Tuesday"),
        "{}",
        answer.text
    );
    assert_eq!(answer.finish, Finish::Length);
    assert_eq!(
        (answer.usage.output_tokens, answer.usage_source),
        (10, UsageSource::Reported)
    );
    // As llama.cpp counts the same conversation.
    assert_eq!(answer.usage.input_tokens, 72);
    assert!(answer.first_token_ms <= answer.total_ms);
    let last = seen.last().expect("progress");
    assert_eq!((last.output_tokens, last.bytes), (10, answer.text.len() as u64));
    assert!(seen.len() > 1 && seen.is_sorted_by_key(|progress| progress.output_tokens));
}

#[tokio::test]
async fn answers_at_the_same_time_are_those_one_after_the_other() {
    let provider = provider(2.min(std::thread::available_parallelism().map_or(1, usize::from))).await;
    let (first, second) = (request(PARAGRAPH, 12), request("Name three colours.", 12));
    let alone = (
        answer(&provider, &first).await.text,
        answer(&provider, &second).await.text,
    );
    let (one, two) = tokio::join!(answer(&provider, &first), answer(&provider, &second));
    assert_eq!((one.text, two.text), alone);
}

#[tokio::test]
async fn a_seed_repeats_a_sampled_answer_and_another_seed_changes_it() {
    let provider = provider(1).await;
    let sampled = |seed| GenerateRequest {
        temperature: Some(1.0),
        top_p: Some(0.95),
        seed,
        ..request("Tell me about rivers.", 8)
    };
    let first = answer(&provider, &sampled(Some(7))).await.text;
    assert_eq!(answer(&provider, &sampled(Some(7))).await.text, first);
    assert_ne!(answer(&provider, &sampled(Some(8))).await.text, first);
    let unseeded = answer(&provider, &sampled(None)).await.text;
    assert_eq!(
        answer(&provider, &sampled(None)).await.text,
        unseeded,
        "the seed is fixed"
    );
}

#[tokio::test]
async fn whoever_reads_along_is_told_the_answer_piece_by_piece_and_no_stop_text() {
    let models = provider(1).await;
    let mut asking = request("Name three colours.", 24);
    let whole = answer(&models, &asking).await.text;
    let middle = whole.len() / 2;
    let cut = whole.floor_char_boundary(middle);
    for stop in [None, Some(whole[cut..].chars().take(4).collect::<String>())] {
        asking.stop = stop.into_iter().collect();
        let (deltas, mut told) = tokio::sync::mpsc::unbounded_channel();
        let call = Call {
            deltas: Some(deltas),
            ..Call::new()
        };
        let whole = call.of(&models, &asking).await.unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = told.recv().await {
            pieces.push(piece);
        }
        assert!(pieces.len() > 1, "{pieces:?}");
        assert_eq!(pieces.concat(), whole.text);
    }
}

#[tokio::test]
async fn an_answer_ends_before_its_stop_text_and_by_itself() {
    let provider = provider(1).await;
    let stopped = GenerateRequest {
        stop: vec!["Tuesday".to_owned(), "il met".to_owned()],
        ..request(PARAGRAPH, 40)
    };
    let stopped = answer(&provider, &stopped).await;
    assert_eq!(
        (stopped.text.as_str(), stopped.finish),
        ("The city counc", Finish::Stop)
    );
    let complete = answer(
        &provider,
        &request("What is the capital of France? Answer in one sentence.", 60),
    )
    .await;
    assert_eq!(complete.finish, Finish::Stop);
    assert!(
        complete.text.contains("Paris") && !complete.text.contains("<|"),
        "{}",
        complete.text
    );
}

#[tokio::test]
async fn an_answer_satisfies_its_schema_or_is_cut_at_its_limit() {
    let provider = provider(1).await;
    let schema = json!({
        "type": "object",
        "properties": {
            "title": { "type": "string", "maxLength": 40 },
            "topic": { "enum": ["city", "nature", "technology"] },
            "people": { "type": "integer", "minimum": 0, "maximum": 99 },
        },
        "required": ["title", "topic", "people"],
        "additionalProperties": false,
    });
    let constrained = |max_output_tokens, schema: &Value| GenerateRequest {
        response_format: ResponseFormat::JsonSchema(schema.clone()),
        ..request(PARAGRAPH, max_output_tokens)
    };
    let whole = answer(&provider, &constrained(80, &schema)).await;
    assert_eq!(whole.finish, Finish::Stop);
    let value: Value = serde_json::from_str(&whole.text).expect("JSON");
    assert!(jsonschema::is_valid(&schema, &value), "{value}");

    let cut = answer(&provider, &constrained(6, &schema)).await;
    assert_eq!((cut.finish, cut.usage.output_tokens), (Finish::Length, 6));
    assert!(whole.text.starts_with(&cut.text));

    let error = refusal(
        &provider,
        &constrained(10, &json!({ "not": { "type": "string" } })),
    )
    .await;
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::InvalidRequest, CallOutcome::NotBilled)
    );
    assert!(error.message.contains("not"), "{error}");
    let error = refusal(&provider, &constrained(10, &json!(true))).await;
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn requests_that_cannot_be_answered_are_refused_with_their_numbers() {
    let provider = provider(1).await;
    let long = request(&"word ".repeat(8000), 300);
    let error = refusal(&provider, &long).await;
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    assert!(
        error.message.contains("has 80") && error.message.contains("8192"),
        "{error}"
    );
    let huge = request(&"word ".repeat(2_000_000), 300);
    let error = refusal(&provider, &huge).await;
    assert!(
        error.message.contains("at least"),
        "counted without tokenizing: {error}"
    );
    let error = refusal(&provider, &request("Hi", 5000)).await;
    assert!(
        error.message.contains("5000") && error.message.contains("4096"),
        "{error}"
    );

    let fine = || request("Hi", 1);
    let empty_stop = vec![String::new()];
    for wrong in [
        GenerateRequest {
            messages: Vec::new(),
            ..fine()
        },
        GenerateRequest {
            max_output_tokens: 0,
            ..fine()
        },
        GenerateRequest {
            temperature: Some(-0.1),
            ..fine()
        },
        GenerateRequest {
            temperature: Some(f64::NAN),
            ..fine()
        },
        GenerateRequest {
            top_p: Some(0.0),
            ..fine()
        },
        GenerateRequest {
            stop: empty_stop,
            ..fine()
        },
    ] {
        let error = refusal(&provider, &wrong).await;
        assert_eq!(
            (error.kind, error.billing),
            (ErrorKind::InvalidRequest, CallOutcome::NotSent),
            "{wrong:?}"
        );
    }
    let unknown = GenerateRequest {
        model: "huge".to_owned(),
        ..fine()
    };
    assert_eq!(refusal(&provider, &unknown).await.kind, ErrorKind::ModelGone);
}

#[tokio::test]
async fn cancelling_ends_an_answer_and_leaves_the_place_to_the_next() {
    let provider = provider(1).await;
    let call = Call::new();
    let (cancel, mut progress) = (call.cancel.clone(), call.progress.subscribe());
    let endless = request(
        "Count from one to ten thousand in words, without leaving any number out.",
        4000,
    );
    let (outcome, ()) = tokio::join!(call.of(&provider, &endless), async {
        progress
            .wait_for(|progress| progress.output_tokens >= 3)
            .await
            .expect("three tokens");
        cancel.cancel();
    });
    let error = outcome.expect_err("cancelled");
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::Cancelled, CallOutcome::NotBilled)
    );

    // A caller that only goes away ends its answer too, or the next one would never get its turn.
    let call = Call::new();
    let mut progress = call.progress.subscribe();
    tokio::select! {
        _ = call.of(&provider, &endless) => panic!("an answer of thousands of tokens came first"),
        seen = progress.wait_for(|progress| progress.output_tokens >= 1) => drop(seen.expect("a token")),
    }
    answer(&provider, &request("Hi", 1)).await;
}

#[tokio::test]
async fn a_deadline_ends_the_taking_in_of_a_prompt_and_the_waiting_for_a_place() {
    let provider = provider(1).await;
    let started = Instant::now();
    let short = Call {
        deadline: Duration::from_millis(50),
        ..Call::new()
    };
    let error = short
        .of(&provider, &request(&"word ".repeat(6000), 10))
        .await
        .expect_err("too slow");
    assert_eq!(
        (error.kind, error.billing),
        (ErrorKind::DeadlineExceeded, CallOutcome::NotBilled)
    );
    assert!(error.message.contains("tokens of the prompt"), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "the rest of the prompt was left alone"
    );

    let running = Call::new();
    let (stop_running, mut progress) = (running.cancel.clone(), running.progress.subscribe());
    let endless = request(
        "Count from one to ten thousand in words, without leaving any number out.",
        4000,
    );
    let waiting = async {
        progress
            .wait_for(|progress| progress.output_tokens >= 1)
            .await
            .expect("a token");
        let short = Call {
            deadline: Duration::from_millis(10),
            ..Call::new()
        };
        let late = short
            .of(&provider, &request("Hi", 1))
            .await
            .expect_err("no place");
        let gone = Call::new();
        gone.cancel.cancel();
        let gone = gone
            .of(&provider, &request("Hi", 1))
            .await
            .expect_err("cancelled");
        stop_running.cancel();
        (late, gone)
    };
    let (ran, (late, gone)) = tokio::join!(running.of(&provider, &endless), waiting);
    assert_eq!(ran.expect_err("cancelled").kind, ErrorKind::Cancelled);
    assert_eq!(
        (late.kind, late.billing),
        (ErrorKind::DeadlineExceeded, CallOutcome::NotSent)
    );
    assert_eq!(
        (gone.kind, gone.billing),
        (ErrorKind::Cancelled, CallOutcome::NotSent)
    );
}
