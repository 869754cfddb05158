//! Which attempt of the ledger is which call on the bill.
//!
//! Neither side knows the other's name for a call, so the pairs are worked out: first which requests belong to which
//! effects, then, among those, which call is which attempt. The second is a maximum matching and not a scan in order of
//! time: a worker that stood still may send its request after the one that was sent in its stead.

use std::collections::{BTreeMap, BTreeSet};

use chaos_provider::{Outcome, Record};
use effect_journal::{AttemptRecord, Spend, State};

use crate::history::Run;

/// How far the clocks of the store and the provider may be apart, in milliseconds.
const SLACK_MS: i64 = 2_000;

/// The pairs that were found, by place in the slices that were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// The attempt of each call.
    pub(crate) attempt_of: Vec<Option<usize>>,
    /// The call of each attempt.
    pub(crate) call_of: Vec<Option<usize>>,
}

/// Finds the pairs.
pub(crate) fn pair(calls: &[Record], attempts: &[AttemptRecord], runs: &[Run]) -> Pairs {
    let groups = Groups::of(calls, attempts, runs);
    let mut search = Search {
        calls,
        attempts,
        groups: &groups,
        edges: vec![Vec::new(); attempts.len()],
        pairs: Pairs {
            attempt_of: vec![None; calls.len()],
            call_of: vec![None; attempts.len()],
        },
    };
    for fit in Fit::ALL {
        search.pass(fit);
    }
    search.pairs
}

/// Tells whether a call was answered to its end.
pub(crate) fn is_answered(call: &Record) -> bool {
    call.ending.as_ref().is_some_and(|ending| {
        ending.outcome == Outcome::Sent && ending.status.is_none_or(|status| status < 400)
    })
}

/// Tells whether the provider said that it does nothing for the call.
pub(crate) fn is_refused(call: &Record) -> bool {
    call.ending
        .as_ref()
        .is_some_and(|ending| ending.status.is_some_and(|status| status >= 400))
}

/// What a call costs by the bill.
pub(crate) fn billed(call: &Record) -> Spend {
    let bill = call.ending.as_ref().map(|ending| ending.bill).unwrap_or_default();
    Spend {
        input_tokens: bill.prompt_tokens.into(),
        cached_input_tokens: bill.cached_tokens.into(),
        cache_write_input_tokens: bill.cache_write_tokens.into(),
        output_tokens: bill.completion_tokens.into(),
        reasoning_tokens: bill.reasoning_tokens.into(),
        cost_micros: i64::try_from(bill.cost_micros).unwrap_or(i64::MAX),
    }
}

/// How well a call has to suit an attempt; what suits best is taken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Answered, with the figures that were settled.
    Settled,
    /// Answered, with other figures: worth telling, and still the same call.
    SettledOtherwise,
    /// Refused, and released for it.
    Released,
    /// Released, whatever became of the call.
    ReleasedOtherwise,
    /// Nobody knows what became of it.
    Unknown,
}

impl Fit {
    const ALL: [Self; 5] = [
        Self::Settled,
        Self::SettledOtherwise,
        Self::Released,
        Self::ReleasedOtherwise,
        Self::Unknown,
    ];

    fn is_for(self, attempt: &AttemptRecord) -> bool {
        let of = |state| attempt.state == state && !attempt.by_hand;
        match self {
            Self::Settled | Self::SettledOtherwise => of(State::Settled),
            Self::Released | Self::ReleasedOtherwise => of(State::Released),
            Self::Unknown => attempt.by_hand || matches!(attempt.state, State::Unknown | State::Sent),
        }
    }

    fn suits(self, attempt: &AttemptRecord, call: &Record) -> bool {
        match self {
            Self::Settled => is_answered(call) && attempt.spend == Some(billed(call)),
            Self::SettledOtherwise => is_answered(call),
            Self::Released => is_refused(call),
            Self::ReleasedOtherwise | Self::Unknown => true,
        }
    }
}

/// Which calls and attempts can be one another at all: those of the same group.
struct Groups {
    of_call: Vec<usize>,
    of_attempt: Vec<usize>,
}

/// What a group is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Node<'a> {
    /// What nothing names.
    Stray,
    Key(&'a str),
    /// The digest of a request's body.
    Body(&'a str),
}

impl Groups {
    fn of(calls: &[Record], attempts: &[AttemptRecord], runs: &[Run]) -> Self {
        let told = runs.iter().flat_map(|run| &run.told);
        // Providers have been seen to give one id twice, so a response may have several effects.
        let mut keys_of_response: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for told in told {
            if let Some(id) = &told.response_id {
                keys_of_response.entry(id).or_default().insert(&told.key);
            }
        }
        let mut links: Vec<(Node<'_>, Node<'_>)> = Vec::new();
        let mut named: BTreeSet<Node<'_>> = BTreeSet::new();
        for call in calls {
            let by_response = keys_of_response.get(call.response_id.as_str());
            let by_header = call.key.as_deref();
            let keys = by_response
                .into_iter()
                .flatten()
                .copied()
                .filter(|_| by_header.is_none());
            for key in by_header.into_iter().chain(keys) {
                let (key, body) = (Node::Key(key), Node::Body(&call.body_sha256));
                named.extend([key.clone(), body.clone()]);
                links.push((key, body));
            }
        }
        let of_call = calls.iter().map(|call| Node::Body(&call.body_sha256));
        let of_attempt = attempts.iter().map(|attempt| Node::Key(attempt.key.as_str()));
        let nodes = of_call.chain(of_attempt);
        links.extend(
            nodes
                .filter(|node| !named.contains(node))
                .map(|node| (node, Node::Stray)),
        );
        let roots = roots(&links);
        let group = |node: Node<'_>| roots.get(&node).copied().unwrap_or_default();
        Self {
            of_call: calls
                .iter()
                .map(|call| group(Node::Body(&call.body_sha256)))
                .collect(),
            of_attempt: attempts
                .iter()
                .map(|attempt| group(Node::Key(attempt.key.as_str())))
                .collect(),
        }
    }
}

/// Numbers the connected parts of a graph.
fn roots<'a>(links: &[(Node<'a>, Node<'a>)]) -> BTreeMap<Node<'a>, usize> {
    let mut neighbours: BTreeMap<&Node<'a>, Vec<&Node<'a>>> = BTreeMap::new();
    for (one, other) in links {
        neighbours.entry(one).or_default().push(other);
        neighbours.entry(other).or_default().push(one);
    }
    let mut roots = BTreeMap::new();
    for (number, start) in neighbours.keys().enumerate() {
        let mut open = vec![*start];
        while let Some(node) = open.pop() {
            if !roots.contains_key(node) {
                roots.insert(node.clone(), number);
                open.extend(neighbours.get(node).into_iter().flatten().copied());
            }
        }
    }
    roots
}

struct Search<'a> {
    calls: &'a [Record],
    attempts: &'a [AttemptRecord],
    groups: &'a Groups,
    /// The calls that each attempt can be, the likeliest first.
    edges: Vec<Vec<usize>>,
    pairs: Pairs,
}

impl Search<'_> {
    /// Finds calls for the attempts that such a fit is for; what was found stays found.
    fn pass(&mut self, fit: Fit) {
        let mut in_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (call, group) in self.groups.of_call.iter().enumerate() {
            in_group.entry(*group).or_default().push(call);
        }
        for (place, attempt) in self.attempts.iter().enumerate() {
            let Some(sent) = attempt.sent_unix_ms else {
                continue;
            };
            if !fit.is_for(attempt) || self.pairs.call_of[place].is_some() {
                continue;
            }
            let candidates = in_group.get(&self.groups.of_attempt[place]);
            let mut calls: Vec<usize> = candidates
                .into_iter()
                .flatten()
                .copied()
                .filter(|call| {
                    possible(attempt, &self.calls[*call]) && fit.suits(attempt, &self.calls[*call])
                })
                .collect();
            calls.sort_by_key(|call| received(&self.calls[*call]).abs_diff(sent));
            self.edges[place] = calls;
            self.augment(place, &mut BTreeSet::new());
        }
    }

    /// Finds a call for an attempt, moving others to another one where that makes room.
    fn augment(&mut self, attempt: usize, seen: &mut BTreeSet<usize>) -> bool {
        for call in self.edges[attempt].clone() {
            if !seen.insert(call) {
                continue;
            }
            let free = match self.pairs.attempt_of[call] {
                None => true,
                Some(holder) => self.augment(holder, seen),
            };
            if free {
                self.pairs.attempt_of[call] = Some(attempt);
                self.pairs.call_of[attempt] = Some(call);
                return true;
            }
        }
        false
    }
}

fn received(call: &Record) -> i64 {
    i64::try_from(call.received_unix_ms).unwrap_or(i64::MAX)
}

/// Tells whether model and times allow a call to be an attempt's.
fn possible(attempt: &AttemptRecord, call: &Record) -> bool {
    let Some(sent) = attempt.sent_unix_ms else {
        return false;
    };
    let known = matches!(attempt.state, State::Settled | State::Released) && !attempt.by_hand;
    let end = attempt.ended_unix_ms.filter(|_| known).unwrap_or(i64::MAX);
    let received = received(call);
    attempt.model == call.model
        && received.saturating_add(SLACK_MS) >= sent
        && received <= end.saturating_add(SLACK_MS)
}

#[cfg(test)]
mod tests;
