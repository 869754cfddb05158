//! Whether anybody works on a task queue.
//!
//! A run whose queue nobody polls is accepted by the server and then waits in silence, which is the commonest surprise
//! of a first day with Temporal. The server remembers who polled for some minutes, also after that process died, so a
//! poller counts only while its last call can still be the one it is waiting in.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use temporalio_client::{grpc::WorkflowService, tonic::Request};
use temporalio_common::protos::temporal::api::{
    enums::v1::TaskQueueType,
    taskqueue::v1::{PollerInfo, TaskQueue},
    workflowservice::v1::DescribeTaskQueueRequest,
};

use crate::{Client, server};

/// A poll waits up to 60 s; the rest is for clocks that differ.
const POLL_COUNTS_FOR: Duration = Duration::from_secs(90);

/// Who polls a task queue, by identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pollers {
    /// Workers that take workflow tasks.
    pub workflows: Vec<String>,
    /// Workers that take activities.
    pub activities: Vec<String>,
}

impl Pollers {
    /// Tells whether nobody polls at all.
    pub fn is_empty(&self) -> bool {
        self.workflows.is_empty() && self.activities.is_empty()
    }
}

impl Client {
    /// Tells who polls a task queue.
    ///
    /// # Errors
    ///
    /// What is wrong with the server.
    pub async fn pollers(&self, queue: &str) -> Result<Pollers, server::Error> {
        Ok(Pollers {
            workflows: self.pollers_of(queue, TaskQueueType::Workflow).await?,
            activities: self.pollers_of(queue, TaskQueueType::Activity).await?,
        })
    }

    async fn pollers_of(&self, queue: &str, kind: TaskQueueType) -> Result<Vec<String>, server::Error> {
        let mut service = self.connection().workflow_service();
        let request = DescribeTaskQueueRequest {
            namespace: self.namespace().to_owned(),
            task_queue: Some(TaskQueue {
                name: queue.to_owned(),
                ..TaskQueue::default()
            }),
            task_queue_type: kind.into(),
            ..DescribeTaskQueueRequest::default()
        };
        let answer = WorkflowService::describe_task_queue(&mut *service, Request::new(request)).await?;
        Ok(alive(answer.into_inner().pollers, SystemTime::now()))
    }
}

fn alive(pollers: Vec<PollerInfo>, now: SystemTime) -> Vec<String> {
    let gone = |poller: &PollerInfo| {
        let last = poller
            .last_access_time
            .and_then(|time| SystemTime::try_from(time).ok());
        // A time ahead of ours is a clock that differs, not a worker that is gone.
        last.is_some_and(|last| now.duration_since(last).is_ok_and(|age| age > POLL_COUNTS_FOR))
    };
    let mut names: Vec<String> = pollers
        .into_iter()
        .filter(|poller| !gone(poller))
        .map(|poller| poller.identity)
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_stopped_polling_does_not_count() {
        let now = SystemTime::now();
        let poller = |identity: &str, at: SystemTime| PollerInfo {
            identity: identity.into(),
            last_access_time: Some(at.into()),
            ..PollerInfo::default()
        };
        let names = alive(
            vec![
                poller("gone", now - Duration::from_secs(91)),
                poller("idle", now - Duration::from_secs(59)),
                poller("idle", now),
                poller("ahead", now + Duration::from_secs(5)),
            ],
            now,
        );
        assert_eq!(names, ["ahead", "idle"]);
    }
}
