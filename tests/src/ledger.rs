//! The journal as a test reads it.
//!
//! The file is opened through the journal's own crate and by nothing else: a plain descriptor that is closed in a process
//! which has the database open would drop SQLite's locks.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::ensure;
use auditor::Evidence;
use chaos_provider::Record;
use effect_journal::{AttemptRecord, Journal, Scope, State, Totals};

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
        Ok(Self {
            attempts: auditor::attempts(journal).await?,
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
}

/// Holds the journal against the provider's bill, without any history; every effect has to have a result.
pub(crate) async fn agree(calls: Vec<Record>, journal: &Arc<dyn Journal>) -> anyhow::Result<()> {
    let verdict = auditor::audit(&Evidence {
        calls,
        attempts: auditor::attempts(journal).await?,
        every_key_answered: true,
        ..Evidence::default()
    });
    ensure!(verdict.holds, "{}", auditor::table(&verdict));
    Ok(())
}
