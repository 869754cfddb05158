//! What a client of the Messages API sees.

use chaos_provider::{
    Answer, Behaviour, Cut, Options, Outcome, Point, Protocol, Provider, Reply, RetryAfter, Rule, Text,
    UsageReport, summary_of,
};
use serde_json::{Value, json};

use crate::client::{ANTHROPIC, converse, exchange_raw, message, provider, raw_to};

#[tokio::test]
async fn a_message_is_answered_whole_with_its_true_cost() {
    let provider = provider([]).await;
    let body = message("three word prompt", &json!({"system": "be brief"}));
    let answer = converse(provider.address(), &body, "").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("request-id"), Some("req_1"));
    let whole = answer.json();
    assert_eq!(whole["type"], "message");
    assert_eq!(whole["role"], "assistant");
    assert_eq!(whole["id"], "msg_1");
    assert_eq!(
        whole["content"][0]["text"],
        summary_of(["be brief", "three word prompt"])
    );
    assert_eq!(whole["stop_reason"], "end_turn");
    assert_eq!(
        whole["usage"],
        json!({"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 3})
    );
    let calls = provider.wait_ended(1).await;
    assert_eq!(
        (calls[0].protocol, calls[0].prompt_tokens),
        (Protocol::Anthropic, 5)
    );
    assert_eq!(calls[0].response_id, "msg_1");
}

#[tokio::test]
async fn a_stream_has_the_events_of_the_protocol_in_their_order() {
    let provider = provider([]).await;
    let body = message("p", &json!({"stream": true}));
    let answer = converse(provider.address(), &body, "").await.unwrap();
    let events = answer.named_events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let started = &events[0].1["message"];
    assert_eq!(started["usage"]["input_tokens"], 1);
    assert_eq!(started["stop_reason"], Value::Null);
    let text: String = events
        .iter()
        .filter_map(|(_, data)| data["delta"]["text"].as_str())
        .collect();
    assert_eq!(text, summary_of(["p"]));
    assert_eq!(events[7].1["delta"]["stop_reason"], "end_turn");
    assert_eq!(events[7].1["usage"]["output_tokens"], 3);
    assert!(answer.unchunked().1);
}

#[tokio::test]
async fn a_marked_prompt_is_written_to_the_cache_and_read_the_next_time() {
    let provider = provider([]).await;
    let mark = json!({"type": "ephemeral"});
    let ask = |question: &str| {
        let block = json!([{"type": "text", "text": "a long preface", "cache_control": mark}]);
        message(question, &json!({"system": block}))
    };
    let mut counts = Vec::new();
    for question in ["one", "two words"] {
        let usage = converse(provider.address(), &ask(question), "")
            .await
            .unwrap()
            .json()["usage"]
            .clone();
        counts.push(
            [
                "input_tokens",
                "cache_creation_input_tokens",
                "cache_read_input_tokens",
            ]
            .map(|name| usage[name].clone()),
        );
    }
    assert_eq!(counts, [[1, 3, 0], [2, 0, 3]]);
    let bills: Vec<_> = provider
        .wait_ended(2)
        .await
        .into_iter()
        .map(|call| call.ending.unwrap().bill)
        .map(|bill| (bill.prompt_tokens, bill.cache_write_tokens, bill.cached_tokens))
        .collect();
    assert_eq!(bills, [(4, 3, 0), (5, 0, 3)]);
}

#[tokio::test]
async fn refusals_have_the_types_and_headers_of_the_protocol() {
    let limited = |retry_after| Behaviour::RateLimited { retry_after };
    let seconds = RetryAfter::Seconds(7);
    let cases = [
        (limited(seconds), 429, "rate_limit_error", Some("7")),
        (
            Behaviour::Overloaded { retry_after: seconds },
            529,
            "overloaded_error",
            Some("7"),
        ),
        (Behaviour::refused(529), 529, "overloaded_error", None),
        (Behaviour::refused(500), 500, "api_error", None),
        (Behaviour::quota_exhausted(), 402, "billing_error", None),
        (Behaviour::context_overflow(), 400, "invalid_request_error", None),
    ];
    let rules = cases
        .clone()
        .map(|(behaviour, ..)| Rule::once(Reply::new(behaviour)));
    let provider = provider(rules).await;
    for (behaviour, status, kind, wait) in cases {
        let answer = converse(provider.address(), &message("p", &json!({"stream": true})), "")
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{behaviour:?}");
        assert_eq!(answer.json()["type"], "error");
        assert_eq!(answer.json()["error"]["type"], kind, "{behaviour:?}");
        assert_eq!(answer.header("retry-after"), wait);
    }
}

#[tokio::test]
async fn a_request_without_a_limit_a_version_or_the_right_key_is_refused() {
    let provider = Provider::start(Options {
        api_key: Some("right".into()),
        ..Options::default()
    })
    .await
    .unwrap();
    let key = "x-api-key: right\r\n";
    let no_limit = json!({"model": "m", "messages": []});
    let statuses = [
        converse(provider.address(), &no_limit, key).await.unwrap().status,
        converse(provider.address(), &message("p", &json!({})), "x-api-key: no\r\n")
            .await
            .unwrap()
            .status,
        exchange_raw(
            provider.address(),
            &raw_to(
                ANTHROPIC,
                &message("p", &json!({})),
                &format!("connection: close\r\n{key}"),
            ),
        )
        .await
        .unwrap()
        .status,
        converse(provider.address(), &message("p", &json!({})), key)
            .await
            .unwrap()
            .status,
    ];
    assert_eq!(statuses, [400, 401, 400, 200]);
    let keys: Vec<_> = provider
        .requests()
        .into_iter()
        .map(|call| call.api_key.unwrap())
        .collect();
    assert_eq!(keys[0], keys[3]);
    assert_ne!(keys[0], keys[1]);
    assert!(!keys[0].contains("right"));
}

#[tokio::test]
async fn an_error_in_a_stream_is_an_event_of_its_own() {
    let broken = Behaviour::StreamError { after_tokens: 2 };
    let provider = provider([Rule::always(Reply::new(broken))]).await;
    let body = message("p", &json!({"stream": true}));
    let answer = converse(provider.address(), &body, "").await.unwrap();
    let events = answer.named_events();
    let (name, data) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &data["error"]["type"]),
        ("error", &json!("overloaded_error"))
    );
    assert_eq!(
        events
            .iter()
            .filter(|(name, _)| name == "content_block_delta")
            .count(),
        2
    );
    let whole = converse(provider.address(), &message("p", &json!({})), "")
        .await
        .unwrap();
    assert_eq!(whole.status, 500);
    let bills: Vec<_> = provider
        .wait_ended(2)
        .await
        .into_iter()
        .map(|call| call.ending.unwrap().bill)
        .collect();
    assert_eq!((bills[0].prompt_tokens, bills[0].completion_tokens), (1, 2));
    assert_eq!((bills[1].prompt_tokens, bills[1].completion_tokens), (0, 0));
}

#[tokio::test]
async fn a_stream_that_is_cut_has_begun_and_has_no_end() {
    let cut = Behaviour::Cut {
        after: Point::Tokens(2),
        how: Cut::Close,
        token_delay_ms: 0,
    };
    let provider = provider([Rule::always(Reply::new(cut))]).await;
    let body = message("p", &json!({"stream": true}));
    let answer = converse(provider.address(), &body, "").await.unwrap();
    let events = answer.named_events();
    assert_eq!(events.len(), 5);
    assert_eq!(events[0].0, "message_start");
    assert_eq!(events[4].0, "content_block_delta");
    assert!(!answer.unchunked().1);
    let ending = provider.wait_ended(1).await[0].ending.clone().unwrap();
    assert_eq!((ending.outcome, ending.bill.completion_tokens), (Outcome::Cut, 2));
}

#[tokio::test]
async fn a_huge_message_is_valid_streamed_and_whole() {
    let provider = provider([Rule::always(Reply::new(Behaviour::Huge { bytes: 100_000 }))]).await;
    let whole = converse(provider.address(), &message("p", &json!({})), "")
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&whole.unchunked().0).unwrap();
    assert_eq!(body["content"][0]["text"].as_str().unwrap().len(), 100_000);
    let streamed = message("p", &json!({"stream": true}));
    let events = converse(provider.address(), &streamed, "")
        .await
        .unwrap()
        .named_events();
    let text: String = events
        .iter()
        .filter_map(|(_, data)| data["delta"]["text"].as_str())
        .collect();
    assert_eq!(text.len(), 100_000);
    assert_eq!(events.last().unwrap().0, "message_stop");
}

#[tokio::test]
async fn missing_usage_is_missing_everywhere() {
    let answer = Answer {
        usage: UsageReport::Missing,
        text: Text::Words(1),
        ..Answer::default()
    };
    let provider = provider([Rule::always(Reply::new(Behaviour::Answer(answer)))]).await;
    let whole = converse(provider.address(), &message("p", &json!({})), "")
        .await
        .unwrap()
        .json();
    assert_eq!(whole["usage"], Value::Null);
    let streamed = message("p", &json!({"stream": true}));
    let events = converse(provider.address(), &streamed, "")
        .await
        .unwrap()
        .named_events();
    assert!(
        events
            .iter()
            .all(|(_, data)| data["usage"].is_null() && data["message"]["usage"].is_null())
    );
    assert_eq!(
        provider.wait_ended(2).await[1]
            .ending
            .clone()
            .unwrap()
            .bill
            .completion_tokens,
        1
    );
}

#[tokio::test]
async fn structured_output_satisfies_its_schema_in_each_mode() {
    let provider = provider([]).await;
    let schema = json!({"type": "object", "required": ["name", "count", "kind"], "properties": {
        "name": {"type": "string"}, "count": {"type": "integer", "minimum": 2}, "kind": {"enum": ["x", "y"]}}});
    let format = json!({"type": "json_schema", "schema": schema});
    let check = |value: &Value| {
        assert_eq!((&value["count"], &value["kind"]), (&json!(2), &json!("x")));
        assert!(value["name"].as_str().unwrap().starts_with("summary of "));
    };
    for more in [
        json!({"output_config": {"format": format}}),
        json!({"output_format": format}),
    ] {
        let whole = converse(provider.address(), &message("p", &more), "")
            .await
            .unwrap()
            .json();
        check(&serde_json::from_str(whole["content"][0]["text"].as_str().unwrap()).unwrap());
    }
    let tool = json!({"tools": [{"name": "answer", "input_schema": schema}], "tool_choice": {"type": "tool", "name": "answer"}});
    let whole = converse(provider.address(), &message("p", &tool), "")
        .await
        .unwrap()
        .json();
    assert_eq!(whole["content"][0]["type"], "tool_use");
    assert_eq!(whole["content"][0]["name"], "answer");
    check(&whole["content"][0]["input"]);
    let mut streamed = message("p", &tool);
    streamed["stream"] = true.into();
    let events = converse(provider.address(), &streamed, "")
        .await
        .unwrap()
        .named_events();
    assert_eq!(events[1].1["content_block"]["type"], "tool_use");
    let input: String = events
        .iter()
        .filter_map(|(_, data)| data["delta"]["partial_json"].as_str())
        .collect();
    check(&serde_json::from_str(&input).unwrap());
}
