//! What makes a process live, started and ready.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus::Registry;
use tokio::time::advance;

use super::{Check, Health, Options, Verdict};
use crate::{
    config::Validate as _,
    telemetry::polls::{Kind, Polls},
};

fn health() -> Health {
    Health::new(&Options::default(), &Registry::new(), Arc::new(Polls::default())).unwrap()
}

fn failing(names: &[&'static str]) -> Verdict {
    Verdict::Failing(names.to_vec())
}

#[test]
fn intervals_of_zero_are_refused() {
    let options = Options {
        check_interval_seconds: 0,
        stalled_after_seconds: 2,
        ..Options::default()
    };
    let keys: Vec<String> = options
        .validate()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(keys, ["check_interval_seconds", "stalled_after_seconds"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_is_live_before_it_is_started_and_started_before_it_is_ready() {
    let health = health();
    assert_eq!(health.live(), Verdict::Well);
    assert_eq!(health.started(), failing(&["starting"]));
    assert_eq!(health.ready(), failing(&["starting"]));
    health.set_started(vec![Kind::Activity]);
    assert_eq!(health.started(), Verdict::Well);
    assert_eq!(health.ready(), failing(&["activity task polls"]));
    health.set_started(Vec::new());
    assert_eq!(health.ready(), Verdict::Well);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_readiness_and_not_life() {
    let health = health();
    health.set_started(Vec::new());
    health.set_draining();
    assert_eq!(health.ready(), failing(&["draining"]));
    assert_eq!(health.live(), Verdict::Well);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_stands_still_is_not_live() {
    let health = health();
    health.set_started(Vec::new());
    advance(Duration::from_secs(30)).await;
    assert_eq!(health.live(), failing(&["runtime stalled"]));
    assert_eq!(health.ready(), failing(&["workflow thread stalled"]));

    let beating = tokio::spawn(health.clone().beat());
    let workflows = tokio::spawn(health.clone().beat_workflows());
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(health.live(), Verdict::Well);
    assert_eq!(health.ready(), Verdict::Well);
    beating.abort();
    workflows.abort();
}

#[tokio::test(start_paused = true)]
async fn a_check_counts_until_it_passes_and_again_when_it_fails_hangs_or_goes_stale() {
    let health = health();
    health.set_started(Vec::new());
    let (well, hangs, runs) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let seen = (Arc::clone(&well), Arc::clone(&hangs), Arc::clone(&runs));
    let check = Check::new("journal", move || {
        let (well, hangs) = (seen.0.load(Ordering::Relaxed), seen.1.load(Ordering::Relaxed));
        seen.2.fetch_add(1, Ordering::Relaxed);
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            if well { Ok(()) } else { Err("disk full") }
        }
    });
    health.expect(&check);
    assert_eq!(health.ready(), failing(&["journal"]));

    let workflows = tokio::spawn(health.clone().beat_workflows());
    let checking = tokio::spawn(health.clone().keep_checking(check));
    let next = || tokio::time::sleep(Duration::from_secs(11));
    next().await;
    assert_eq!(health.ready(), failing(&["journal"]));
    well.store(true, Ordering::Relaxed);
    next().await;
    assert_eq!(health.ready(), Verdict::Well);
    hangs.store(true, Ordering::Relaxed);
    next().await;
    assert_eq!(health.ready(), failing(&["journal"]));
    hangs.store(false, Ordering::Relaxed);
    next().await;
    assert_eq!(health.ready(), Verdict::Well);
    assert!(runs.load(Ordering::Relaxed) >= 4);

    checking.abort();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(
        health.ready(),
        failing(&["journal"]),
        "an old result must not count"
    );
    workflows.abort();
}
