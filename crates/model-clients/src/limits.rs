//! How much a provider lets through: what the settings say, and what the headers of an answer say.
//!
//! Both are plain data. Who counts is not known here: the limits hold for all workers together, so they are counted
//! in the store that the workers share, and this crate only says what the limits are and what was heard of them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Problem;

pub(crate) mod headers;

/// How much a provider lets through for one model and key, as the settings say.
///
/// As TOML, where nothing has to be set; a limit that is absent is not counted:
///
/// ```toml
/// [models.small.limits]
/// requests_per_minute = 500
/// tokens_per_minute = 90000
/// in_flight = 16
/// circuit = { failures = 5, open_seconds = 30 }
/// counts = "actual"
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelLimits {
    /// Requests in any 60 seconds.
    #[schemars(range(min = 1), extend("x-unset" = "no limit"))]
    pub requests_per_minute: Option<u32>,
    /// Tokens of input and output in any 60 seconds.
    #[schemars(range(min = 1), extend("x-unset" = "no limit"))]
    pub tokens_per_minute: Option<u64>,
    /// Calls at the same time.
    #[schemars(range(min = 1), extend("x-unset" = "no limit"))]
    pub in_flight: Option<u32>,
    /// When calls stop for a while because the provider keeps failing.
    pub circuit: Circuit,
    /// Which tokens of an ended call count.
    pub counts: Counts,
}

/// When calls stop for a while because the provider keeps failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Circuit {
    /// Failures in a row after which no more calls are made; 0 switches the circuit off.
    pub failures: u32,
    /// Seconds until one call is let through again to see.
    pub open_seconds: u32,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            failures: 5,
            open_seconds: 30,
        }
    }
}

/// Which tokens of an ended call count against `tokens_per_minute`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Those that the provider reported: what was reserved and not used is free again.
    #[default]
    Actual,
    /// Those that were reserved: for providers that count the largest answer a request allows.
    Reserved,
}

impl ModelLimits {
    /// Reports limits that would let nothing through, each with the path of its key.
    pub fn validate(&self, path: &str) -> Vec<Problem> {
        let zero = [
            ("requests_per_minute", self.requests_per_minute == Some(0)),
            ("tokens_per_minute", self.tokens_per_minute == Some(0)),
            ("in_flight", self.in_flight == Some(0)),
        ];
        let mut problems: Vec<Problem> = zero
            .into_iter()
            .filter(|(_, is_zero)| *is_zero)
            .map(|(key, _)| {
                Problem::new(
                    format!("{path}.{key}"),
                    "must be above 0; leave it out for no limit",
                )
            })
            .collect();
        if self.circuit.failures > 0 && self.circuit.open_seconds == 0 {
            problems.push(Problem::new(
                format!("{path}.circuit.open_seconds"),
                "must be above 0; set failures to 0 to switch the circuit off",
            ));
        }
        problems
    }
}

/// What the headers of one answer say about limits; absent where they say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitHeaders {
    /// How long to wait before the next call, where the provider asks for it.
    pub retry_after: Option<Duration>,
    /// Requests that are left.
    pub remaining_requests: Option<u64>,
    /// Until requests are at their limit again.
    pub reset_requests: Option<Duration>,
    /// Tokens that are left.
    pub remaining_tokens: Option<u64>,
    /// Until tokens are at their limit again.
    pub reset_tokens: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::{Circuit, Counts, ModelLimits};

    #[test]
    fn nothing_is_limited_unless_it_is_said_and_the_circuit_is_on() {
        let limits: ModelLimits = toml::from_str("").unwrap();
        assert_eq!(limits, ModelLimits::default());
        assert_eq!(
            limits.circuit,
            Circuit {
                failures: 5,
                open_seconds: 30
            }
        );
        assert_eq!(limits.validate("l"), []);
        let limits: ModelLimits =
            toml::from_str("counts = \"reserved\"\ncircuit = { failures = 2 }").unwrap();
        assert_eq!(
            (
                limits.counts,
                limits.circuit.failures,
                limits.circuit.open_seconds
            ),
            (Counts::Reserved, 2, 30)
        );
    }

    #[test]
    fn limits_that_let_nothing_through_are_reported() {
        let limits: ModelLimits = toml::from_str(
            "requests_per_minute = 0\ntokens_per_minute = 0\nin_flight = 0\ncircuit = { open_seconds = 0 }",
        )
        .unwrap();
        let paths: Vec<_> = limits
            .validate("l")
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(
            paths,
            [
                "l.requests_per_minute",
                "l.tokens_per_minute",
                "l.in_flight",
                "l.circuit.open_seconds"
            ]
        );
        let off = ModelLimits {
            circuit: Circuit {
                failures: 0,
                open_seconds: 0,
            },
            ..ModelLimits::default()
        };
        assert_eq!(off.validate("l"), []);
        assert!(toml::from_str::<ModelLimits>("rpm = 1").is_err());
    }
}
