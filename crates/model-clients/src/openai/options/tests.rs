//! What settings are refused, and that secrets stay hidden.

use super::{ModelOptions, Options};
use crate::prices::Prices;
use crate::provider::Billing;

fn valid() -> Options {
    Options {
        base_url: "http://127.0.0.1:8080/v1".into(),
        models: [(
            "small".to_owned(),
            ModelOptions {
                context_window: 4096,
                billing: Some(Billing::Free),
                ..ModelOptions::default()
            },
        )]
        .into(),
        ..Options::default()
    }
}

fn endpoint(base_url: &str) -> Result<String, String> {
    Options {
        base_url: base_url.into(),
        ..valid()
    }
    .common()
    .url()
    .map(String::from)
}

#[test]
fn the_least_that_is_needed_is_enough() {
    assert_eq!(valid().validate(), []);
}

#[test]
fn all_problems_are_reported_at_once_with_their_paths() {
    let options: Options = serde_json::from_value(serde_json::json!({
        "name": "a/b",
        "api_key": "k",
        "api_key_file": "f",
        "organization": "a\nb",
        "key_name": "a b",
        "max_response_bytes": 0,
        "timeouts": {"connect_seconds": -1},
        "extra_headers": {"a b": "x", "Authorization": "x", "Host": "x", "x-y": "a\nb"},
        "models": {"m": {
            "max_output_tokens": 5,
            "limits": {"in_flight": 0},
            "billing": {
                "kind": "per_token", "input_micros_per_million": 2, "cached_input_micros_per_million": 1,
                "output_micros_per_million": 3,
                "long_prompt": {
                    "above_input_tokens": 9, "input_micros_per_million": 1, "cached_input_micros_per_million": 1,
                    "output_micros_per_million": 3,
                },
            },
        }},
    }))
    .unwrap();
    let paths: Vec<String> = options
        .validate()
        .into_iter()
        .map(|problem| problem.path)
        .collect();
    assert_eq!(
        paths,
        [
            "name",
            "base_url",
            "api_key",
            "key_name",
            "max_response_bytes",
            "timeouts.connect_seconds",
            "extra_headers.Authorization",
            "extra_headers.Host",
            "extra_headers.a b",
            "extra_headers.x-y",
            "organization",
            "models.m.context_window",
            "models.m.max_output_tokens",
            "models.m.billing.long_prompt",
            "models.m.limits.in_flight",
        ]
    );
    assert_eq!(
        Options {
            models: [].into(),
            ..valid()
        }
        .validate()[0]
            .path,
        "models"
    );
}

#[test]
fn a_model_without_a_known_price_is_named_with_what_to_write() {
    let mut options = valid();
    for name in ["nobody-knows-this", "gpt-6-luna", "gpt-6-luna-2026-09-22"] {
        options.models.insert(name.to_owned(), ModelOptions::default());
    }
    let problems = options.price_problems(&Prices::shipped().unwrap());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].path, "models.nobody-knows-this.billing");
    assert!(problems[0].message.contains("per_token") && problems[0].message.contains("nobody-knows-this"));
}

#[test]
fn unknown_keys_are_refused() {
    for json in [
        r#"{"base_ulr": "x"}"#,
        r#"{"models": {"m": {"price": 1}}}"#,
        r#"{"timeouts": {"connect": 1}}"#,
    ] {
        assert!(serde_json::from_str::<Options>(json).is_err(), "{json}");
    }
}

#[test]
fn the_path_is_appended_and_a_query_is_kept() {
    for (base_url, expected) in [
        ("https://api.test/v1", "https://api.test/v1/chat/completions"),
        ("https://api.test/v1/", "https://api.test/v1/chat/completions"),
        ("https://api.test", "https://api.test/chat/completions"),
        (
            "https://a.test/d?api-version=1#x",
            "https://a.test/d/chat/completions?api-version=1",
        ),
        ("http://localhost:1/v1", "http://localhost:1/v1/chat/completions"),
        ("http://[::1]:1/v1", "http://[::1]:1/v1/chat/completions"),
    ] {
        assert_eq!(endpoint(base_url).unwrap(), expected);
    }
}

#[test]
fn plain_http_to_another_machine_needs_a_word() {
    assert!(
        endpoint("http://10.0.0.1/v1")
            .unwrap_err()
            .contains("allow_plain_http")
    );
    assert!(endpoint("http://localhost.evil.test/v1").is_err());
    let allowed = Options {
        base_url: "http://models.internal/v1".into(),
        allow_plain_http: true,
        ..valid()
    };
    assert_eq!(allowed.validate(), []);
}

#[test]
fn urls_that_cannot_work_are_refused() {
    for base_url in [
        "",
        "no url",
        "ftp://a.test",
        "https://user:hush@a.test",
        "mailto:a@b",
    ] {
        let message = endpoint(base_url).unwrap_err();
        assert!(!message.contains("hush"), "{base_url}");
    }
}

#[test]
fn secrets_show_neither_in_debug_nor_in_the_printed_configuration() {
    let options: Options = serde_json::from_value(serde_json::json!({
        "api_key": "hush1",
        "proxy": "http://u:hush2@p.test",
        "extra_headers": {"api-key": "hush3"},
    }))
    .unwrap();
    let printed = serde_json::to_string(&options).unwrap();
    assert!(!format!("{options:?}").contains("hush"));
    assert!(!printed.contains("hush"));
    assert!(printed.contains(r#""api-key":"[redacted]""#), "{printed}");
}
