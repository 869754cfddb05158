//! Reads the three accounts.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use effect_journal::{AttemptFilter, AttemptRecord, Journal};
use temporal_client::{Client, connection, listing};
use temporalio_common::protos::temporal::api::history::v1::History;

use crate::{
    history::{self, Run},
    verdict::Evidence,
};

/// The most runs whose histories are read from a server.
const MOST_RUNS: usize = 100_000;

/// Where the accounts are.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The provider's logs.
    pub bills: Vec<PathBuf>,
    /// The journal.
    pub journal: effect_journal::Options,
    /// The server whose histories are read.
    pub server: Option<connection::Options>,
    /// Histories in files, as `pipelinectl history export` writes them.
    pub histories: Vec<PathBuf>,
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bill can't be read.
    #[error("the bill {} can't be read", path.display())]
    Bill {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<chaos_provider::Error>,
    },
    /// The journal can't be read.
    #[error("the journal can't be read")]
    Journal(#[from] effect_journal::Error),
    /// A file can't be read.
    #[error("{} can't be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no history.
    #[error("{place} is no history as `pipelinectl history export` writes it")]
    History {
        /// The file, or the run.
        place: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The server can't be reached.
    #[error("the server can't be reached")]
    Connection(#[from] Box<connection::Error>),
    /// The server's runs can't be listed.
    #[error("the server's runs can't be listed")]
    List(#[from] Box<listing::Error>),
    /// A run's history can't be had.
    #[error("the history of {workflow_id} can't be had")]
    Fetch {
        /// The run.
        workflow_id: String,
        /// Why.
        #[source]
        source: Box<temporal_client::history::Error>,
    },
}

/// Reads everything.
///
/// # Errors
///
/// The first account that can't be read.
#[expect(
    clippy::implicit_hasher,
    reason = "it is handed to a function that takes the standard one"
)]
pub async fn evidence(sources: &Sources, env: &HashMap<String, String>) -> Result<Evidence, Error> {
    let mut evidence = Evidence::default();
    for path in &sources.bills {
        let calls = chaos_provider::read_log(path).map_err(|source| Error::Bill {
            path: path.clone(),
            source: Box::new(source),
        })?;
        evidence.calls.extend(calls);
    }
    let journal = effect_journal::open(&sources.journal).await?;
    evidence.attempts = attempts(&journal).await?;
    for path in &sources.histories {
        evidence.runs.push(from_file(path)?);
    }
    if let Some(server) = &sources.server {
        let client = Client::connect(server, env).await.map_err(Box::new)?;
        evidence.runs.extend(runs_of(&client).await?);
    }
    Ok(evidence)
}

/// Reads the whole ledger of a journal, in the order of key and fence.
///
/// # Errors
///
/// That the store can't be read.
pub async fn attempts(journal: &Arc<dyn Journal>) -> Result<Vec<AttemptRecord>, Error> {
    let mut attempts: Vec<AttemptRecord> = Vec::new();
    loop {
        let filter = AttemptFilter {
            after: attempts.last().map(|last| (last.key.clone(), last.fence)),
            limit: AttemptFilter::MAX_LIMIT,
            ..AttemptFilter::default()
        };
        let page = journal.attempts(filter).await?;
        if page.is_empty() {
            return Ok(attempts);
        }
        attempts.extend(page);
    }
}

/// Reads the histories of all runs in a client's namespace.
///
/// # Errors
///
/// That they can't be listed, or one of them can't be had.
pub async fn runs_of(client: &Client) -> Result<Vec<Run>, Error> {
    let filter = listing::Filter {
        children: true,
        ..listing::Filter::default()
    };
    let mut runs = Vec::new();
    for listed in client.list(&filter, MOST_RUNS).await.map_err(Box::new)? {
        let json = client.history(&listed.id, Some(&listed.run_id)).await;
        let json = json.map_err(|source| Error::Fetch {
            workflow_id: listed.id.clone(),
            source: Box::new(source),
        })?;
        runs.push(parse(&listed.id, &json)?);
    }
    Ok(runs)
}

fn from_file(path: &Path) -> Result<Run, Error> {
    let json = fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    parse(&path.display().to_string(), &json)
}

fn parse(place: &str, json: &[u8]) -> Result<Run, Error> {
    let history: History = serde_json::from_slice(json).map_err(|source| Error::History {
        place: place.to_owned(),
        source,
    })?;
    Ok(history::read(&history))
}
