//! The client: one connection, one namespace.
//!
//! It holds no state of its own, so it is cheap to clone and every method can be called from several tasks at once.
//! The methods live in the modules of their subject; this one only connects.

use std::collections::HashMap;

use temporalio_client::{ClientOptions, Connection, UntypedWorkflow, WorkflowExecutionInfo, WorkflowHandle};

use crate::connection::{self, Options, Target};

/// A connection to one namespace of a Temporal server.
#[derive(Clone)]
pub struct Client {
    sdk: temporalio_client::Client,
    address: String,
    namespace: String,
}

impl Client {
    /// Connects as the options and the given environment (`TEMPORAL_*`) say.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings, or what is in the way, with what to do.
    pub async fn connect(
        options: &Options,
        env: &HashMap<String, String>,
    ) -> Result<Self, connection::Error> {
        let target = Target::resolve(options, env)?;
        Self::connect_to(&target).await
    }

    /// Connects to a target that was resolved before.
    ///
    /// # Errors
    ///
    /// What is in the way, with what to do.
    pub async fn connect_to(target: &Target) -> Result<Self, connection::Error> {
        let connection = target.connect().await?;
        let options = ClientOptions::new(target.namespace()).build();
        let sdk = temporalio_client::Client::new(connection, options).map_err(|error| {
            connection::Error::Refused {
                address: target.address(),
                reason: error.to_string(),
            }
        })?;
        Ok(Self {
            sdk,
            address: target.address(),
            namespace: target.namespace().to_owned(),
        })
    }

    /// Gives the server's address, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Gives the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Gives the SDK's client, for what this crate does not wrap.
    pub fn sdk(&self) -> &temporalio_client::Client {
        &self.sdk
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.sdk.connection()
    }

    /// Gives a handle to a workflow of any type; without a run id, to its latest run.
    pub(crate) fn untyped(
        &self,
        workflow_id: &str,
        run_id: Option<&str>,
    ) -> WorkflowHandle<temporalio_client::Client, UntypedWorkflow> {
        WorkflowExecutionInfo::builder()
            .namespace(self.namespace.clone())
            .workflow_id(workflow_id)
            .maybe_run_id(run_id.map(str::to_owned))
            .build()
            .bind_untyped(self.sdk.clone())
    }
}
