//! Amounts by the bucket of time that they belong to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BUCKET_MS;

/// How long a minute is taken for.
///
/// The provider counts a call when it arrives. One that was granted late in a minute and left late arrives close to
/// the first of the next; a second of distance is what that costs, and refusals would cost more.
const MINUTE_MS: i64 = 61_000;

/// How many buckets before one belong to the same window.
///
/// The window is the bucket and the minute before it: two calls at the far ends of two buckets may be less than a
/// minute apart although their buckets are not.
pub(super) const WINDOW: i64 = MINUTE_MS / BUCKET_MS;

/// Calls and their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct Count {
    pub(in crate::engine) requests: u64,
    pub(in crate::engine) tokens: u64,
}

/// Counts by bucket; written as a list of bucket, requests, tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(i64, u64, u64)>", into = "Vec<(i64, u64, u64)>")]
pub(in crate::engine) struct Buckets(BTreeMap<i64, Count>);

impl Count {
    /// Counts one call.
    pub(super) fn call(tokens: u64) -> Self {
        Self { requests: 1, tokens }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Buckets {
    pub(super) fn at(&self, bucket: i64) -> Count {
        self.0.get(&bucket).copied().unwrap_or_default()
    }

    /// Sums the window that ends with a bucket.
    pub(in crate::engine) fn window(&self, bucket: i64) -> Count {
        self.0
            .range(bucket - WINDOW..=bucket)
            .fold(Count::default(), |sum, (_, count)| sum.plus(*count))
    }

    pub(super) fn total(&self) -> Count {
        self.0
            .values()
            .fold(Count::default(), |sum, count| sum.plus(*count))
    }

    pub(super) fn last(&self) -> Option<i64> {
        self.0.last_key_value().map(|(bucket, _)| *bucket)
    }

    /// Tells whether a bucket holds at least a count.
    pub(super) fn holds(&self, bucket: i64, count: Count) -> bool {
        let found = self.at(bucket);
        found.requests >= count.requests && found.tokens >= count.tokens
    }

    pub(super) fn add(&mut self, bucket: i64, count: Count) {
        let found = self.0.entry(bucket).or_default();
        *found = found.plus(count);
    }

    pub(super) fn subtract(&mut self, bucket: i64, count: Count) {
        self.correct(bucket, count, Count::default());
    }

    /// Replaces a part of a bucket, unless the bucket is forgotten.
    pub(in crate::engine) fn correct(&mut self, bucket: i64, old: Count, new: Count) {
        let Some(found) = self.0.get_mut(&bucket) else {
            return;
        };
        *found = found.minus(old).plus(new);
        if found.is_nothing() {
            self.0.remove(&bucket);
        }
    }

    /// Moves what lies after a bucket into it.
    pub(super) fn gather_after(&mut self, bucket: i64) {
        for count in self.0.split_off(&(bucket + 1)).into_values() {
            self.add(bucket, count);
        }
    }

    /// Keeps only the buckets from one to another.
    pub(super) fn forget_outside(&mut self, first: i64, last: i64) {
        self.0.retain(|bucket, _| (first..=last).contains(bucket));
    }
}

impl From<Vec<(i64, u64, u64)>> for Buckets {
    fn from(list: Vec<(i64, u64, u64)>) -> Self {
        let entry = |(bucket, requests, tokens)| (bucket, Count { requests, tokens });
        Self(list.into_iter().map(entry).collect())
    }
}

impl From<Buckets> for Vec<(i64, u64, u64)> {
    fn from(buckets: Buckets) -> Self {
        let entry = |(bucket, count): (i64, Count)| (bucket, count.requests, count.tokens);
        buckets.0.into_iter().map(entry).collect()
    }
}
