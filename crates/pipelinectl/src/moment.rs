//! Times: as a person gives them, and as they are shown.
//!
//! Everything is UTC, because days and months of budgets and reports are. A report's limits are given as a day, as a time
//! with its offset, or as how long ago.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat};

use crate::cli::DurationArg;

/// A moment as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MomentArg {
    /// A moment, in milliseconds since 1970.
    At(i64),
    /// This long ago.
    Ago(DurationArg),
}

impl MomentArg {
    /// Gives the moment in milliseconds since 1970.
    pub(crate) fn unix_ms(self, now_unix_ms: i64) -> i64 {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => {
                now_unix_ms.saturating_sub(i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

impl FromStr for MomentArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Ok(Self::At(
                day.and_time(NaiveTime::MIN).and_utc().timestamp_millis(),
            ));
        }
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(moment.timestamp_millis()));
        }
        text.parse().map(Self::Ago).map_err(|_| {
            "give a day in UTC (2026-11-05), a time with its offset (2026-11-05T12:00:00Z), or how long ago (24h, 7d)"
                .to_owned()
        })
    }
}

/// Gives the time in milliseconds since 1970.
pub(crate) fn now_unix_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Writes milliseconds since 1970 as RFC 3339 to the second.
pub(crate) fn shown(unix_ms: i64) -> String {
    DateTime::from_timestamp_millis(unix_ms).map_or_else(
        || "-".to_owned(),
        |moment| moment.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

/// Writes seconds since 1970, as the contracts have them, as RFC 3339 to the second.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a double beyond the range becomes the end of the range, which no calendar has"
)]
pub(crate) fn shown_seconds(unix_seconds: f64) -> String {
    shown((unix_seconds * 1_000.0) as i64)
}

/// Writes whole seconds as a person says them, `2 h 5 min`, with the two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, length) in units {
        if rest >= length && parts.len() < 2 {
            parts.push(format!("{} {unit}", rest / length));
            rest %= length;
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_a_time_or_a_while_ago() {
        assert_eq!("1970-01-02".parse(), Ok(MomentArg::At(86_400_000)));
        assert_eq!("1970-01-01T01:00:00+01:00".parse(), Ok(MomentArg::At(0)));
        let ago: MomentArg = "2h".parse().unwrap();
        assert_eq!(ago.unix_ms(7_200_001), 1);
        for text in ["yesterday", "2026-13-01", "2026-11-05T12:00:00", ""] {
            assert!(text.parse::<MomentArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_shown_to_the_second() {
        assert_eq!(shown(1_000), "1970-01-01T00:00:01Z");
        assert_eq!(shown_seconds(1.9), "1970-01-01T00:00:01Z");
        assert_eq!(shown(i64::MAX), "-");
        assert_eq!(span(7_500), "2 h 5 min");
        assert_eq!(span(90_061), "1 d 1 h");
        assert_eq!(span(0), "0 s");
    }
}
