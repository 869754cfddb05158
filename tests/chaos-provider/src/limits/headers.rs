//! What answers say about limits, in the headers of either protocol.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat};

use super::{Level, RetryForm, Standing};
use crate::call::Protocol;

/// A header that is added to an answer.
pub(crate) type Header = (&'static str, String);

const MILLIS_OF_SECOND: u64 = 1_000;

/// The headers that say how much is left; `now` is in milliseconds since 1970.
pub(super) fn standing(protocol: Protocol, standing: Standing, now: u64) -> Vec<Header> {
    let [requests, tokens] = match protocol {
        Protocol::OpenAi => [
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ],
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ],
        ],
        Protocol::Anthropic => [
            [
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            ],
            [
                "anthropic-ratelimit-tokens-limit",
                "anthropic-ratelimit-tokens-remaining",
                "anthropic-ratelimit-tokens-reset",
            ],
        ],
    };
    let three = |names: [&'static str; 3], level: Level| {
        let reset = match protocol {
            Protocol::OpenAi => compound(level.reset_ms),
            Protocol::Anthropic => moment(now.saturating_add(level.reset_ms)),
        };
        let values = [level.limit.to_string(), level.remaining.to_string(), reset];
        names.into_iter().zip(values)
    };
    let requests = standing
        .requests
        .into_iter()
        .flat_map(|level| three(requests, level));
    let tokens = standing.tokens.into_iter().flat_map(|level| three(tokens, level));
    requests.chain(tokens).collect()
}

/// The headers that say when to come back.
pub(super) fn retry(protocol: Protocol, form: RetryForm, wait_ms: u64) -> Vec<Header> {
    let seconds = wait_ms.div_ceil(MILLIS_OF_SECOND);
    let in_seconds = || ("retry-after", seconds.to_string());
    let in_millis = || ("retry-after-ms", wait_ms.to_string());
    match (form, protocol) {
        (RetryForm::Usual, Protocol::OpenAi) => vec![in_seconds(), in_millis()],
        (RetryForm::Usual, Protocol::Anthropic) | (RetryForm::Seconds, _) => vec![in_seconds()],
        (RetryForm::Millis, _) => vec![in_millis()],
        // The date has whole seconds and the one that runs is partly over, so one more keeps it from being early.
        (RetryForm::Date, _) => vec![("retry-after", date_in(seconds + 1))],
        (RetryForm::None, _) => Vec::new(),
    }
}

/// The date so many seconds from now, as headers write it.
pub(crate) fn date_in(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

/// A length of time such as `6m0s`, `1.5s` or `20ms`.
fn compound(ms: u64) -> String {
    let (seconds, rest) = (ms / MILLIS_OF_SECOND, ms % MILLIS_OF_SECOND);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = if rest == 0 {
        String::new()
    } else {
        format!(".{rest:03}").trim_end_matches('0').to_owned()
    };
    match (hours, minutes, seconds) {
        (0, 0, 0) if rest > 0 => format!("{rest}ms"),
        (0, 0, _) => format!("{seconds}{fraction}s"),
        (0, _, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

/// A moment such as `2026-01-02T03:04:05Z`, rounded up to a second.
fn moment(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms.div_ceil(MILLIS_OF_SECOND)).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0)
        .unwrap_or(DateTime::UNIX_EPOCH)
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDING: Standing = Standing {
        requests: Some(Level {
            limit: 60,
            remaining: 59,
            reset_ms: 1_000,
        }),
        tokens: Some(Level {
            limit: 150_000,
            remaining: 149_984,
            reset_ms: 360_020,
        }),
    };

    fn said(protocol: Protocol) -> Vec<(String, String)> {
        let headers = standing(protocol, STANDING, 784_111_777_400);
        headers
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect()
    }

    fn expected(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn each_protocol_has_its_names_and_its_form_of_a_reset() {
        let openai = expected(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0.02s"),
        ]);
        assert_eq!(said(Protocol::OpenAi), openai);
        let anthropic = expected(&[
            ("anthropic-ratelimit-requests-limit", "60"),
            ("anthropic-ratelimit-requests-remaining", "59"),
            ("anthropic-ratelimit-requests-reset", "1994-11-06T08:49:39Z"),
            ("anthropic-ratelimit-tokens-limit", "150000"),
            ("anthropic-ratelimit-tokens-remaining", "149984"),
            ("anthropic-ratelimit-tokens-reset", "1994-11-06T08:55:38Z"),
        ]);
        assert_eq!(said(Protocol::Anthropic), anthropic);
    }

    #[test]
    fn lengths_of_time_are_written_as_providers_write_them() {
        for (ms, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1_500, "1.5s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (3_723_000, "1h2m3s"),
        ] {
            assert_eq!(compound(ms), text);
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_what_its_form_can_say() {
        let said = |form, protocol| retry(protocol, form, 1_200);
        let (openai, anthropic) = (Protocol::OpenAi, Protocol::Anthropic);
        let both = vec![
            ("retry-after", "2".to_owned()),
            ("retry-after-ms", "1200".to_owned()),
        ];
        assert_eq!(said(RetryForm::Usual, openai), both);
        assert_eq!(said(RetryForm::Usual, anthropic), both[..1]);
        assert_eq!(said(RetryForm::Millis, anthropic), both[1..]);
        assert_eq!(said(RetryForm::None, openai), []);
        let date = said(RetryForm::Date, openai)[0].1.clone();
        let wait = httpdate::parse_http_date(&date)
            .unwrap()
            .duration_since(SystemTime::now());
        assert!(wait.unwrap() >= Duration::from_millis(1_200), "{date}");
    }
}
