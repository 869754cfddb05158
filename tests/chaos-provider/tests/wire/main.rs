//! What a client sees on the wire, and what the account says of it afterwards.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod anthropic;
mod bill;
mod client;
mod faults;
mod limits;

use std::io::ErrorKind;

use chaos_provider::{
    Answer, Behaviour, Cut, Finish, MARKER_HEADER, Options, Outcome, Point, Provider, Reply, RetryAfter,
    Rule, Script, Text, UsageReport, When, count_tokens, summary_of,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use client::{exchange, provider, raw, request, streamed};

#[tokio::test]
async fn a_request_without_a_rule_gets_the_summary_of_its_prompt_and_its_true_cost() {
    let provider = provider([]).await;
    let prompt = "three word prompt";
    let answer = exchange(provider.address(), &request(prompt, &json!({})), "")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(text, summary_of([prompt]));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["prompt_tokens"], 3);
    assert_eq!(body["usage"]["completion_tokens"], count_tokens(text));

    let calls = provider.wait_ended(1).await;
    let ending = calls[0].ending.clone().unwrap();
    assert_eq!(
        (calls[0].seq, calls[0].model.as_str(), calls[0].prompt_tokens),
        (1, "m", 3)
    );
    assert_eq!((ending.outcome, ending.completion_tokens), (Outcome::Sent, 3));
}

#[tokio::test]
async fn a_stream_tells_the_same_text_token_by_token_and_its_cost_when_asked() {
    let provider = provider([]).await;
    let answer = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    let events = answer.events();
    assert_eq!(answer.told(), (summary_of(["p"]), Some("stop".to_owned())));
    assert_eq!(events.last().unwrap(), "[DONE]");
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!(usage["usage"]["total_tokens"], 4);
    assert!(answer.unchunked().1);

    let unasked = exchange(provider.address(), &request("p", &json!({"stream": true})), "")
        .await
        .unwrap();
    assert!(!unasked.events().iter().any(|event| event.contains("usage")));
}

#[tokio::test]
async fn a_connection_takes_one_request_after_another() {
    let provider = provider([]).await;
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    for _ in 0..2 {
        stream.write_all(&raw(&streamed("p"), "")).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"[DONE]\n\n\r\n0\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
        }
    }
    let calls = provider.wait_ended(2).await;
    assert_eq!((calls[0].connection, calls[1].connection), (1, 1));
}

#[tokio::test]
async fn the_three_forms_of_retry_after_and_none() {
    let forms = [
        RetryAfter::Seconds(7),
        RetryAfter::Millis(1500),
        RetryAfter::Date(60),
        RetryAfter::None,
    ];
    let limited = |retry_after| Rule::once(Reply::new(Behaviour::RateLimited { retry_after }));
    let provider = provider(forms.map(limited)).await;
    let mut answers = Vec::new();
    for _ in forms {
        answers.push(
            exchange(provider.address(), &request("p", &json!({})), "")
                .await
                .unwrap(),
        );
    }
    assert!(answers.iter().all(|answer| answer.status == 429));
    assert_eq!(answers[0].header("retry-after"), Some("7"));
    assert_eq!(answers[1].header("retry-after-ms"), Some("1500"));
    assert_eq!(answers[1].header("retry-after"), None);
    let at = |name| httpdate::parse_http_date(answers[2].header(name).unwrap()).unwrap();
    let wait = at("retry-after").duration_since(at("date")).unwrap().as_secs();
    assert!((60..=61).contains(&wait), "{wait}");
    assert_eq!(answers[3].header("retry-after"), None);
}

#[tokio::test]
async fn refusals_carry_the_codes_of_the_protocol() {
    let cases = [
        (Behaviour::refused(500), 500, "internal_error"),
        (Behaviour::refused(503), 503, "overloaded"),
        (Behaviour::refused(529), 529, "overloaded"),
        (Behaviour::context_overflow(), 400, "context_length_exceeded"),
        (Behaviour::quota_exhausted(), 429, "insufficient_quota"),
    ];
    let provider = provider(
        cases
            .clone()
            .map(|(behaviour, ..)| Rule::once(Reply::new(behaviour))),
    )
    .await;
    for (behaviour, status, code) in cases {
        let answer = exchange(provider.address(), &streamed("p"), "").await.unwrap();
        assert_eq!(answer.status, status, "{behaviour:?}");
        assert_eq!(answer.json()["error"]["code"], code, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_body_that_is_no_chat_request_use_no_rule_up() {
    let script = Script::new([Rule::once(Reply::text("scripted"))]);
    let options = Options {
        script,
        api_key: Some("right".into()),
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let key = "authorization: Bearer right\r\n";
    let wrong = exchange(
        provider.address(),
        &request("p", &json!({})),
        "authorization: Bearer no\r\n",
    )
    .await
    .unwrap();
    let unreadable = exchange(provider.address(), &json!({"messages": 1}), key)
        .await
        .unwrap();
    let right = exchange(provider.address(), &request("p", &json!({})), key)
        .await
        .unwrap();
    assert_eq!((wrong.status, unreadable.status, right.status), (401, 400, 200));
    assert_eq!(right.json()["choices"][0]["message"]["content"], "scripted");
    assert_eq!(provider.requests().len(), 3);
}

#[tokio::test]
async fn a_marker_and_a_key_are_noted_and_the_marker_chooses_the_rule() {
    let chosen = Rule::always(Reply::text("marked")).when(When::marker("here"));
    let provider = provider([chosen]).await;
    let headers = format!("{MARKER_HEADER}: here\r\nIdempotency-Key: item/7\r\n");
    exchange(provider.address(), &request("p", &json!({})), &headers)
        .await
        .unwrap();
    exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap();
    let calls = provider.wait_for(2).await;
    assert_eq!(
        (calls[0].marker.as_deref(), calls[0].key.as_deref()),
        (Some("here"), Some("item/7"))
    );
    assert_eq!((calls[0].rule, calls[1].rule), (Some(0), None));
    assert_eq!(calls[0].body_sha256, calls[1].body_sha256);
}

#[tokio::test]
async fn a_reset_is_a_reset_before_and_within_the_answer() {
    for after in [Point::Request, Point::Head, Point::Tokens(2)] {
        let cut = Behaviour::Cut {
            after,
            how: Cut::Reset,
            token_delay_ms: 0,
        };
        let provider = provider([Rule::once(Reply::new(cut))]).await;
        let error = exchange(provider.address(), &streamed("p"), "")
            .await
            .err()
            .expect("no whole answer");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{after:?}");
        let ending = provider.wait_ended(1).await[0].ending.clone().unwrap();
        assert_eq!(ending.outcome, Outcome::Cut);
        assert_eq!(
            ending.completion_tokens,
            if after == Point::Tokens(2) { 2 } else { 0 }
        );
    }
}

#[tokio::test]
async fn a_closed_answer_has_fewer_bytes_than_it_promised() {
    let cut = Behaviour::Cut {
        after: Point::Tokens(3),
        how: Cut::Close,
        token_delay_ms: 0,
    };
    let provider = provider([Rule::always(Reply::new(cut))]).await;
    let stream = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    assert_eq!(stream.told(), ("word1 word2 word3 ".to_owned(), None));
    assert!(!stream.unchunked().1);

    let whole = exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap();
    let promised: usize = whole.header("content-length").unwrap().parse().unwrap();
    assert!(whole.body.len() < promised && !whole.body.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_answer_is_noted_as_gone() {
    let cut = Behaviour::Cut {
        after: Point::Tokens(1),
        how: Cut::Stall,
        token_delay_ms: 0,
    };
    let provider = provider([Rule::once(Reply::new(cut))]).await;
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(&raw(&streamed("p"), "")).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("word1") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
    assert_eq!(provider.requests()[0].ending, None);
    drop(stream);
    let ending = provider.wait_ended(1).await[0].ending.clone().unwrap();
    assert_eq!(
        (ending.outcome, ending.completion_tokens),
        (Outcome::ClientLeft, 1)
    );
}

#[tokio::test]
async fn a_reply_behind_a_gate_waits_until_it_is_opened() {
    let provider = provider([Rule::once(Reply::text("late").behind("gate"))]).await;
    let (address, body) = (provider.address(), request("p", &json!({})));
    let asking = tokio::spawn(async move { exchange(address, &body, "").await.unwrap() });
    provider.wait_for(1).await;
    let other = exchange(provider.address(), &request("q", &json!({})), "")
        .await
        .unwrap();
    assert_eq!(other.status, 200);
    assert!(!asking.is_finished());
    provider.open_gate("gate");
    assert_eq!(
        asking.await.unwrap().json()["choices"][0]["message"]["content"],
        "late"
    );
}

#[tokio::test]
async fn answers_that_are_no_answers() {
    let garbage = Rule::times(2, Reply::new(Behaviour::Garbage));
    let page = Rule::once(Reply::new(Behaviour::Html { status: 502 }));
    let provider = provider([garbage, page]).await;
    let whole = exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap();
    assert!(serde_json::from_slice::<Value>(&whole.body).is_err());
    let stream = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    assert!(stream.body.starts_with(b"data: {") && String::from_utf8(stream.body).is_err());
    let page = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    assert_eq!(
        (page.status, page.header("content-type")),
        (502, Some("text/html; charset=utf-8"))
    );
}

#[tokio::test]
async fn a_huge_answer_is_valid_and_as_large_as_asked() {
    let provider = provider([Rule::always(Reply::new(Behaviour::Huge { bytes: 200_000 }))]).await;
    let whole = exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&whole.unchunked().0).unwrap();
    assert_eq!(
        body["choices"][0]["message"]["content"].as_str().unwrap().len(),
        200_000
    );
    let stream = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    assert_eq!(stream.told().0.len(), 200_000);
}

#[tokio::test]
async fn an_error_in_a_stream_comes_after_its_tokens() {
    let provider = provider([Rule::always(Reply::new(Behaviour::StreamError {
        after_tokens: 2,
    }))])
    .await;
    let stream = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    let events = stream.events();
    assert_eq!(stream.status, 200);
    assert_eq!(events.len(), 3);
    assert!(events[2].contains("\"error\""));
    assert_eq!(
        exchange(provider.address(), &request("p", &json!({})), "")
            .await
            .unwrap()
            .status,
        500
    );
}

#[tokio::test]
async fn an_answer_ends_and_reports_as_its_script_says() {
    let answer = Answer {
        text: Text::Fixed("{\"title\":".into()),
        finish: Finish::ContentFilter,
        usage: UsageReport::Zero,
        ..Answer::default()
    };
    let provider = provider([Rule::once(Reply::new(Behaviour::Answer(answer)))]).await;
    let first = exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap()
        .json();
    assert_eq!(first["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(first["choices"][0]["message"]["content"], "{\"title\":");
    assert_eq!(first["usage"]["total_tokens"], 0);

    provider
        .set_script(Script::new([Rule::once(Reply::text("{\"title\": 1}"))]))
        .await;
    let limited = request("p", &json!({"max_tokens": 1}));
    let second = exchange(provider.address(), &limited, "").await.unwrap().json();
    assert_eq!(second["choices"][0]["finish_reason"], "length");
    assert_eq!(second["choices"][0]["message"]["content"], "{\"title\": ");
}

#[tokio::test]
async fn a_request_that_was_not_sent_whole_is_no_call() {
    let provider = provider([]).await;
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    let bytes = raw(&request("p", &json!({})), "");
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
    assert!(provider.requests().is_empty());
}
