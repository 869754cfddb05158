//! Limits at the wire: what is refused, with which headers, and what it uses up.

use chaos_provider::{
    Algorithm, Behaviour, Counts, Limit, Options, Provider, Reply, RetryForm, Rule, Script,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{converse, exchange, message, raw, request, streamed};

async fn limited(limit: Limit, rules: impl IntoIterator<Item = Rule>) -> Provider {
    Provider::start(Options {
        limits: vec![limit],
        script: Script::new(rules),
        ..Options::default()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_and_use_no_rule_up() {
    let limit = Limit {
        requests_per_minute: Some(2),
        ..Limit::default()
    };
    let provider = limited(
        limit,
        [Rule::once(Reply::default()), Rule::once(Reply::text("second"))],
    )
    .await;
    let ask = || async {
        exchange(provider.address(), &request("p", &json!({})), "")
            .await
            .unwrap()
    };
    let first = ask().await;
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert!(first.header("x-ratelimit-reset-requests").unwrap().ends_with('s'));
    let second = ask().await;
    assert_eq!(second.json()["choices"][0]["message"]["content"], "second");
    assert_eq!(second.header("x-ratelimit-remaining-requests"), Some("0"));

    let third = ask().await;
    assert_eq!(third.status, 429);
    assert_eq!(third.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(third.json()["error"]["type"], "requests");
    assert_eq!(third.header("x-ratelimit-remaining-requests"), Some("0"));
    let wait: u64 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((29..=30).contains(&wait), "a request every 30 seconds: {wait}");
    assert!(third.header("retry-after-ms").is_some());

    // Another key has a minute of its own.
    let other = exchange(
        provider.address(),
        &request("p", &json!({})),
        "authorization: Bearer k\r\n",
    )
    .await
    .unwrap();
    assert_eq!(other.status, 200);
    let calls = provider.wait_ended(4).await;
    assert_eq!((calls[2].reply.as_str(), calls[2].rule), ("limited", None));
    let ending = calls[2].ending.clone().unwrap();
    assert_eq!((ending.status, ending.bill.prompt_tokens), (Some(429), 0));
}

#[tokio::test]
async fn tokens_beyond_the_limit_are_refused_in_the_words_of_the_protocol() {
    let limit = Limit {
        tokens_per_minute: Some(100),
        algorithm: Algorithm::SlidingWindow,
        counts: Counts::Reserved,
        ..Limit::default()
    };
    let provider = limited(limit, []).await;
    let body = message("a b c d e", &json!({"max_tokens": 60}));
    let first = converse(provider.address(), &body, "").await.unwrap();
    assert_eq!(first.status, 200);
    assert_eq!(first.header("anthropic-ratelimit-tokens-limit"), Some("100"));
    assert_eq!(first.header("anthropic-ratelimit-tokens-remaining"), Some("35"));
    assert!(
        first
            .header("anthropic-ratelimit-tokens-reset")
            .unwrap()
            .ends_with('Z')
    );
    assert_eq!(first.header("anthropic-ratelimit-requests-limit"), None);
    let second = converse(provider.address(), &body, "").await.unwrap();
    assert_eq!(second.status, 429);
    assert_eq!(second.json()["error"]["type"], "rate_limit_error");
    let wait: u64 = second.header("retry-after").unwrap().parse().unwrap();
    assert!((59..=60).contains(&wait), "{wait}");
    assert_eq!(second.header("retry-after-ms"), None);
}

#[tokio::test]
async fn what_was_reserved_and_not_used_is_there_again_when_the_call_has_ended() {
    let limit = Limit {
        tokens_per_minute: Some(100),
        algorithm: Algorithm::FixedWindow,
        counts: Counts::Settled,
        minute_ms: Some(3_600_000),
        ..Limit::default()
    };
    let provider = limited(limit, []).await;
    let body = request("p", &json!({"max_tokens": 90}));
    for call in 1..=3 {
        let answer = exchange(provider.address(), &body, "").await.unwrap();
        assert_eq!(answer.status, 200, "call {call}");
        provider.wait_ended(call).await;
    }
}

#[tokio::test]
async fn a_minute_passes_and_the_wait_that_was_told_is_enough() {
    let limit = Limit {
        requests_per_minute: Some(1),
        algorithm: Algorithm::SlidingWindow,
        retry_after: RetryForm::Millis,
        minute_ms: Some(200),
        ..Limit::default()
    };
    let provider = limited(limit, []).await;
    let ask = || async {
        exchange(provider.address(), &request("p", &json!({})), "")
            .await
            .unwrap()
    };
    assert_eq!(ask().await.status, 200);
    let refused = ask().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    let wait: u64 = refused.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((1..=200).contains(&wait), "{wait}");
    let waited = provider.wait_ended(2).await[1].received_unix_ms + wait;
    let mut last = ask().await;
    while last.status == 429 {
        last = ask().await;
    }
    let passed = provider.requests().pop().unwrap().received_unix_ms;
    // Two clocks, each with its own milliseconds.
    assert!(passed.abs_diff(waited) <= 100, "told {waited}, passed {passed}");
}

#[tokio::test]
async fn calls_in_flight_are_limited() {
    let limit = Limit {
        in_flight: Some(1),
        ..Limit::default()
    };
    let provider = limited(limit, [Rule::once(Reply::text("late").behind("gate"))]).await;
    let (address, body) = (provider.address(), request("p", &json!({})));
    let held = tokio::spawn(async move { exchange(address, &body, "").await.unwrap().status });
    provider.wait_for(1).await;
    let second = exchange(provider.address(), &request("q", &json!({})), "")
        .await
        .unwrap();
    assert_eq!(second.status, 429);
    provider.open_gate("gate");
    assert_eq!(held.await.unwrap(), 200);
    provider.wait_ended(2).await;
    let third = exchange(provider.address(), &request("q", &json!({})), "")
        .await
        .unwrap();
    assert_eq!(third.status, 200);
}

#[tokio::test]
async fn scripted_refusals_say_where_the_limit_stands_too() {
    let limit = Limit {
        requests_per_minute: Some(9),
        ..Limit::default()
    };
    let provider = limited(limit, [Rule::always(Reply::new(Behaviour::refused(500)))]).await;
    let answer = exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.header("x-ratelimit-remaining-requests")),
        (500, Some("8"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_free_when_the_client_has_its_answer() {
    let limit = Limit {
        in_flight: Some(1),
        ..Limit::default()
    };
    let provider = limited(limit, []).await;
    for call in 0..200 {
        // It does not wait for the provider to close, which comes after everything else.
        let mut stream = TcpStream::connect(provider.address()).await.unwrap();
        stream.write_all(&raw(&streamed("p"), "")).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"[DONE]\n\n\r\n0\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
            assert!(!seen.starts_with(b"HTTP/1.1 4"), "call {call}");
        }
        assert!(seen.starts_with(b"HTTP/1.1 200"), "call {call}");
    }
}
