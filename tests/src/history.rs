//! What Temporal's history says of a run's activities.
//!
//! Read as events and not through the product's own description of a run, so that the two can disagree.

use std::collections::BTreeMap;

use temporal_client::Client;
use temporalio_client::{
    UntypedWorkflow, WorkflowExecutionInfo, WorkflowFetchHistoryOptions, WorkflowHandle,
};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

/// The attempt with which each activity of a run last started, by the activity's type and in the run's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempts(pub Vec<(String, i32)>);

impl Attempts {
    pub(crate) async fn read(client: &Client, workflow_id: &str) -> anyhow::Result<Self> {
        let handle: WorkflowHandle<_, UntypedWorkflow> = WorkflowExecutionInfo::builder()
            .namespace(client.namespace().to_owned())
            .workflow_id(workflow_id)
            .build()
            .bind_untyped(client.sdk().clone());
        let events = handle
            .fetch_history(WorkflowFetchHistoryOptions::default())
            .into_events()
            .await?;
        let mut scheduled = BTreeMap::new();
        let mut started = Vec::new();
        for event in events {
            if let Some(Attributes::ActivityTaskScheduledEventAttributes(activity)) = &event.attributes {
                let name = activity.activity_type.clone().unwrap_or_default().name;
                scheduled.insert(event.event_id, name);
            }
            if let Some(Attributes::ActivityTaskStartedEventAttributes(start)) = &event.attributes {
                let name = scheduled.get(&start.scheduled_event_id).cloned();
                started.push((name.unwrap_or_default(), start.attempt));
            }
        }
        Ok(Self(started))
    }

    /// Gives the attempts of one activity type, in the run's order.
    pub fn of(&self, activity: &str) -> Vec<i32> {
        let named = self.0.iter().filter(|(name, _)| name == activity);
        named.map(|(_, attempt)| *attempt).collect()
    }
}
