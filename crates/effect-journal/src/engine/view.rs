//! The rows that a batch works on.
//!
//! A table remembers of each row whether it is as it was loaded, so that a store writes what changed and nothing
//! else. The comparison is by value: a decision that puts back what it found costs no write.

use std::collections::{BTreeMap, BTreeSet};

use super::limits::{Limit, Ticket};
use crate::{
    Allowance, Amount, AttemptRecord, Counts, EffectClass, EffectKey, NoteAction, Period, RequestDigest,
    Spend, State,
};

/// Says what a store has to do about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing: it is stored like this.
    Clean,
    /// Insert it.
    New,
    /// Write it over the stored one.
    Changed,
}

/// Rows by their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table<K: Ord, V> {
    rows: BTreeMap<K, (V, Mark)>,
    removed: BTreeSet<K>,
}

/// Everything that the operations of a batch look at and change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct View {
    /// The effects of the batch's keys.
    pub(crate) effects: Table<EffectKey, Effect>,
    /// All attempts of the batch's keys, and swept ones of others; by key and fence.
    pub(crate) attempts: Table<(EffectKey, u32), Attempt>,
    /// What each counter of an account holds.
    pub(crate) counters: Table<String, Amount>,
    /// The budgets of the tenants of the batch; by tenant and period.
    pub(crate) budgets: Table<(String, Period), BudgetRow>,
    /// The limits of the batch.
    pub(crate) limits: Table<String, Limit>,
    /// How many attempts each of those limits has under way now; not stored but counted.
    pub(crate) in_flight: BTreeMap<String, u32>,
    /// The places that the batch's keys wait for.
    pub(crate) tickets: Table<EffectKey, Ticket>,
    /// Notes to be written.
    pub(crate) notes: Vec<NewNote>,
    /// Counters whose expired reservations are all among the attempts.
    pub(crate) swept: BTreeSet<String>,
}

/// What may change hands of an effect. A row with fence 0, if a store needs one to lock, stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The digest of its request.
    pub(crate) digest: RequestDigest,
    /// The latest attempt's number.
    pub(crate) fence: u32,
    /// The attempt whose answer is the result.
    pub(crate) committed_fence: Option<u32>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Where it was last recorded to stand.
    pub(crate) state: State,
    /// Whether it costs money.
    pub(crate) class: EffectClass,
    /// Who claimed it.
    pub(crate) owner: String,
    /// The model to be called.
    pub(crate) model: String,
    /// The provider to be called.
    pub(crate) provider: String,
    /// Whom it is for.
    pub(crate) tenant: Option<String>,
    /// The version of the prices that its money is computed with.
    pub(crate) price_table: String,
    /// The most it was expected to use.
    pub(crate) bound: Spend,
    /// What it used; set exactly in state settled.
    pub(crate) spend: Option<Spend>,
    /// When it was claimed.
    pub(crate) claimed_unix_ms: i64,
    /// How long its lease lasts from each renewal.
    pub(crate) lease_ms: i64,
    /// When its lease ends.
    pub(crate) lease_until_unix_ms: i64,
    /// When it was marked sent.
    pub(crate) sent_unix_ms: Option<i64>,
    /// When it was last recorded as settled, released or unknown.
    pub(crate) ended_unix_ms: Option<i64>,
    /// Why it was released or became unknown.
    pub(crate) reason: Option<String>,
    /// Whether a person's word ended it.
    pub(crate) by_hand: bool,
    /// The counters that it counts in.
    pub(crate) counters: Vec<String>,
    /// The limit that it counts against.
    pub(crate) limit: Option<Counted>,
    /// The checksum of its answer.
    pub(crate) checksum: Option<[u8; 32]>,
    /// Its answer.
    pub(crate) response: Response,
}

/// What an attempt counts as within a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The limit.
    pub(crate) name: String,
    /// The bucket that it is counted in.
    pub(crate) bucket: i64,
    /// The tokens that it is counted as.
    pub(crate) tokens: u64,
    /// Whether the tokens are corrected once it is settled.
    pub(crate) counts: Counts,
}

/// Tells of an attempt's response; the bytes are in the view only on their way to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    /// There is none, or it was pruned.
    Absent,
    /// It is stored.
    Stored,
    /// It is to be stored.
    New(Vec<u8>),
}

/// What is stored of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredAnswer {
    /// What it cost, if the attempt is settled.
    pub(crate) spend: Option<Spend>,
    /// Its checksum.
    pub(crate) checksum: Option<[u8; 32]>,
    /// Its bytes, unless pruned.
    pub(crate) response: Option<Vec<u8>>,
}

/// A tenant's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BudgetRow {
    /// The most that may be used; one that limits nothing stands for a budget that was removed.
    pub(crate) max: Allowance,
    /// When it was set.
    pub(crate) changed_unix_ms: i64,
    /// Who set it.
    pub(crate) changed_by: String,
}

/// A note without its number, which the store gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewNote {
    /// When.
    pub(crate) unix_ms: i64,
    /// Who.
    pub(crate) actor: String,
    /// What was done.
    pub(crate) action: NoteAction,
    /// What it was done to.
    pub(crate) subject: String,
    /// The effect's key, if it was done to an attempt.
    pub(crate) key: Option<EffectKey>,
    /// How it stood before, as JSON.
    pub(crate) before: String,
    /// How it stands after, as JSON.
    pub(crate) after: String,
    /// Why.
    pub(crate) reason: String,
}

impl<K: Ord + Clone, V: PartialEq> Table<K, V> {
    /// Adds a row as it is stored; one that is there already stays, since it may have been changed.
    pub(crate) fn load(&mut self, key: K, value: V) {
        self.rows.entry(key).or_insert((value, Mark::Clean));
    }

    /// Returns a row.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|(value, _)| value)
    }

    /// Puts a row in place of what is there.
    pub(crate) fn put(&mut self, key: K, value: V) {
        let stored_before = self.removed.remove(&key);
        match self.rows.get_mut(&key) {
            Some((found, _)) if *found == value => {}
            Some((found, mark)) => {
                *found = value;
                if *mark == Mark::Clean {
                    *mark = Mark::Changed;
                }
            }
            None => {
                let mark = if stored_before { Mark::Changed } else { Mark::New };
                self.rows.insert(key, (value, mark));
            }
        }
    }

    /// Takes a row away.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((_, mark)) = self.rows.remove(key)
            && mark != Mark::New
        {
            self.removed.insert(key.clone());
        }
    }

    /// Returns every row with its key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.iter().map(|(key, (value, _))| (key, value))
    }

    /// Returns every row within a range of keys.
    pub(crate) fn range(&self, keys: impl std::ops::RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        self.rows.range(keys).map(|(key, (value, _))| (key, value))
    }

    /// Returns the rows that a store has to write, in the order of their keys.
    pub(crate) fn dirty(&self) -> impl Iterator<Item = (&K, &V, Mark)> {
        self.rows
            .iter()
            .filter(|(_, (_, mark))| *mark != Mark::Clean)
            .map(|(key, (value, mark))| (key, value, *mark))
    }

    /// Returns the keys of rows that a store has to delete.
    pub(crate) fn removed(&self) -> impl Iterator<Item = &K> {
        self.removed.iter()
    }
}

impl<K: Ord, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            removed: BTreeSet::new(),
        }
    }
}

impl View {
    /// Returns the attempts of an effect, by their fence.
    pub(crate) fn attempts_of<'a>(&'a self, key: &EffectKey) -> impl Iterator<Item = (u32, &'a Attempt)> {
        let range = (key.clone(), 0)..=(key.clone(), u32::MAX);
        self.attempts
            .range(range)
            .map(|((_, fence), attempt)| (*fence, attempt))
    }
}

impl Attempt {
    /// Tells whether the lease has run out.
    pub(crate) fn expired(&self, now_ms: i64) -> bool {
        self.lease_until_unix_ms <= now_ms
    }

    /// Tells whether it counts as under way.
    pub(crate) fn live(&self, now_ms: i64) -> bool {
        matches!(self.state, State::Reserved | State::Sent) && !self.expired(now_ms)
    }

    /// Returns what it adds to each of its accounts.
    ///
    /// The one place that says so: an expired reservation still adds its bound, until a sweep releases it.
    pub(crate) fn contribution(&self) -> Amount {
        match self.state {
            State::Reserved | State::Sent | State::Unknown => Amount::of(&self.bound),
            State::Settled => self.spend.as_ref().map(Amount::of).unwrap_or_default(),
            State::Released => Amount::default(),
        }
    }

    /// Returns the ledger's record of it.
    pub(crate) fn record(&self, key: &EffectKey, fence: u32, effect: &Effect) -> AttemptRecord {
        AttemptRecord {
            key: key.clone(),
            fence,
            state: self.state,
            committed: effect.committed_fence == Some(fence),
            owner: self.owner.clone(),
            model: self.model.clone(),
            provider: self.provider.clone(),
            tenant: self.tenant.clone(),
            price_table: self.price_table.clone(),
            class: self.class,
            digest: effect.digest,
            upper_bound: self.bound,
            spend: self.spend,
            claimed_unix_ms: self.claimed_unix_ms,
            lease_until_unix_ms: self.lease_until_unix_ms,
            sent_unix_ms: self.sent_unix_ms,
            ended_unix_ms: self.ended_unix_ms,
            reason: self.reason.clone(),
            by_hand: self.by_hand,
        }
    }
}
