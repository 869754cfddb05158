//! A run's history as a file.
//!
//! The form is the Rust SDK's own (`WorkflowHistory::to_json`), because the file is for replay: the SDK's replayer reads
//! no other. It is not the proto3 JSON that the Temporal CLI and the Web UI give and take; `temporal workflow show
//! --output json` makes that one. Payloads are written as they are stored, so a history of an encrypted namespace stays
//! encrypted.

use temporalio_client::{WorkflowFetchHistoryOptions, WorkflowHistoryError};

use crate::{Client, run, server};

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run can't be read.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// The history can't be written as JSON.
    #[error("the history of workflow `{workflow_id}` cannot be written as JSON")]
    Json {
        /// The id.
        workflow_id: String,
        /// What is in the way.
        #[source]
        source: serde_json::Error,
    },
}

impl Client {
    /// Gives the history of one run as JSON for replay; without a run id that of the latest run.
    ///
    /// # Errors
    ///
    /// That there is no such run, or what is wrong with the server.
    pub async fn history(&self, workflow_id: &str, run_id: Option<&str>) -> Result<Vec<u8>, Error> {
        let history = self
            .untyped(workflow_id, run_id)
            .fetch_history(WorkflowFetchHistoryOptions::default());
        history.to_json().await.map_err(|error| match error {
            WorkflowHistoryError::Fetch(error) => {
                run::Error::from_sdk(error, workflow_id, self.namespace()).into()
            }
            WorkflowHistoryError::Json(source) => Error::Json {
                workflow_id: workflow_id.to_owned(),
                source,
            },
            other => run::Error::Server(server::Error::Other(Box::new(other))).into(),
        })
    }
}
