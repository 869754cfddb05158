//! What settings are refused, and that secrets stay hidden.

use super::{ModelOptions, Options};
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
    .endpoint()
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
        "max_response_bytes": 0,
        "timeouts": {"connect_seconds": -1},
        "extra_headers": {"a b": "x", "Authorization": "x", "Host": "x", "x-y": "a\nb"},
        "models": {"m": {"max_output_tokens": 5}},
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
            "organization",
            "max_response_bytes",
            "timeouts.connect_seconds",
            "extra_headers.Authorization",
            "extra_headers.Host",
            "extra_headers.a b",
            "extra_headers.x-y",
            "models.m.context_window",
            "models.m.max_output_tokens",
            "models.m.billing",
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
