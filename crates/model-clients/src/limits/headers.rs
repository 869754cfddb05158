//! The headers about limits, in the forms of both protocols.
//!
//! `x-ratelimit-*` gives the time until a limit is full again as a duration such as `6m0s`; `anthropic-ratelimit-*`
//! gives a moment, which is taken relative to the answer's own `Date` like every other moment. Where several kinds of
//! tokens are counted, the header without a kind speaks for the tightest of them, so it comes first. A number without
//! a unit is not read: servers exist that mean seconds, milliseconds, or a moment by it.

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use reqwest::header::HeaderMap;

use super::LimitHeaders;
use crate::retry_after::{self, LONGEST};

/// Reads what an answer's headers say; `now` is this machine's clock. Unreadable values count as absent.
pub(crate) fn read(headers: &HeaderMap, now: SystemTime) -> LimitHeaders {
    let now = retry_after::answered_at(headers, now);
    let duration = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| until(retry_after::text(headers, name)?, now))
    };
    let number = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| retry_after::text(headers, name)?.parse().ok())
    };
    LimitHeaders {
        retry_after: retry_after::asked(headers, now),
        remaining_requests: number(&[
            "x-ratelimit-remaining-requests",
            "anthropic-ratelimit-requests-remaining",
        ]),
        reset_requests: duration(&["x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset"]),
        remaining_tokens: number(&[
            "x-ratelimit-remaining-tokens",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-input-tokens-remaining",
        ]),
        reset_tokens: duration(&[
            "x-ratelimit-reset-tokens",
            "anthropic-ratelimit-tokens-reset",
            "anthropic-ratelimit-input-tokens-reset",
        ]),
    }
}

fn until(value: &str, now: SystemTime) -> Option<Duration> {
    let wait = retry_after::compound(value).or_else(|| {
        let since_epoch = DateTime::parse_from_rfc3339(value).ok()?.timestamp_millis();
        let since_epoch = Duration::from_millis(u64::try_from(since_epoch).ok()?);
        let moment = SystemTime::UNIX_EPOCH.checked_add(since_epoch)?;
        Some(moment.duration_since(now).unwrap_or(Duration::ZERO))
    })?;
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::read;
    use crate::limits::LimitHeaders;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn said(headers: &[(&str, &str)]) -> LimitHeaders {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::try_from(*value).unwrap(),
                )
            })
            .collect();
        read(&map, httpdate::parse_http_date(NOW).unwrap())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn headers_of_the_one_protocol_are_read() {
        let found = said(&[
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "20ms"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("retry-after", "7"),
        ]);
        let expected = LimitHeaders {
            retry_after: Some(seconds(7)),
            remaining_requests: Some(59),
            reset_requests: Some(Duration::from_millis(20)),
            remaining_tokens: Some(149_984),
            reset_tokens: Some(seconds(360)),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn headers_of_the_other_protocol_are_read() {
        let found = said(&[
            ("anthropic-ratelimit-requests-remaining", "999"),
            ("anthropic-ratelimit-requests-reset", "1994-11-06T08:49:40Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "80000"),
            ("anthropic-ratelimit-input-tokens-reset", "1994-11-06T08:49:38Z"),
            ("anthropic-ratelimit-tokens-remaining", "96000"),
            ("anthropic-ratelimit-tokens-reset", "1994-11-06T09:50:37+01:00"),
        ]);
        let expected = LimitHeaders {
            retry_after: None,
            remaining_requests: Some(999),
            reset_requests: Some(seconds(3)),
            remaining_tokens: Some(96_000),
            reset_tokens: Some(seconds(60)),
        };
        assert_eq!(found, expected);
        let input_only = said(&[
            ("anthropic-ratelimit-input-tokens-remaining", "80000"),
            ("anthropic-ratelimit-input-tokens-reset", "1994-11-06T08:49:38Z"),
        ]);
        assert_eq!(
            (input_only.remaining_tokens, input_only.reset_tokens),
            (Some(80_000), Some(seconds(1)))
        );
    }

    #[test]
    fn every_form_of_a_reset_is_read() {
        for (value, expected) in [
            ("1s", Some(seconds(1))),
            ("1h2m3s", Some(seconds(3_723))),
            ("72h", Some(seconds(86_400))),
            ("1994-11-06T08:49:37.5Z", Some(Duration::from_millis(500))),
            ("1994-11-06T08:00:00Z", Some(seconds(0))),
            ("2994-11-06T08:00:00Z", Some(seconds(86_400))),
            ("12", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                said(&[("x-ratelimit-reset-tokens", value)]).reset_tokens,
                expected,
                "{value}"
            );
            assert_eq!(
                said(&[("anthropic-ratelimit-requests-reset", value)]).reset_requests,
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn a_moment_counts_from_the_servers_own_clock() {
        let found = said(&[
            ("date", "Sun, 06 Nov 1994 08:00:00 GMT"),
            ("anthropic-ratelimit-tokens-reset", "1994-11-06T08:00:20Z"),
        ]);
        assert_eq!(found.reset_tokens, Some(seconds(20)));
    }

    #[test]
    fn unreadable_and_absent_numbers_are_absent() {
        assert_eq!(
            said(&[
                ("x-ratelimit-remaining-requests", "-1"),
                ("x-ratelimit-remaining-tokens", "many")
            ]),
            LimitHeaders::default()
        );
    }
}
