//! How long a provider asks to wait, in every form that providers use.
//!
//! Three forms are common: `retry-after-ms`, `Retry-After` in seconds, and `Retry-After` as an HTTP date. A date
//! is taken relative to the answer's own `Date` header where there is one, so a clock that runs ahead here cannot
//! turn a wait into none. Where nothing is asked for, the headers about limits say when the limits are full again. A
//! long wait is kept as it is: cutting it would only bring the next refusal.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::limits;

/// The longest wait that is believed: one day.
pub const LONGEST: Duration = Duration::from_hours(24);

/// Gives the wait that the headers of an answer ask for; `now` is this machine's clock.
///
/// Unreadable values count as absent, a time in the past as zero, and more than [`LONGEST`] as [`LONGEST`].
pub fn from_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let said = limits::headers::read(headers, now);
    said.retry_after
        .or_else(|| said.reset_requests.max(said.reset_tokens))
}

/// Gives the wait that is asked for outright.
pub(crate) fn asked(headers: &HeaderMap, answered_at: SystemTime) -> Option<Duration> {
    milliseconds(headers)
        .or_else(|| seconds_or_date(headers, answered_at))
        .map(|wait| wait.min(LONGEST))
}

/// Gives the moment of the answer by the server's clock, or by this machine's where it does not say.
pub(crate) fn answered_at(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    text(headers, DATE.as_str())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now)
}

/// Gives a header's text.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn milliseconds(headers: &HeaderMap) -> Option<Duration> {
    scaled(text(headers, "retry-after-ms")?, 0.001)
}

fn seconds_or_date(headers: &HeaderMap, answered_at: SystemTime) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER.as_str())?;
    if let Some(wait) = scaled(value, 1.0) {
        return Some(wait);
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(answered_at).unwrap_or(Duration::ZERO))
}

/// Reads a plain number of units; a negative one is zero.
fn scaled(number: &str, unit_seconds: f64) -> Option<Duration> {
    let number: f64 = number.parse().ok()?;
    if !number.is_finite() {
        return None;
    }
    let seconds = (number * unit_seconds).clamp(0.0, LONGEST.as_secs_f64());
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads a duration such as `6m0s`, `1h2m3.5s` or `20ms`.
pub(crate) fn compound(value: &str) -> Option<Duration> {
    let mut rest = value;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += scaled(number, unit_seconds)?;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::from_headers;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn wait(headers: &[(&str, &str)]) -> Option<Duration> {
        let now: SystemTime = httpdate::parse_http_date(NOW).unwrap();
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::try_from(*value).unwrap(),
                )
            })
            .collect();
        from_headers(&map, now)
    }

    #[test]
    fn every_form_of_one_header_is_read() {
        let ms = Duration::from_millis;
        for (name, value, expected) in [
            ("retry-after-ms", "1500", Some(ms(1500))),
            ("retry-after-ms", "0.5", Some(Duration::from_micros(500))),
            ("retry-after-ms", "soon", None),
            ("retry-after", "7", Some(ms(7_000))),
            ("retry-after", " 2.5 ", Some(ms(2_500))),
            ("retry-after", "0", Some(ms(0))),
            ("retry-after", "-3", Some(ms(0))),
            ("retry-after", "3600", Some(Duration::from_hours(1))),
            ("retry-after", "1e300", Some(Duration::from_hours(24))),
            ("retry-after", "inf", None),
            ("retry-after", "NaN", None),
            ("retry-after", "", None),
            ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT", Some(ms(30_000))),
            ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", Some(ms(0))),
            ("retry-after", "Sun Nov  6 08:49:38 1994", Some(ms(1_000))),
            ("retry-after", "Sunday, 06-Nov-94 08:49:39 GMT", Some(ms(2_000))),
            (
                "retry-after",
                "Fri, 01 Jan 2100 00:00:00 GMT",
                Some(Duration::from_hours(24)),
            ),
            ("retry-after", "tomorrow", None),
            ("x-ratelimit-reset-requests", "20ms", Some(ms(20))),
            ("x-ratelimit-reset-tokens", "6m0s", Some(ms(360_000))),
            ("x-ratelimit-reset-tokens", "1h2m3.5s", Some(ms(3_723_500))),
            ("x-ratelimit-reset-tokens", "1w", None),
            ("x-ratelimit-reset-tokens", "12", None),
            ("x-ratelimit-reset-tokens", "", None),
        ] {
            assert_eq!(wait(&[(name, value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn the_most_exact_header_wins_and_limits_are_a_last_resort() {
        let all = [
            ("retry-after-ms", "250"),
            ("retry-after", "1"),
            ("x-ratelimit-reset-requests", "5s"),
            ("x-ratelimit-reset-tokens", "9s"),
        ];
        assert_eq!(wait(&all), Some(Duration::from_millis(250)));
        assert_eq!(wait(&all[1..]), Some(Duration::from_secs(1)));
        assert_eq!(wait(&all[2..]), Some(Duration::from_secs(9)));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_date_counts_from_the_servers_own_clock() {
        let headers = [
            ("date", "Sun, 06 Nov 1994 08:00:00 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:00:20 GMT"),
        ];
        assert_eq!(wait(&headers), Some(Duration::from_secs(20)));
    }
}
