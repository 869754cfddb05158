//! The journal as a test reads it, and the audit that holds it against the provider's own account.
//!
//! The file is opened through the journal's own crate and by nothing else: a plain descriptor that is closed in a process
//! which has the database open would drop SQLite's locks.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::ensure;
use chaos_provider::{Outcome, Record};
use effect_journal::{AttemptFilter, AttemptRecord, Journal, Scope, State, Totals};

/// Every attempt in a journal at one moment, and their sums.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The attempts in the order of key and fence.
    pub attempts: Vec<AttemptRecord>,
    /// Their sums.
    pub totals: Totals,
}

impl Ledger {
    pub(crate) async fn read(journal: &Arc<dyn Journal>) -> anyhow::Result<Self> {
        let filter = AttemptFilter {
            limit: AttemptFilter::MAX_LIMIT,
            ..AttemptFilter::default()
        };
        Ok(Self {
            attempts: journal.attempts(filter).await?,
            totals: journal.totals(&Scope::all()).await?,
        })
    }

    /// Gives the states of the attempts of one workflow, in their order.
    pub fn states(&self, workflow_id: &str) -> Vec<State> {
        let part = format!("/{workflow_id}/");
        let of = |attempt: &&AttemptRecord| attempt.key.as_str().contains(&part);
        self.attempts
            .iter()
            .filter(of)
            .map(|attempt| attempt.state)
            .collect()
    }

    /// Counts the attempts in a state.
    pub fn count(&self, state: State) -> usize {
        self.attempts
            .iter()
            .filter(|attempt| attempt.state == state)
            .count()
    }

    /// Gives the keys with the number of results that each has.
    pub fn results(&self) -> BTreeMap<String, usize> {
        let mut results = BTreeMap::new();
        for attempt in &self.attempts {
            *results.entry(attempt.key.to_string()).or_default() += usize::from(attempt.committed);
        }
        results
    }

    /// Holds the ledger against what the provider saw; every effect must have asked something of its own.
    ///
    /// Every key has exactly one result; a settled attempt is one that the provider answered to the end; no call is
    /// missing from the ledger; and an attempt that the provider did not see is one that the ledger calls unknown.
    ///
    /// # Errors
    ///
    /// The first difference, with both sides.
    pub fn audit(&self, calls: &[Record]) -> anyhow::Result<()> {
        for (key, results) in self.results() {
            ensure!(results == 1, "{key} has {results} results: {:#?}", self.attempts);
        }
        let answered = calls.iter().filter(|call| was_sent(call)).count();
        let settled = self.count(State::Settled);
        ensure!(
            settled <= answered,
            "{settled} settled, {answered} answered: {calls:#?}"
        );
        let sent: Vec<&AttemptRecord> = self
            .attempts
            .iter()
            .filter(|attempt| attempt.sent_unix_ms.is_some())
            .collect();
        let certain = sent
            .iter()
            .filter(|attempt| attempt.state != State::Unknown)
            .count();
        ensure!(
            (certain..=sent.len()).contains(&calls.len()),
            "the provider saw {} calls, the ledger has {certain} that ended and {} in all",
            calls.len(),
            sent.len()
        );
        let by_key = counts(sent.iter().map(|attempt| attempt.key.to_string()));
        let by_request = counts(calls.iter().map(|call| call.body_sha256.clone()));
        ensure!(
            by_request.len() <= by_key.len()
                && by_request.iter().zip(&by_key).all(|(seen, known)| seen <= known),
            "calls for each request {by_request:?}, attempts for each key {by_key:?}"
        );
        Ok(())
    }
}

fn was_sent(call: &Record) -> bool {
    call.ending
        .as_ref()
        .is_some_and(|ending| ending.outcome == Outcome::Sent)
}

/// Counts equal texts, the most frequent first.
fn counts(texts: impl Iterator<Item = String>) -> Vec<usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        *found.entry(text).or_default() += 1;
    }
    let mut counts: Vec<usize> = found.into_values().collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    counts
}

#[cfg(test)]
mod tests;
