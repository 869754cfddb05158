//! Limits: a window that slides, and a queue of tickets.
//!
//! A call may start if the last minute and it together stay within the limit. That is exact for a provider that
//! counts fixed minutes, sliding ones, or a bucket that refills: whichever it is, no minute holds more. A bucket of
//! tokens per worker, the usual choice, either lets every worker's burst add up or gives each a share that the others
//! leave unused.
//!
//! Who finds no room gets a ticket: the first moment from which there is, behind everybody who came before, and is
//! told to come back then. The wait happens outside, with no lease and no thread held, and those who wait do not all
//! come at once. At its moment a ticket is checked against what was really granted; those who came late have moved
//! their calls into its window, and exactness must not depend on punctuality. A ticket that is then too early gets
//! the next moment that fits. One that nobody comes for within 30 seconds lapses.

mod window;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(super) use self::window::Count;
use self::window::{Buckets, WINDOW};
use super::view::Counted;
use crate::{EffectKey, LimitClaim, Limited, RateLimit, Why};

/// The length of a bucket: how exactly the time of a grant is remembered.
const BUCKET_MS: i64 = 500;
/// How many buckets a ticket is kept for after its moment.
const GRACE: i64 = 30_000 / BUCKET_MS;
/// How long a queue may be for another ticket to be given, in buckets.
const HORIZON: i64 = 300_000 / BUCKET_MS;
/// The farthest that a ticket can lie ahead.
const FARTHEST: i64 = HORIZON + WINDOW + 1;
/// When those come back who find even the queue full: while it still has two minutes to go.
const QUEUE_FULL: Duration = Duration::from_mins(3);
/// When those come back who wait for something that tells no time.
const SHORTLY: Duration = Duration::from_secs(1);

/// What is known of a limit; stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// The limit as the latest claim gave it.
    pub(super) rate: RateLimit,
    /// What was granted in the last minute.
    pub(super) granted: Buckets,
    /// What tickets were given for.
    queued: Buckets,
    /// What the provider counts beyond what was granted.
    pub(super) held: Held,
    /// Until when the provider asked to be left alone.
    pub(super) blocked_until_ms: i64,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Until when the circuit is open.
    pub(super) open_until_ms: i64,
    /// The call that finds out whether the provider has recovered.
    pub(super) probe: Option<Probe>,
}

/// Amounts that count as used until a moment: requests and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) requests: (u64, i64),
    pub(super) tokens: (u64, i64),
}

/// The attempt that was let through a circuit that had opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Probe {
    attempt: String,
    until_ms: i64,
}

/// A place in a limit's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The limit.
    pub(crate) limit: String,
    /// The bucket from which it is good.
    pub(crate) bucket: i64,
    /// The tokens that it is for.
    pub(crate) tokens: u64,
}

/// A question to a limit.
pub(super) struct Asked<'a> {
    pub(super) key: &'a EffectKey,
    pub(super) fence: u32,
    pub(super) claim: &'a LimitClaim,
    pub(super) in_flight: u32,
    pub(super) ticket: Option<Ticket>,
    pub(super) now_ms: i64,
    pub(super) lease_ms: i64,
}

/// A limit's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The call may start, and counts as this.
    Grant(Counted),
    /// Not now.
    Refuse(Limited),
}

/// Returns the bucket that a moment is in.
pub(super) fn bucket_of(now_ms: i64) -> i64 {
    now_ms.div_euclid(BUCKET_MS)
}

/// Returns the first bucket whose ticket can still be good, long after it.
pub(crate) fn lapsed_before(now_ms: i64) -> i64 {
    bucket_of(now_ms) - FARTHEST
}

impl Limit {
    /// Reads what [`Limit::to_json`] wrote.
    pub(crate) fn from_json(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Returns what is stored of it.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Decides whether a call may start now, and returns the ticket that its key holds from now on.
    pub(super) fn ask(&mut self, asked: &Asked<'_>) -> (Verdict, Option<Ticket>) {
        self.rate = asked.claim.rate;
        self.tidy(asked.now_ms);
        let now = bucket_of(asked.now_ms);
        let ticket = asked.ticket.as_ref().filter(|ticket| self.is_good(ticket, now));
        if let Some(ticket) = ticket {
            self.queued.subtract(ticket.bucket, Count::call(ticket.tokens));
        }
        let amount = self.amount(asked.claim.tokens);
        let held_up = self.circuit_wait(asked).or_else(|| self.in_flight_wait(asked));
        let place = match (&held_up, ticket) {
            // Whoever has a place keeps it while something else than the queue holds it up.
            (Some(_), Some(ticket)) => Place::Later(ticket.bucket.max(now)),
            (Some(_), None) => Place::Nowhere,
            (None, _) => self.place(asked.now_ms, amount, ticket),
        };
        let (why, wait) = match (held_up, place) {
            (Some((why, wait)), Place::Later(bucket)) => (why, wait.max(until(bucket, asked.now_ms))),
            (Some(held_up), Place::Now | Place::Nowhere) => held_up,
            (None, Place::Now) => return (Verdict::Grant(self.grant(asked, amount)), None),
            (None, Place::Later(bucket)) => (self.why(asked.now_ms, amount), until(bucket, asked.now_ms)),
            (None, Place::Nowhere) => (
                self.why(asked.now_ms, amount),
                QUEUE_FULL + 60 * jitter(asked.key),
            ),
        };
        let kept = match place {
            Place::Later(bucket) => Some(self.queue(asked, bucket, amount)),
            Place::Now | Place::Nowhere => None,
        };
        let limited = Limited {
            name: asked.claim.name.clone(),
            why,
            retry_after: wait,
        };
        (Verdict::Refuse(limited), kept)
    }

    /// Tells whether the failures in a row have opened the circuit.
    pub(super) fn tripped(&self) -> bool {
        self.rate
            .circuit
            .is_some_and(|circuit| self.failures >= circuit.failures.max(1))
    }

    /// Forgets what no longer counts.
    pub(super) fn tidy(&mut self, now_ms: i64) {
        let now = bucket_of(now_ms);
        // Grants that seem to lie ahead were made on a clock that was set back since; they count as of now.
        self.granted.gather_after(now);
        self.granted.forget_outside(now - WINDOW, now);
        self.queued.forget_outside(now - GRACE, now + FARTHEST);
    }

    fn is_good(&self, ticket: &Ticket, now: i64) -> bool {
        (now - GRACE..=now + FARTHEST).contains(&ticket.bucket)
            && self.queued.holds(ticket.bucket, Count::call(ticket.tokens))
    }

    /// Returns what a call counts as: one that is larger than the whole limit fills it alone, or it would never start.
    fn amount(&self, tokens: u64) -> Count {
        Count::call(self.rate.tokens_per_minute.map_or(tokens, |max| tokens.min(max)))
    }

    fn circuit_wait(&self, asked: &Asked<'_>) -> Option<(Why, Duration)> {
        if !self.tripped() {
            return None;
        }
        let open_ms = self.open_until_ms.saturating_sub(asked.now_ms);
        let probed = self
            .probe
            .as_ref()
            .is_some_and(|probe| probe.until_ms > asked.now_ms);
        let wait = if open_ms > 0 {
            Duration::from_millis(open_ms.unsigned_abs())
        } else if probed {
            SHORTLY
        } else {
            return None;
        };
        Some((Why::CircuitOpen, wait + jitter(asked.key)))
    }

    fn in_flight_wait(&self, asked: &Asked<'_>) -> Option<(Why, Duration)> {
        let full = self
            .rate
            .in_flight
            .is_some_and(|max| asked.in_flight >= max.max(1));
        full.then(|| (Why::InFlight, SHORTLY + jitter(asked.key)))
    }

    /// Finds the place of a call that only the window and the queue can hold up.
    fn place(&self, now_ms: i64, amount: Count, ticket: Option<&Ticket>) -> Place {
        let now = bucket_of(now_ms);
        let blocked = self.blocked_until_ms > now_ms;
        let open = if blocked {
            bucket_of(self.blocked_until_ms.saturating_add(BUCKET_MS - 1))
        } else {
            now
        };
        let Some(ticket) = ticket else {
            let start = open.max(self.queued.last().unwrap_or(open));
            return match self.first_fit(start, now_ms, amount) {
                Some(bucket) if bucket == now => Place::Now,
                Some(bucket) => Place::Later(bucket),
                None => Place::Nowhere,
            };
        };
        if ticket.bucket > now && ticket.bucket >= open {
            return Place::Later(ticket.bucket);
        }
        if ticket.bucket <= now && !blocked && self.fits(self.granted.window(now), now_ms, amount) {
            return Place::Now;
        }
        let next = self.first_fit(open.max(now + 1), now_ms, amount);
        next.map_or(Place::Nowhere, Place::Later)
    }

    /// Returns the first bucket from a given one in which a call fits beside all grants and all tickets.
    fn first_fit(&self, start: i64, now_ms: i64, amount: Count) -> Option<i64> {
        if start > bucket_of(now_ms) + HORIZON {
            return None;
        }
        // Behind a window of nothing everything fits; so a large call finds its place where a small one would.
        let last = start + WINDOW + 1;
        let mut sum = self.granted.window(start).plus(self.queued.window(start));
        for bucket in start..=last {
            if bucket > start {
                sum = sum.plus(self.granted.at(bucket)).plus(self.queued.at(bucket));
                let left = bucket - WINDOW - 1;
                sum = sum.minus(self.granted.at(left)).minus(self.queued.at(left));
            }
            if self.fits(sum, now_ms.max(bucket * BUCKET_MS), amount) {
                return Some(bucket);
            }
        }
        None
    }

    fn fits(&self, sum: Count, at_ms: i64, amount: Count) -> bool {
        self.requests_fit(sum, at_ms, amount) && self.tokens_fit(sum, at_ms, amount)
    }

    fn requests_fit(&self, sum: Count, at_ms: i64, amount: Count) -> bool {
        let held = held_at(self.held.requests, at_ms);
        self.rate.requests_per_minute.is_none_or(|max| {
            sum.requests.saturating_add(held).saturating_add(amount.requests) <= u64::from(max.max(1))
        })
    }

    fn tokens_fit(&self, sum: Count, at_ms: i64, amount: Count) -> bool {
        let held = held_at(self.held.tokens, at_ms);
        self.rate
            .tokens_per_minute
            .is_none_or(|max| sum.tokens.saturating_add(held).saturating_add(amount.tokens) <= max)
    }

    fn why(&self, now_ms: i64, amount: Count) -> Why {
        if self.blocked_until_ms > now_ms {
            return Why::Blocked;
        }
        let now = bucket_of(now_ms);
        let granted = self.granted.window(now);
        let with_queue = granted.plus(self.queued.total());
        for sum in [granted, with_queue] {
            if !self.tokens_fit(sum, now_ms, amount) {
                return Why::Tokens;
            }
            if !self.requests_fit(sum, now_ms, amount) {
                return Why::Requests;
            }
        }
        if self.rate.tokens_per_minute.is_some() {
            Why::Tokens
        } else {
            Why::Requests
        }
    }

    fn grant(&mut self, asked: &Asked<'_>, amount: Count) -> Counted {
        let bucket = bucket_of(asked.now_ms);
        self.granted.add(bucket, amount);
        if self.tripped() {
            self.probe = Some(Probe {
                attempt: attempt(asked.key, asked.fence),
                until_ms: asked.now_ms.saturating_add(asked.lease_ms),
            });
        }
        Counted {
            name: asked.claim.name.clone(),
            bucket,
            tokens: amount.tokens,
            counts: asked.claim.rate.counts,
        }
    }

    fn queue(&mut self, asked: &Asked<'_>, bucket: i64, amount: Count) -> Ticket {
        self.queued.add(bucket, amount);
        Ticket {
            limit: asked.claim.name.clone(),
            bucket,
            tokens: amount.tokens,
        }
    }
}

impl Probe {
    /// Tells whether an attempt is the probe.
    pub(super) fn is(&self, key: &EffectKey, fence: u32) -> bool {
        self.attempt == attempt(key, fence)
    }
}

/// When a call may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Now,
    Later(i64),
    /// Beyond the horizon.
    Nowhere,
}

fn attempt(key: &EffectKey, fence: u32) -> String {
    format!("{key}#{fence}")
}

fn held_at((amount, until_ms): (u64, i64), at_ms: i64) -> u64 {
    if at_ms < until_ms { amount } else { 0 }
}

fn until(bucket: i64, now_ms: i64) -> Duration {
    Duration::from_millis(
        bucket
            .saturating_mul(BUCKET_MS)
            .saturating_sub(now_ms)
            .max(0)
            .unsigned_abs(),
    )
}

/// Spreads those who come back, by up to a second: the same for the same effect, so that decisions can be repeated.
fn jitter(key: &EffectKey) -> Duration {
    let hash = key
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    Duration::from_millis(hash % 1000)
}
