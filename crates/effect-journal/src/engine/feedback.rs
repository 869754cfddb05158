//! What the end of a call says about its limit.
//!
//! A limit is planned with what a call may use and corrected to what it did use, so that nothing is held back for
//! answers that turned out short. What the provider says of itself, in a header or by failing, overrides the plan: it
//! knows of callers that this journal does not.

use std::time::Duration;

use super::limits::{Count, Limit, bucket_of};
use super::view::Counted;
use crate::{Counts, EffectKey, Feedback};

/// How long a refusal without a word on it keeps everybody away.
const SILENT_REFUSAL: Duration = Duration::from_secs(1);
/// The longest that a provider's word keeps everybody away; after it one call finds out whether it still holds.
const LONGEST_BLOCK: Duration = Duration::from_hours(1);
/// How long a remainder holds if the provider does not say, and the longest that it holds.
const RESET: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(10));

/// How an attempt ended, as far as its limit is concerned.
pub(super) struct Ended<'a> {
    pub(super) key: &'a EffectKey,
    pub(super) fence: u32,
    pub(super) counted: &'a Counted,
    pub(super) bill: Bill,
    pub(super) feedback: Feedback,
    pub(super) now_ms: i64,
}

/// What an attempt turned out to count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bill {
    /// It was answered with so many tokens, read and written.
    Used(u64),
    /// Nothing was sent.
    Unsent,
    /// It was sent, and the provider does not bill it.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Limit {
    /// Corrects what an attempt counts as, and takes over what the provider said.
    pub(super) fn learn(&mut self, ended: &Ended<'_>) {
        self.tidy(ended.now_ms);
        self.correct(ended);
        self.block(ended);
        self.hold(ended);
        self.trip(ended);
    }

    fn correct(&mut self, ended: &Ended<'_>) {
        let Counted {
            bucket,
            tokens,
            counts,
            ..
        } = *ended.counted;
        let (old, new) = match (ended.bill, counts) {
            (Bill::Used(used), Counts::Actual) => (
                Count { requests: 0, tokens },
                Count {
                    requests: 0,
                    tokens: used,
                },
            ),
            (Bill::Unsent, _) => (Count { requests: 1, tokens }, Count::default()),
            (Bill::Refused, _) if !ended.feedback.refused => {
                (Count { requests: 0, tokens }, Count::default())
            }
            (Bill::Used(_), Counts::Reserved) | (Bill::Refused | Bill::Unknown, _) => return,
        };
        self.granted.correct(bucket, old, new);
    }

    fn block(&mut self, ended: &Ended<'_>) {
        let feedback = ended.feedback;
        if !feedback.refused && !feedback.overloaded {
            return;
        }
        let silent = feedback.refused.then(|| {
            let exhausted = [
                (feedback.remaining_requests, feedback.reset_requests),
                (feedback.remaining_tokens, feedback.reset_tokens),
            ];
            let resets = exhausted
                .into_iter()
                .filter_map(|(remaining, reset)| reset.filter(|_| remaining == Some(0)));
            resets.max().unwrap_or(SILENT_REFUSAL)
        });
        if let Some(wait) = feedback.retry_after.or(silent) {
            let until = after(ended.now_ms, wait.min(LONGEST_BLOCK));
            self.blocked_until_ms = self.blocked_until_ms.max(until);
        }
    }

    /// Enters as used what the provider counts beyond what was granted here.
    fn hold(&mut self, ended: &Ended<'_>) {
        let granted = self.granted.window(bucket_of(ended.now_ms));
        let feedback = ended.feedback;
        let until = |reset: Option<Duration>| after(ended.now_ms, reset.unwrap_or(RESET.0).min(RESET.1));
        if let (Some(max), Some(remaining)) = (self.rate.requests_per_minute, feedback.remaining_requests) {
            let ours = u64::from(max).saturating_sub(granted.requests);
            self.held.requests = (ours.saturating_sub(remaining), until(feedback.reset_requests));
        }
        if let (Some(max), Some(remaining)) = (self.rate.tokens_per_minute, feedback.remaining_tokens) {
            let ours = max.saturating_sub(granted.tokens);
            self.held.tokens = (ours.saturating_sub(remaining), until(feedback.reset_tokens));
        }
    }

    fn trip(&mut self, ended: &Ended<'_>) {
        let probed = self
            .probe
            .as_ref()
            .is_some_and(|probe| probe.is(ended.key, ended.fence));
        if ended.feedback.overloaded {
            self.failures = self.failures.saturating_add(1);
            if let (true, Some(circuit)) = (self.tripped(), self.rate.circuit) {
                let open = Duration::from_secs(u64::from(circuit.open_seconds));
                self.open_until_ms = after(ended.now_ms, open);
                self.probe = None;
            }
            return;
        }
        match ended.bill {
            Bill::Used(_) => self.close(),
            // Any word of a provider that was taken for dead is a sign of life.
            Bill::Refused if probed => self.close(),
            Bill::Unsent | Bill::Unknown if probed => self.probe = None,
            Bill::Refused | Bill::Unsent | Bill::Unknown => {}
        }
    }

    fn close(&mut self) {
        self.failures = 0;
        self.open_until_ms = 0;
        self.probe = None;
    }
}

fn after(now_ms: i64, wait: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}
