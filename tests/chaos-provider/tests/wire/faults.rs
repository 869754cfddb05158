//! Misbehaviour beyond refusals and cuts: slow and torn bodies, wrong counts, ids that are there twice, and chance.

use std::time::Instant;

use chaos_provider::{
    Answer, Behaviour, Latency, Options, Provider, Reply, ResponseId, RetryAfter, Rule, Script, Text,
    UsageReport,
};
use serde_json::{Value, json};

use crate::client::{converse, exchange, message, provider, request, streamed};

#[tokio::test]
async fn a_slow_body_takes_as_long_as_its_bytes_and_its_head_does_not() {
    let reply = Reply::text("a text").slowly(2_000);
    let provider = provider([Rule::always(reply)]).await;
    let began = Instant::now();
    let answer = exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "a text");
    let length: f64 = answer.header("content-length").unwrap().parse().unwrap();
    assert!(took >= length / 2_000.0 * 0.9, "{length} bytes in {took} s");
    let stream = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    assert_eq!(stream.told().0, "a text");
}

#[tokio::test]
async fn a_truncated_answer_is_whole_http_and_broken_json() {
    let torn = Reply::new(Behaviour::Truncated { after_tokens: 2 });
    let provider = provider([Rule::always(torn)]).await;
    let whole = exchange(provider.address(), &request("p", &json!({})), "")
        .await
        .unwrap();
    let promised: usize = whole.header("content-length").unwrap().parse().unwrap();
    assert_eq!((whole.status, whole.body.len()), (200, promised));
    assert!(serde_json::from_slice::<Value>(&whole.body).unwrap_err().is_eof());

    let stream = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    let (body, is_whole) = stream.unchunked();
    assert!(is_whole, "the HTTP of it is in order");
    let text = String::from_utf8(body).unwrap();
    let (before, torn) = text.rsplit_once("\n\n").unwrap();
    assert_eq!(before.matches("data: ").count(), 2);
    assert!(
        serde_json::from_str::<Value>(torn.strip_prefix("data: ").unwrap())
            .unwrap_err()
            .is_eof()
    );

    let named = converse(provider.address(), &message("p", &json!({"stream": true})), "")
        .await
        .unwrap();
    assert!(named.unchunked().1);
    assert!(!String::from_utf8(named.body).unwrap().contains("message_stop"));
}

#[tokio::test]
async fn wrong_usage_is_told_and_the_bill_is_right() {
    let reports = [
        (UsageReport::Percent(50), json!(5)),
        (UsageReport::Percent(200), json!(20)),
        (UsageReport::Zero, json!(0)),
        (UsageReport::Missing, Value::Null),
    ];
    let reply = |usage| {
        Rule::once(Reply::new(Behaviour::Answer(Answer {
            text: Text::Words(10),
            usage,
            ..Answer::default()
        })))
    };
    let provider = provider(reports.clone().map(|(usage, _)| reply(usage))).await;
    for (usage, expected) in reports {
        let answer = exchange(provider.address(), &request("p", &json!({})), "")
            .await
            .unwrap();
        assert_eq!(answer.json()["usage"]["completion_tokens"], expected, "{usage:?}");
    }
    for call in provider.wait_ended(4).await {
        assert_eq!(call.ending.unwrap().bill.completion_tokens, 10);
    }
}

#[tokio::test]
async fn ids_may_be_there_twice() {
    let same = Reply::default().with_id(ResponseId::Fixed("same".into()));
    let again = Reply::default().with_id(ResponseId::Previous);
    let provider = provider([
        Rule::times(2, same),
        Rule::once(Reply::default()),
        Rule::once(again),
    ])
    .await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        let answer = exchange(provider.address(), &request("p", &json!({})), "")
            .await
            .unwrap();
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids, ["same", "same", "chatcmpl-3", "chatcmpl-3"]);
    let noted: Vec<_> = provider
        .requests()
        .into_iter()
        .map(|call| call.response_id)
        .collect();
    assert_eq!(noted, ids);
}

#[tokio::test]
async fn an_overloaded_provider_says_when_to_come_back() {
    let overloaded = Behaviour::Overloaded {
        retry_after: RetryAfter::Millis(900),
    };
    let provider = provider([Rule::always(Reply::new(overloaded))]).await;
    let answer = exchange(provider.address(), &streamed("p"), "").await.unwrap();
    assert_eq!(
        (answer.status, answer.header("retry-after-ms")),
        (529, Some("900"))
    );
    assert_eq!(answer.json()["error"]["type"], "overloaded_error");
}

/// What fifty requests of a campaign met, in the order of the requests and not of their arrival.
async fn campaign(seed: u64, backwards: bool) -> Vec<String> {
    let script = Script::campaign([
        (20.0, Reply::new(Behaviour::refused(529))),
        (20.0, Reply::new(Behaviour::Garbage)),
    ]);
    let provider = Provider::start(Options {
        script,
        seed: Some(seed),
        ..Options::default()
    })
    .await
    .unwrap();
    assert_eq!(provider.seed(), seed);
    let mut prompts: Vec<u32> = (0..50).collect();
    if backwards {
        prompts.reverse();
    }
    for prompt in prompts {
        exchange(provider.address(), &request(&prompt.to_string(), &json!({})), "")
            .await
            .unwrap();
    }
    let mut calls = provider.requests();
    if backwards {
        calls.reverse();
    }
    calls.into_iter().map(|call| call.reply).collect()
}

#[tokio::test]
async fn a_campaign_is_repeated_by_its_seed_whatever_the_order() {
    let first = campaign(7, false).await;
    assert_eq!(first, campaign(7, true).await);
    assert_ne!(first, campaign(8, false).await);
    for kind in ["answer", "refused", "garbage"] {
        assert!(first.iter().any(|reply| reply == kind), "{first:?}");
    }
}

#[tokio::test]
async fn the_same_request_meets_another_fate_when_it_comes_again() {
    let script = Script::campaign([(50.0, Reply::new(Behaviour::refused(529)))]);
    let provider = Provider::start(Options {
        script,
        seed: Some(1),
        ..Options::default()
    })
    .await
    .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(
            exchange(provider.address(), &request("p", &json!({})), "")
                .await
                .unwrap()
                .status,
        );
    }
    assert!(statuses.contains(&200) && statuses.contains(&529), "{statuses:?}");
}

#[tokio::test]
async fn latencies_pass_before_the_first_byte_and_before_each_token() {
    let provider = Provider::start(Options {
        script: Script {
            latency: Some(Latency::Fixed { ms: 40 }),
            token_latency: Some(Latency::Uniform {
                min_ms: 20,
                max_ms: 30,
            }),
            ..Script::default()
        },
        ..Options::default()
    })
    .await
    .unwrap();
    exchange(provider.address(), &streamed("p"), "").await.unwrap();
    let ending = provider.wait_ended(1).await[0].ending.clone().unwrap();
    assert!(ending.elapsed_ms >= 40 + 3 * 20, "{}", ending.elapsed_ms);
}

#[tokio::test]
async fn forced_functions_and_schemas_are_answered_with_json() {
    let provider = provider([]).await;
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let format =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}});
    let answer = exchange(provider.address(), &request("p", &format), "")
        .await
        .unwrap()
        .json();
    assert_eq!(answer["choices"][0]["message"]["content"], r#"{"n":0}"#);
    let mut tool = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}});
    let answer = exchange(provider.address(), &request("p", &tool), "")
        .await
        .unwrap()
        .json();
    let call = answer["choices"][0]["message"]["tool_calls"][0]["function"].clone();
    assert_eq!(call, json!({"name": "f", "arguments": r#"{"n":0}"#}));
    tool["stream"] = true.into();
    let events = exchange(provider.address(), &request("p", &tool), "")
        .await
        .unwrap()
        .events();
    let arguments: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|event| {
            let call = &event["choices"][0]["delta"]["tool_calls"][0];
            call["function"]["arguments"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(arguments, r#"{"n":0}"#);
}
