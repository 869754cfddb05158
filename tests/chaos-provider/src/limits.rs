//! Rate limits that are enforced, for each model and key by itself, as providers do.
//!
//! A script can say 429 to a chosen request, but whether a client keeps to a limit shows only when something counts.
//! What is counted, and how, differs between providers, so both are options; the numbers in the headers are those that
//! the next request is judged by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::call::Protocol;

mod gauge;
pub(crate) mod headers;

use gauge::Gauge;
use headers::Header;

/// Refused calls give up their place, so only running ones wait for it.
const IN_FLIGHT_WAIT_MS: u64 = 1_000;

/// How much is let through for each model and key.
///
/// As JSON, where nothing has to be set; what is absent is not limited:
///
/// ```json
/// {"model": "m", "requests_per_minute": 500, "tokens_per_minute": 90000, "in_flight": 16,
///  "algorithm": "sliding_window", "counts": "actual", "retry_after": "usual"}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// The model that it is for; every model, each by itself, when absent.
    pub model: Option<String>,
    /// Requests in a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens of prompts and answers in a minute.
    pub tokens_per_minute: Option<u64>,
    /// Calls at the same time.
    pub in_flight: Option<u32>,
    /// How a minute is counted.
    pub algorithm: Algorithm,
    /// Which tokens of a call count.
    pub counts: Counts,
    /// How a refusal says when to come back.
    pub retry_after: RetryForm,
    /// Whether a refused request counts as one of the minute's requests.
    pub refused_count: bool,
    /// The length of a minute in milliseconds, for tests that cannot wait for a real one; 60 000 when absent.
    pub minute_ms: Option<u32>,
}

/// How a minute is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// A bucket that starts full and is refilled evenly: after a pause, a whole minute's amount passes at once.
    #[default]
    TokenBucket,
    /// Minutes of the clock: twice the amount passes around their border.
    FixedWindow,
    /// Any 60 seconds.
    SlidingWindow,
}

/// Which tokens of a call count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// The prompt when it comes, the answer when it has ended; a minute may then be overdrawn, and later calls wait.
    #[default]
    Actual,
    /// The prompt and the most that the answer may have, and what was not used is given back at the end.
    Settled,
    /// The prompt and the most that the answer may have.
    Reserved,
}

/// How a refusal says when to come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryForm {
    /// As the protocol's own provider: seconds, and with OpenAI milliseconds too.
    #[default]
    Usual,
    /// `Retry-After` in seconds.
    Seconds,
    /// `retry-after-ms`.
    Millis,
    /// `Retry-After` as a date.
    Date,
    /// Not at all.
    None,
}

/// A limited amount as headers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset_ms: u64,
}

/// What is left for a model and key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) requests: Option<Level>,
    pub(crate) tokens: Option<Level>,
}

/// Who asks for how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) model: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) prompt_tokens: u32,
    pub(crate) max_tokens: Option<u32>,
}

/// Which limit a request is counted against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Holder {
    limit: usize,
    model: String,
    key: Option<String>,
}

/// A request that was let through, to be settled when it has ended.
#[derive(Debug)]
pub(crate) struct Pass {
    holder: Holder,
    counts: Counts,
    taken_ms: u64,
    tokens: u64,
    /// Its own, because the limits may be exchanged while the call runs.
    book: Arc<Book>,
    is_open: AtomicBool,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Admission {
    /// No limit is set for it.
    Unlimited,
    /// It is let through.
    Passed(Pass, Vec<Header>),
    /// It is refused; the word is what it had too much of.
    Refused(&'static str, Vec<Header>),
}

/// The limits of a provider and what is used of them.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    limits: Vec<Limit>,
    book: Arc<Book>,
}

/// What each holder has used.
type Book = Mutex<HashMap<Holder, Used>>;

#[derive(Debug)]
struct Used {
    requests: Option<Gauge>,
    tokens: Option<Gauge>,
    in_flight: u32,
}

impl Limits {
    pub(crate) fn new(limits: Vec<Limit>) -> Self {
        Self {
            limits,
            book: Arc::default(),
        }
    }

    /// Counts a request if it fits; `now` is in milliseconds since 1970.
    pub(crate) fn admit(&mut self, request: Request<'_>, now: u64) -> Admission {
        let is_for = |limit: &Limit| limit.model.as_deref().is_none_or(|model| model == request.model);
        let Some(place) = self.limits.iter().position(is_for) else {
            return Admission::Unlimited;
        };
        let limit = &self.limits[place];
        let holder = Holder {
            limit: place,
            model: request.model.to_owned(),
            key: request.key.map(str::to_owned),
        };
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let used = book
            .entry(holder.clone())
            .or_insert_with(|| Used::new(limit, now));
        let tokens = limit.tokens_at_first(request);
        if let Some((what, wait)) = used.obstacle(limit, tokens, now) {
            if let Some(requests) = used.requests.as_mut().filter(|_| limit.refused_count) {
                requests.take(1, now);
            }
            let mut headers = headers::standing(request.protocol, used.standing(now), now);
            headers.extend(headers::retry(request.protocol, limit.retry_after, wait));
            return Admission::Refused(what, headers);
        }
        used.take(tokens, now);
        let headers = headers::standing(request.protocol, used.standing(now), now);
        let pass = Pass {
            holder,
            counts: limit.counts,
            taken_ms: now,
            tokens,
            book: Arc::clone(&self.book),
            is_open: AtomicBool::new(true),
        };
        Admission::Passed(pass, headers)
    }
}

impl Pass {
    /// Notes that the call ends, with the tokens that it has cost; only the first time counts.
    pub(crate) fn settle(&self, prompt_tokens: u32, completion_tokens: u32, now: u64) {
        if !self.is_open.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(used) = book.get_mut(&self.holder) else {
            return;
        };
        used.in_flight = used.in_flight.saturating_sub(1);
        let Some(gauge) = &mut used.tokens else { return };
        match self.counts {
            Counts::Actual => gauge.take(completion_tokens.into(), now),
            Counts::Settled => {
                let cost = u64::from(prompt_tokens) + u64::from(completion_tokens);
                gauge.give_back(self.tokens.saturating_sub(cost), self.taken_ms, now);
            }
            Counts::Reserved => {}
        }
    }
}

impl Limit {
    /// The tokens that a request is judged by, before anybody knows its answer.
    fn tokens_at_first(&self, request: Request<'_>) -> u64 {
        let prompt = u64::from(request.prompt_tokens);
        match self.counts {
            Counts::Actual => prompt,
            Counts::Settled | Counts::Reserved => prompt + u64::from(request.max_tokens.unwrap_or(0)),
        }
    }
}

impl Used {
    fn new(limit: &Limit, now: u64) -> Self {
        let minute_ms = u64::from(limit.minute_ms.unwrap_or(60_000));
        let gauge = |amount: u64| Gauge::new(limit.algorithm, amount, minute_ms, now);
        Self {
            requests: limit.requests_per_minute.map(u64::from).map(gauge),
            tokens: limit.tokens_per_minute.map(gauge),
            in_flight: 0,
        }
    }

    /// What a request has too much of, and for how many milliseconds.
    fn obstacle(&mut self, limit: &Limit, tokens: u64, now: u64) -> Option<(&'static str, u64)> {
        let requests = self.requests.as_mut().map_or(0, |gauge| gauge.wait(1, now));
        let tokens = self.tokens.as_mut().map_or(0, |gauge| gauge.wait(tokens, now));
        let in_flight = if limit.in_flight.is_some_and(|most| self.in_flight >= most) {
            IN_FLIGHT_WAIT_MS
        } else {
            0
        };
        let waits = [("requests", requests.max(in_flight)), ("tokens", tokens)];
        let longest = waits.into_iter().max_by_key(|(_, wait)| *wait)?;
        (longest.1 > 0).then_some(longest)
    }

    fn take(&mut self, tokens: u64, now: u64) {
        self.in_flight += 1;
        if let Some(requests) = &mut self.requests {
            requests.take(1, now);
        }
        if let Some(gauge) = &mut self.tokens {
            gauge.take(tokens, now);
        }
    }

    fn standing(&mut self, now: u64) -> Standing {
        let level = |gauge: &mut Gauge| {
            let (remaining, reset_ms) = gauge.standing(now);
            Level {
                limit: gauge.limit(),
                remaining,
                reset_ms,
            }
        };
        Standing {
            requests: self.requests.as_mut().map(level),
            tokens: self.tokens.as_mut().map(level),
        }
    }
}

#[cfg(test)]
mod tests;
