//! The one vocabulary of log fields, span fields and metric names of a worker process.
//!
//! Fields are dotted and follow Temporal's nouns. They are constants, not literals at the place of use,
//! because a dashboard or a log query that is right for one crate has to be right for all of them.
//! `tracing` takes field names as syntax (`{ FIELD } = value`), so a constant can be used there directly.
//!
//! No field holds the text of a prompt, of a document or of a model's answer.

/// The workflow id, as Temporal knows it.
pub const WORKFLOW_ID: &str = "temporal.workflow.id";
/// The run id of one execution of a workflow.
pub const RUN_ID: &str = "temporal.workflow.run_id";
/// The workflow type's wire name.
pub const WORKFLOW_TYPE: &str = "temporal.workflow.type";
/// The activity id within its workflow.
pub const ACTIVITY_ID: &str = "temporal.activity.id";
/// The activity type's wire name.
pub const ACTIVITY_TYPE: &str = "temporal.activity.type";
/// The attempt of an activity, from 1.
pub const ATTEMPT: &str = "temporal.activity.attempt";
/// The task queue.
pub const TASK_QUEUE: &str = "temporal.task_queue";
/// The namespace.
pub const NAMESPACE: &str = "temporal.namespace";
/// The server's address.
pub const ADDRESS: &str = "temporal.address";
/// The worker's identity, as Temporal shows it.
pub const IDENTITY: &str = "temporal.worker.identity";
/// The build id of the worker's deployment version.
pub const BUILD_ID: &str = "temporal.worker.build_id";
/// The binary's name.
pub const SERVICE: &str = "service.name";
/// The binary's version.
pub const SERVICE_VERSION: &str = "service.version";
/// An error, with its causes.
pub const ERROR: &str = "error.message";
/// The code of a failure, from the closed list of its contract.
pub const ERROR_CODE: &str = "error.code";
/// Whether Temporal may try again.
pub const ERROR_RETRYABLE: &str = "error.retryable";
/// The least time until the next attempt, in milliseconds, where the failure says one.
pub const RETRY_DELAY_MS: &str = "error.retry_delay_ms";
/// How long something took, in milliseconds.
pub const DURATION_MS: &str = "duration_ms";
/// Where in the code a panic happened.
pub const PANIC_PLACE: &str = "panic.location";
/// Why a drain began.
pub const DRAIN_REASON: &str = "drain.reason";
/// How a drain ended.
pub const DRAIN_OUTCOME: &str = "drain.outcome";
/// How long a drain took, in milliseconds.
pub const DRAIN_MS: &str = "drain.duration_ms";
/// Activities still running.
pub const ACTIVITIES_RUNNING: &str = "worker.activities.running";
/// Activities started since the process began.
pub const ACTIVITIES_STARTED: &str = "worker.activities.started";
/// The name of a readiness check.
pub const CHECK: &str = "health.check";
/// The address a listener is bound to.
pub const LISTEN: &str = "listen.address";

/// Counter: activities started since the process began.
pub const METRIC_ACTIVITIES_STARTED: &str = "worker_activities_started_total";
/// Gauge: activities running now.
pub const METRIC_ACTIVITIES_RUNNING: &str = "worker_activities_running";
/// Gauge: 1 while the process is ready, 0 otherwise.
pub const METRIC_READY: &str = "worker_ready";
/// Gauge: 1 from the moment a drain begins.
pub const METRIC_DRAINING: &str = "worker_draining";
/// Gauge: seconds since the workflow thread last made progress.
pub const METRIC_WORKFLOW_THREAD_LAG: &str = "worker_workflow_thread_lag_seconds";

/// The fields of spans whose texts are written: the ids of this vocabulary, and the names that the SDK has for its own.
///
/// No other text of any span reaches a line; see `telemetry`.
pub const SPAN_FIELDS: &[&str] = &[
    WORKFLOW_ID,
    RUN_ID,
    WORKFLOW_TYPE,
    ACTIVITY_ID,
    ACTIVITY_TYPE,
    TASK_QUEUE,
    NAMESPACE,
    "workflow_id",
    "run_id",
    "workflow_type",
    "activity_id",
    "activity_type",
    "attempt",
    "task_queue",
    "namespace",
    "temporalWorkflowID",
    "temporalRunID",
    "temporalActivityID",
];
