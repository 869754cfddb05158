//! Beats, cancellation, fences and their latencies in paused time.

use std::{
    any::Any,
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use temporalio_common::data_converters::TemporalSerializable;
use temporalio_sdk::activities::ActivityError;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Pulse, Scope, Settings, Stop, run};
use crate::Failure;

/// A context that remembers its heartbeats.
#[derive(Clone, Default)]
struct Fake {
    beats: Arc<Mutex<Vec<Option<u32>>>>,
    cancel: CancellationToken,
    deadline: Option<SystemTime>,
}

impl Pulse for Fake {
    async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    async fn beat<D>(&self, details: D) -> Result<(), String>
    where
        D: TemporalSerializable + Send + Sync + 'static,
    {
        let details: Box<dyn Any> = Box::new(details);
        self.beats
            .lock()
            .unwrap()
            .push(details.downcast_ref::<u32>().copied());
        Ok(())
    }

    fn deadline(&self) -> Option<SystemTime> {
        self.deadline
    }
}

type Outcome = Result<&'static str, Stop<&'static str, &'static str>>;

async fn well() -> Result<(), &'static str> {
    Ok(())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn the_latest_progress_is_beaten_at_once_and_every_ten_seconds() {
    let fake = Fake::default();
    let outcome: Outcome = run(&fake, Settings::default(), well, |scope: Scope<u32>| async move {
        sleep(seconds(5)).await;
        scope.report(1);
        scope.report(2);
        sleep(seconds(10)).await;
        scope.report(3);
        sleep(seconds(10)).await;
        Ok("done")
    })
    .await;
    assert_eq!(outcome.unwrap(), "done");
    assert_eq!(*fake.beats.lock().unwrap(), [None, Some(2), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_reaches_the_work_at_once_and_its_result_counts() {
    let fake = Fake::default();
    let cancel = fake.cancel.clone();
    tokio::spawn(async move {
        sleep(seconds(3)).await;
        cancel.cancel();
    });
    let began = Instant::now();
    let outcome: Outcome = run(&fake, Settings::default(), well, |scope: Scope<u32>| async move {
        scope.cancelled().await;
        assert!(scope.is_cancelled() && scope.cancellation().is_cancelled());
        assert_eq!(began.elapsed(), seconds(3));
        sleep(seconds(4)).await;
        Ok("saved")
    })
    .await;
    assert_eq!(outcome.unwrap(), "saved");
    assert_eq!(began.elapsed(), seconds(7));
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_stop_is_dropped_after_its_grace() {
    let fake = Fake::default();
    fake.cancel.cancel();
    let began = Instant::now();
    let outcome: Outcome = run(&fake, Settings::default(), well, |_: Scope<u32>| {
        pending::<Result<_, _>>()
    })
    .await;
    assert!(matches!(outcome, Err(Stop::Cancelled(None))));
    assert_eq!(began.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn an_error_after_a_cancellation_is_the_cancellation() {
    let fake = Fake::default();
    fake.cancel.cancel();
    let outcome: Outcome = run(&fake, Settings::default(), well, |scope: Scope<u32>| async move {
        scope.cancelled().await;
        Err("interrupted")
    })
    .await;
    let stop = outcome.unwrap_err();
    assert!(matches!(stop, Stop::Cancelled(Some("interrupted"))));
    let error = stop.into_activity_error(|text| Failure::retryable("Internal", text));
    assert!(matches!(error, ActivityError::Cancelled { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_fences_the_work() {
    let fake = Fake::default();
    let began = Instant::now();
    let mut renewals = 0;
    let hook = move || {
        renewals += 1;
        async move { if renewals < 3 { Ok(()) } else { Err("taken over") } }
    };
    let outcome: Outcome = run(&fake, Settings::default(), hook, |scope: Scope<u32>| async move {
        scope.cancelled().await;
        assert_eq!(began.elapsed(), seconds(30));
        Err("stopped")
    })
    .await;
    let stop = outcome.unwrap_err();
    assert!(matches!(stop, Stop::Fenced("taken over")));
    let ActivityError::Application(failure) = stop.into_activity_error(|text| Failure::retryable("X", text))
    else {
        panic!("a fence must be a failure");
    };
    assert!(!failure.is_non_retryable());
    assert_eq!(failure.type_name(), Some("Internal"));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_while_cancelled_work_saves_and_its_loss_then_still_leaves_grace() {
    let fake = Fake::default();
    fake.cancel.cancel();
    let settings = Settings {
        grace: seconds(25),
        ..Settings::default()
    };
    let mut renewals = 0;
    let hook = move || {
        renewals += 1;
        async move { if renewals < 2 { Ok(()) } else { Err("taken over") } }
    };
    let outcome: Outcome = run(&fake, settings, hook, |_: Scope<u32>| async move {
        sleep(seconds(24)).await;
        Ok("saved")
    })
    .await;
    assert_eq!(outcome.unwrap(), "saved");
    assert_eq!(fake.beats.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_does_not_hold_a_cancellation_up() {
    let fake = Fake::default();
    let cancel = fake.cancel.clone();
    tokio::spawn(async move {
        sleep(seconds(15)).await;
        cancel.cancel();
    });
    let began = Instant::now();
    let outcome: Outcome = run(
        &fake,
        Settings::default(),
        pending::<Result<(), _>>,
        |scope: Scope<u32>| async move {
            scope.cancelled().await;
            Ok("seen")
        },
    )
    .await;
    assert_eq!(outcome.unwrap(), "seen");
    assert_eq!(began.elapsed(), seconds(15));
}

#[tokio::test(start_paused = true)]
async fn the_works_own_failure_is_converted_and_a_panic_hides_its_message() {
    let fake = Fake::default();
    let outcome: Outcome = run(&fake, Settings::default(), well, |_: Scope<u32>| async {
        Err("no model")
    })
    .await;
    let error = outcome
        .unwrap_err()
        .into_activity_error(|text| Failure::non_retryable("ModelGone", text));
    let ActivityError::Application(failure) = error else {
        panic!("not a failure")
    };
    assert_eq!(
        (failure.type_name(), failure.is_non_retryable()),
        (Some("ModelGone"), true)
    );

    let outcome: Outcome = run(&fake, Settings::default(), well, |_: Scope<u32>| async {
        panic!("the prompt says hello")
    })
    .await;
    let error = outcome
        .unwrap_err()
        .into_activity_error(|text| Failure::retryable("X", text));
    let ActivityError::Application(failure) = error else {
        panic!("not a failure")
    };
    assert_eq!(failure.to_string(), "the activity panicked");
}

#[tokio::test]
async fn the_remaining_time_follows_the_deadline() {
    let remaining = |deadline| async move {
        let fake = Fake {
            deadline,
            ..Fake::default()
        };
        run(&fake, Settings::default(), well, |scope: Scope<u32>| async move {
            Ok::<_, &'static str>(scope.remaining())
        })
        .await
        .unwrap()
    };
    assert_eq!(remaining(None).await, None);
    let left = remaining(Some(SystemTime::now() + seconds(60))).await.unwrap();
    assert!(left <= seconds(60) && left > seconds(50), "{left:?}");
    assert_eq!(
        remaining(Some(SystemTime::now() - seconds(1))).await,
        Some(Duration::ZERO)
    );
}
