//! A provider's limits: how many calls and tokens a minute, how many at once, and when not at all.
//!
//! The limit is the provider's and not a worker's, so it is kept where all workers look: with the grants. Each claim
//! brings the limit's figures along, as its worker is configured; the journal keeps what was granted and who waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Asks for a place within a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitClaim {
    /// What is limited, such as `provider/model/key name`; at most [`LimitClaim::MAX_NAME_BYTES`], and no secret.
    pub name: String,
    /// The limit.
    pub rate: RateLimit,
    /// Tokens that the call counts as until it settles.
    pub tokens: u64,
}

/// Limits the calls of one provider, model and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// Calls in any 60 seconds; `None` is no limit.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any 60 seconds, read and written together; `None` is no limit.
    pub tokens_per_minute: Option<u64>,
    /// Calls under way at once; `None` is no limit.
    pub in_flight: Option<u32>,
    /// When calls that keep failing are stopped; `None` is never.
    pub circuit: Option<Circuit>,
    /// What a call counts as once it is settled.
    pub counts: Counts,
}

/// Stops calling a provider that keeps failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circuit {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open until one call is let through as a probe, in seconds.
    pub open_seconds: u32,
}

/// Decides what a call counts as once it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// As the tokens that it used.
    #[default]
    Actual,
    /// As the tokens that were reserved for it, like providers that count the largest possible answer.
    Reserved,
}

/// Tells that a limit has no place for the call yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// What is limited.
    pub name: String,
    /// Which part of the limit it was.
    pub why: Why,
    /// When to claim again. After a wait for requests or tokens the place is kept for 30 seconds.
    pub retry_after: Duration,
}

/// Names the part of a limit that has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Calls a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Calls under way.
    InFlight,
    /// The provider asked all to wait.
    Blocked,
    /// The provider keeps failing.
    CircuitOpen,
}

/// Passes on what the provider said about its limits, with the end of an attempt; nothing unless it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// How long it asks to be left alone; counts with `refused` or `overloaded`.
    pub retry_after: Option<Duration>,
    /// Requests that it still takes.
    pub remaining_requests: Option<u64>,
    /// When that number is renewed.
    pub reset_requests: Option<Duration>,
    /// Tokens that it still takes.
    pub remaining_tokens: Option<u64>,
    /// When that number is renewed.
    pub reset_tokens: Option<Duration>,
    /// The call failed because the provider is overloaded, down or out of reach: counts towards the circuit.
    pub overloaded: bool,
    /// The provider refused the call because of its limits, such as with a 429: what it counted stays counted.
    pub refused: bool,
}

impl LimitClaim {
    /// The longest name of a limit, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
}

impl Why {
    /// Returns the reason's name as it is printed and counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InFlight => "in_flight",
            Self::Blocked => "blocked",
            Self::CircuitOpen => "circuit_open",
        }
    }
}
