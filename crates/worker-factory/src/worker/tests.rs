//! The mapping to the SDK's options and what is refused.

use std::collections::BTreeSet;

use temporalio_common::worker::VersioningBehavior;
use temporalio_sdk::runtime::PollerBehavior;

use super::{Options, PollerMode, Pollers, Versioning, identity};
use crate::{config::Validate as _, connection::Deployment};

#[test]
fn identities_never_repeat_and_name_the_service() {
    let identities: BTreeSet<String> = (0..1000).map(|_| identity("ai-worker")).collect();
    assert_eq!(identities.len(), 1000);
    let pid = format!("/{}/", std::process::id());
    assert!(
        identities
            .iter()
            .all(|identity| identity.starts_with("ai-worker@") && identity.contains(&pid))
    );
}

#[test]
fn the_defaults_are_valid_and_hold_heartbeats_back_for_ten_seconds() {
    let options = Options::default();
    assert!(options.validate().is_empty());
    let built = options.build("queue", "me", None);
    assert_eq!(built.task_queue, "queue");
    assert_eq!(built.client_identity_override.as_deref(), Some("me"));
    assert_eq!(built.max_heartbeat_throttle_interval.as_secs(), 10);
    assert_eq!(built.default_heartbeat_throttle_interval.as_secs(), 10);
    assert_eq!(built.graceful_shutdown_period.unwrap().as_secs(), 30);
    assert!(!built.deployment_options.use_worker_versioning);
}

#[test]
fn a_queue_pollers_and_limits_can_be_set() {
    let options = Options {
        task_queue: Some("other".to_owned()),
        activity_pollers: Pollers {
            mode: PollerMode::Autoscaling,
            minimum: 2,
            initial: 3,
            maximum: 9,
            count: 0,
        },
        workflow_pollers: Pollers {
            count: 7,
            ..Pollers::default()
        },
        max_activities_per_second: Some(2.5),
        max_eager_activities: 0,
        ..Options::default()
    };
    assert!(options.validate().is_empty());
    let built = options.build("queue", "me", None);
    assert_eq!(built.task_queue, "other");
    assert_eq!(
        built.workflow_task_poller_behavior,
        Some(PollerBehavior::SimpleMaximum(7))
    );
    let Some(PollerBehavior::Autoscaling(scaling)) = built.activity_task_poller_behavior else {
        panic!("expected autoscaling");
    };
    assert_eq!((scaling.minimum, scaling.initial, scaling.maximum), (2, 3, 9));
    assert_eq!(built.max_worker_activities_per_second, Some(2.5));
    assert_eq!(built.max_eager_activity_reservations_per_workflow_task, 0);
}

#[test]
fn versioning_is_on_only_with_a_deployment_name() {
    let options = Options {
        versioning: Versioning::AutoUpgrade,
        ..Options::default()
    };
    let named = Deployment {
        name: Some("ai".to_owned()),
        build_id: "v1".to_owned(),
    };
    let built = options.build("queue", "me", Some(&named)).deployment_options;
    assert!(built.use_worker_versioning);
    assert_eq!(
        built.default_versioning_behavior,
        Some(VersioningBehavior::AutoUpgrade)
    );
    assert_eq!(
        (
            built.version.deployment_name.as_str(),
            built.version.build_id.as_str()
        ),
        ("ai", "v1")
    );
    let unnamed = Deployment {
        name: None,
        build_id: "v1".to_owned(),
    };
    let built = options.build("queue", "me", Some(&unnamed)).deployment_options;
    assert!(!built.use_worker_versioning);
    assert_eq!(built.version.build_id, "v1");
}

#[test]
fn every_impossible_value_is_named() {
    let options = Options {
        task_queue: Some(String::new()),
        max_concurrent_activities: 0,
        max_concurrent_local_activities: 0,
        max_concurrent_workflow_tasks: 1,
        workflow_pollers: Pollers {
            count: 1,
            ..Pollers::default()
        },
        activity_pollers: Pollers {
            mode: PollerMode::Autoscaling,
            minimum: 5,
            initial: 1,
            ..Pollers::default()
        },
        max_activities_per_second: Some(0.0),
        task_queue_activities_per_second: Some(f64::NAN),
        sticky_queue_timeout_seconds: 0,
        heartbeat_throttle_seconds: 0,
        drain_hard_deadline_seconds: 30,
        ..Options::default()
    };
    let keys: BTreeSet<String> = options
        .validate()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    let expected = [
        "activity_pollers.minimum",
        "drain_hard_deadline_seconds",
        "heartbeat_throttle_seconds",
        "max_activities_per_second",
        "max_concurrent_activities",
        "max_concurrent_local_activities",
        "max_concurrent_workflow_tasks",
        "sticky_queue_timeout_seconds",
        "task_queue",
        "task_queue_activities_per_second",
        "workflow_pollers.count",
    ];
    assert_eq!(keys.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
