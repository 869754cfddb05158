//! Which runs there are, by the server's visibility store.
//!
//! The query is built from typed filters instead of taken as text, because visibility syntax fails at run time and a
//! tenant's name must never become syntax. Values are held to letters, digits and a few signs; nothing needs escaping.
//!
//! A run shows up here a moment after it started, because the server indexes in the background.

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use temporalio_client::{WorkflowExecution, WorkflowListOptions, errors::ClientError};
use workflow_types::{names::search_attribute, problem::Problems};

use crate::{
    Client, Kind,
    description::{Attributes, parent_of, status_word, text},
    server,
};

/// Which runs are wanted; an empty filter means all runs of our pipelines that no other workflow started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this pipeline.
    pub pipeline: Option<Kind>,
    /// Only runs in this state.
    pub status: Option<Status>,
    /// Only this tenant's.
    pub tenant: Option<String>,
    /// Only runs that wait for this.
    pub awaiting: Option<Awaiting>,
    /// Also the runs that a batch started for its items.
    pub children: bool,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has not ended.
    Running,
    /// It gave its output.
    Completed,
    /// It failed.
    Failed,
    /// It was cancelled and cleaned up.
    Canceled,
    /// It was ended from outside.
    Terminated,
    /// It reached its execution timeout.
    TimedOut,
}

/// What a run can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaiting {
    /// Room in a budget.
    Budget,
    /// A person's decision about its answer.
    Review,
}

impl Awaiting {
    const fn wire(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Review => "review",
        }
    }
}

impl Status {
    const fn wire(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
            Self::Terminated => "Terminated",
            Self::TimedOut => "TimedOut",
        }
    }
}

/// One run in a list. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The workflow id.
    pub id: String,
    /// The run id.
    pub run_id: String,
    /// The workflow type.
    pub workflow_type: String,
    /// The same words as in [`Description`](crate::description::Description).
    pub status: String,
    /// When it started.
    pub started: Option<String>,
    /// When it ended.
    pub closed: Option<String>,
    /// The workflow that started it, when it is a child.
    pub parent: Option<String>,
    /// The search attributes of ours.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A filter's value can't be used.
    #[error("the filter cannot be used: {0}")]
    Filter(Problems),
    /// The server gave no usable answer.
    #[error(transparent)]
    Server(#[from] server::Error),
}

impl Filter {
    /// Gives the visibility query.
    ///
    /// # Errors
    ///
    /// The values that can't be part of one.
    pub fn query(&self) -> Result<String, Error> {
        let types: Vec<String> = match self.pipeline {
            Some(kind) => vec![quoted(kind.workflow_type())],
            None => Kind::ALL
                .iter()
                .map(|kind| quoted(kind.workflow_type()))
                .collect(),
        };
        let mut parts = vec![format!("WorkflowType IN ({})", types.join(", "))];
        if let Some(status) = self.status {
            parts.push(format!("ExecutionStatus = {}", quoted(status.wire())));
        }
        if let Some(tenant) = &self.tenant {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if tenant.is_empty() || !tenant.chars().all(plain) {
                return Err(Error::Filter(Problems::one(
                    "tenant",
                    "must be letters, digits or ._-",
                )));
            }
            parts.push(format!("{} = {}", search_attribute::TENANT, quoted(tenant)));
        }
        if let Some(awaiting) = self.awaiting {
            parts.push(format!(
                "{} = {}",
                search_attribute::AWAITING,
                quoted(awaiting.wire())
            ));
        }
        if !self.children {
            parts.push("ParentWorkflowId IS NULL".to_owned());
        }
        Ok(parts.join(" AND "))
    }
}

impl Client {
    /// Lists runs, the latest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// A filter that can't be used, or what is wrong with the server.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Summary>, Error> {
        let options = WorkflowListOptions::builder().limit(limit).build();
        let found = self
            .sdk()
            .list_workflows(filter.query()?, options)
            .map(|item| item.map(|execution| Summary::of(&execution)));
        found.try_collect().await.map_err(|error| match error {
            ClientError::Rpc(status) => server::Error::from(status).into(),
            ClientError::PayloadConversion(error) => server::Error::from(error).into(),
            other => server::Error::Other(Box::new(other)).into(),
        })
    }
}

impl Summary {
    fn of(execution: &WorkflowExecution) -> Self {
        let raw = execution.raw();
        Self {
            id: execution.id().to_owned(),
            run_id: execution.run_id().to_owned(),
            workflow_type: execution.workflow_type().to_owned(),
            status: status_word(execution.status()).to_owned(),
            started: text(raw.start_time.as_ref()),
            closed: text(raw.close_time.as_ref()),
            parent: parent_of(raw),
            attributes: Attributes::of(&execution.search_attributes()),
        }
    }
}

fn quoted(value: &str) -> String {
    format!("'{value}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_a_query() {
        assert_eq!(
            Filter::default().query().unwrap(),
            "WorkflowType IN ('LlmPipelineWorkflow', 'LlmBatchWorkflow') AND ParentWorkflowId IS NULL"
        );
        let filter = Filter {
            pipeline: Some(Kind::LlmBatch),
            status: Some(Status::TimedOut),
            tenant: Some("acme-1".into()),
            awaiting: Some(Awaiting::Review),
            children: true,
        };
        assert_eq!(
            filter.query().unwrap(),
            "WorkflowType IN ('LlmBatchWorkflow') AND ExecutionStatus = 'TimedOut' AND AiTenant = 'acme-1' \
             AND AiAwaiting = 'review'"
        );
    }

    #[test]
    fn a_tenant_never_becomes_syntax() {
        for tenant in ["", "a' OR 'b", "a b"] {
            let filter = Filter {
                tenant: Some(tenant.into()),
                ..Filter::default()
            };
            assert!(matches!(filter.query(), Err(Error::Filter(_))), "{tenant:?}");
        }
    }
}
