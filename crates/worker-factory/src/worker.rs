//! The worker's tuning, its identity, and its build from both.
//!
//! Every option maps to one of the SDK's, with the SDK's default unless a reason is written here. Two are
//! ours: the drain's hard deadline, because the SDK waits for its server without end when it shuts down,
//! and recycling, because the SDK keeps a cancellation handle for every activity it ever ran (about 0.3 kB
//! each): a process that drains and is started again after half a million activities never shows it.

pub mod activities;

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use temporalio_common::worker::{VersioningBehavior, WorkerDeploymentOptions, WorkerDeploymentVersion};
use temporalio_sdk::{
    WorkerOptions,
    runtime::{
        AutoscalingOptions, PollerBehavior,
        worker_tuner::{FixedSizeSlotSupplier, TunerHolder, WorkerTuner},
    },
};

use crate::{
    config::{Problem, Validate},
    connection::Deployment,
};

/// How a worker polls, works and stops; section `worker`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The task queue.
    #[schemars(length(min = 1), extend("x-unset" = "the binary's own queue"))]
    pub task_queue: Option<String>,
    /// Activities that run at once.
    #[schemars(range(min = 1))]
    pub max_concurrent_activities: usize,
    /// Local activities that run at once.
    #[schemars(range(min = 1))]
    pub max_concurrent_local_activities: usize,
    /// Workflow tasks that run at once; at least 2 when workflows are cached.
    #[schemars(range(min = 1))]
    pub max_concurrent_workflow_tasks: usize,
    /// Workflows kept in memory between their tasks; 0 replays each from its history every time.
    pub max_cached_workflows: usize,
    /// Polls for workflow tasks.
    pub workflow_pollers: Pollers,
    /// Polls for activity tasks.
    pub activity_pollers: Pollers,
    /// Activities that this worker starts in a second.
    #[schemars(extend("exclusiveMinimum" = 0, "x-unset" = "no limit", "examples" = [20]))]
    pub max_activities_per_second: Option<f64>,
    /// Activities that the whole queue starts in a second, kept by the server. All workers of a queue must agree, and it
    /// switches eager activities off.
    #[schemars(extend("exclusiveMinimum" = 0, "x-unset" = "no limit", "examples" = [50]))]
    pub task_queue_activities_per_second: Option<f64>,
    /// Activities handed back with a workflow task's completion, without a trip through the queue; 0 for
    /// none.
    pub max_eager_activities: usize,
    /// How long a workflow task waits for the worker that has its workflow cached, in seconds.
    #[schemars(range(min = 1))]
    pub sticky_queue_timeout_seconds: u32,
    /// How long heartbeats are held back, in seconds. The SDK's own 0.8 of the heartbeat timeout would let a
    /// cancellation reach a call only after as long.
    #[schemars(range(min = 1))]
    pub heartbeat_throttle_seconds: u32,
    /// How long running activities may go on after a stop was asked for, before they are cancelled, in
    /// seconds.
    pub graceful_shutdown_seconds: u32,
    /// When the process ends whatever is still running, in seconds after a stop was asked for; above
    /// `graceful_shutdown_seconds`. The pod's grace period has to be longer.
    #[schemars(range(min = 1))]
    pub drain_hard_deadline_seconds: u32,
    /// After how many activities the process drains and ends with code 0, to be started again; 0 for never.
    pub recycle_after_activities: u64,
    /// What becomes of a running workflow when another version is made current; counts only when a deployment name and
    /// build id are given.
    pub versioning: Versioning,
}

/// How many polls are out at once.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pollers {
    /// Whether the number is fixed or follows the server's advice.
    pub mode: PollerMode,
    /// The number, when fixed; at least 2 for workflow tasks while workflows are cached.
    #[schemars(range(min = 1))]
    pub count: usize,
    /// The least number, when scaled.
    #[schemars(range(min = 1))]
    pub minimum: usize,
    /// The number to begin with, when scaled; from `minimum` to `maximum`.
    #[schemars(range(min = 1))]
    pub initial: usize,
    /// The greatest number, when scaled.
    #[schemars(range(min = 1))]
    pub maximum: usize,
}

/// Who decides the number of polls.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PollerMode {
    /// Always `count`.
    #[default]
    Fixed,
    /// Between `minimum` and `maximum`, by the server's advice.
    Autoscaling,
}

/// What becomes of a running workflow when another version is made current.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Versioning {
    /// It ends on the version that it began on.
    #[default]
    Pinned,
    /// It goes on with the new version, which must replay it.
    AutoUpgrade,
}

impl Default for Pollers {
    fn default() -> Self {
        Self {
            mode: PollerMode::Fixed,
            count: 5,
            minimum: 1,
            initial: 5,
            maximum: 20,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            task_queue: None,
            max_concurrent_activities: 100,
            max_concurrent_local_activities: 100,
            max_concurrent_workflow_tasks: 100,
            max_cached_workflows: 1000,
            workflow_pollers: Pollers::default(),
            activity_pollers: Pollers::default(),
            max_activities_per_second: None,
            task_queue_activities_per_second: None,
            max_eager_activities: 3,
            sticky_queue_timeout_seconds: 10,
            heartbeat_throttle_seconds: 10,
            graceful_shutdown_seconds: 30,
            drain_hard_deadline_seconds: 60,
            recycle_after_activities: 500_000,
            versioning: Versioning::Pinned,
        }
    }
}

impl Pollers {
    fn behavior(&self) -> PollerBehavior {
        match self.mode {
            PollerMode::Fixed => PollerBehavior::SimpleMaximum(self.count),
            PollerMode::Autoscaling => PollerBehavior::Autoscaling(
                AutoscalingOptions::builder()
                    .minimum(self.minimum)
                    .initial(self.initial)
                    .maximum(self.maximum)
                    .build(),
            ),
        }
    }
}

impl Validate for Pollers {
    fn validate(&self) -> Vec<Problem> {
        match self.mode {
            PollerMode::Fixed if self.count == 0 => vec![Problem::new("count", "must be at least 1")],
            PollerMode::Autoscaling
                if self.minimum == 0 || self.initial < self.minimum || self.maximum < self.initial =>
            {
                vec![Problem::new(
                    "minimum",
                    "1 <= minimum <= initial <= maximum must hold",
                )]
            }
            PollerMode::Fixed | PollerMode::Autoscaling => Vec::new(),
        }
    }
}

impl Options {
    /// Returns how long running activities may go on.
    #[must_use]
    pub fn graceful_shutdown(&self) -> Duration {
        Duration::from_secs(self.graceful_shutdown_seconds.into())
    }

    /// Returns when the process ends whatever is left.
    #[must_use]
    pub fn hard_deadline(&self) -> Duration {
        Duration::from_secs(self.drain_hard_deadline_seconds.into())
    }

    /// Builds the SDK's options; workflows and activities are registered on the result.
    #[must_use]
    pub fn build(&self, queue: &str, identity: &str, deployment: Option<&Deployment>) -> WorkerOptions {
        let throttle = Duration::from_secs(self.heartbeat_throttle_seconds.into());
        WorkerOptions::new(self.task_queue.as_deref().unwrap_or(queue))
            .client_identity_override(identity)
            .max_cached_workflows(self.max_cached_workflows)
            .tuner(self.slots())
            .workflow_task_poller_behavior(self.workflow_pollers.behavior())
            .activity_task_poller_behavior(self.activity_pollers.behavior())
            .sticky_queue_schedule_to_start_timeout(Duration::from_secs(
                self.sticky_queue_timeout_seconds.into(),
            ))
            .max_heartbeat_throttle_interval(throttle)
            .default_heartbeat_throttle_interval(throttle)
            .maybe_max_worker_activities_per_second(self.max_activities_per_second)
            .maybe_max_task_queue_activities_per_second(self.task_queue_activities_per_second)
            .max_eager_activity_reservations_per_workflow_task(self.max_eager_activities)
            .graceful_shutdown_period(self.graceful_shutdown())
            // Without a build id the SDK takes a checksum of the executable, which it reads for that.
            .maybe_deployment_options(deployment.map(|deployment| self.deployment(deployment)))
            .build()
    }

    fn slots(&self) -> WorkerTuner {
        TunerHolder::builder()
            .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(self.max_concurrent_workflow_tasks))
            .activity_task_slot_supplier(FixedSizeSlotSupplier::new(self.max_concurrent_activities))
            .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(
                self.max_concurrent_local_activities,
            ))
            // Nexus handlers do not exist in this SDK; the supplier must.
            .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
            .build()
            .into()
    }

    fn deployment(&self, deployment: &Deployment) -> WorkerDeploymentOptions {
        let Some(name) = &deployment.name else {
            return WorkerDeploymentOptions::from_build_id(deployment.build_id.clone());
        };
        let version = WorkerDeploymentVersion::builder()
            .deployment_name(name.clone())
            .build_id(deployment.build_id.clone())
            .build();
        WorkerDeploymentOptions::new(version)
            .use_worker_versioning(true)
            .default_versioning_behavior(match self.versioning {
                Versioning::Pinned => VersioningBehavior::Pinned,
                Versioning::AutoUpgrade => VersioningBehavior::AutoUpgrade,
            })
            .build()
    }
}

impl Validate for Options {
    fn validate(&self) -> Vec<Problem> {
        let queue = self.task_queue.as_ref().is_none_or(|queue| !queue.is_empty());
        let drains = self.drain_hard_deadline_seconds > self.graceful_shutdown_seconds;
        let rules: [(bool, &str, &str); 5] = [
            (queue, "task_queue", "must not be empty"),
            (
                rate(self.max_activities_per_second),
                "max_activities_per_second",
                "must be above 0",
            ),
            (
                rate(self.task_queue_activities_per_second),
                "task_queue_activities_per_second",
                "must be above 0",
            ),
            (
                drains,
                "drain_hard_deadline_seconds",
                "must be above graceful_shutdown_seconds, or cancelled activities have no time to stop",
            ),
            (
                self.cache_has_two_polls(),
                "workflow_pollers.count",
                "must be at least 2 while max_cached_workflows is above 0",
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, _, _)| !holds);
        let mut problems: Vec<Problem> = broken
            .map(|(_, key, message)| Problem::new(key, message))
            .collect();
        problems.extend(self.too_small());
        for (section, pollers) in [
            ("workflow_pollers", &self.workflow_pollers),
            ("activity_pollers", &self.activity_pollers),
        ] {
            problems.extend(
                pollers
                    .validate()
                    .into_iter()
                    .map(|problem| problem.within(section)),
            );
        }
        problems
    }
}

impl Options {
    /// With a cache there is a queue of this worker's own beside the common one, and each needs a poll.
    fn cache_has_two_polls(&self) -> bool {
        let pollers = &self.workflow_pollers;
        self.max_cached_workflows == 0 || pollers.mode != PollerMode::Fixed || pollers.count != 1
    }

    fn too_small(&self) -> impl Iterator<Item = Problem> {
        let tasks = if self.max_cached_workflows > 0 { 2 } else { 1 };
        [
            ("max_concurrent_activities", self.max_concurrent_activities, 1),
            (
                "max_concurrent_local_activities",
                self.max_concurrent_local_activities,
                1,
            ),
            (
                "max_concurrent_workflow_tasks",
                self.max_concurrent_workflow_tasks,
                tasks,
            ),
            (
                "sticky_queue_timeout_seconds",
                self.sticky_queue_timeout_seconds as usize,
                1,
            ),
            (
                "heartbeat_throttle_seconds",
                self.heartbeat_throttle_seconds as usize,
                1,
            ),
        ]
        .into_iter()
        .filter(|(_, value, least)| value < least)
        .map(|(key, _, least)| Problem::new(key, format!("must be at least {least}")))
    }
}

fn rate(limit: Option<f64>) -> bool {
    limit.is_none_or(|limit| limit.is_finite() && limit > 0.0)
}

/// Returns an identity that no other process has: `service@host/pid/short id`.
///
/// Temporal counts pollers by identity. Host and process id are not enough in containers, where every
/// process may be number 1 and a host's name may come back.
#[must_use]
pub fn identity(service: &str) -> String {
    let host = gethostname::gethostname();
    // The keys of the standard library's hash maps are random, and this is all the chance that is needed.
    let chance = RandomState::new().build_hasher().finish() >> 32;
    format!(
        "{service}@{}/{}/{chance:08x}",
        host.to_string_lossy(),
        std::process::id(),
    )
}

#[cfg(test)]
mod tests;
