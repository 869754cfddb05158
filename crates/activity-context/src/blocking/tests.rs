//! The bound, the flag, and what happens to abandoned work.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread::{self, ThreadId},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Subscriber, span::Id};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use super::{BlockingPool, CancelFlag, Error};

/// Blocks its thread until the flag is set.
fn until_set(flag: &CancelFlag) {
    while !flag.is_set() {
        thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_run_at_once_than_there_are_slots_and_the_wait_is_reported() {
    let pool = BlockingPool::new(1);
    let cancel = CancellationToken::new();
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let first = tokio::spawn({
        let (pool, cancel) = (pool.clone(), cancel.clone());
        async move {
            pool.run(&cancel, move |_| {
                entered.send(()).unwrap();
                released.recv().unwrap();
                1
            })
            .await
        }
    });
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap())
        .await
        .unwrap();
    assert_eq!(pool.free(), 0);
    let mut second = Box::pin(pool.run(&cancel, |_| 2));
    assert!(
        tokio::time::timeout(Duration::from_millis(20), &mut second)
            .await
            .is_err()
    );
    release.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().value, 1);
    let second = second.await.unwrap();
    assert_eq!(second.value, 2);
    assert!(second.waited >= Duration::from_millis(20), "{:?}", second.waited);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_token_sets_the_flag_and_the_works_result_counts() {
    let pool = BlockingPool::new(1);
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let done = pool
        .run(&cancel, move |flag| {
            token.cancel();
            until_set(&flag);
            "stopped"
        })
        .await
        .unwrap();
    assert_eq!(done.value, "stopped");
}

#[tokio::test]
async fn work_that_was_not_begun_is_not_begun_after_a_cancellation() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let outcome = BlockingPool::new(1)
        .run(&cancel, |_| panic!("must not run"))
        .await;
    assert_eq!(
        outcome.map(|done: super::Done<()>| done.value),
        Err(Error::Cancelled)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_work_is_told_to_stop_and_holds_its_slot_until_it_has() {
    let pool = BlockingPool::new(1);
    let cancel = CancellationToken::new();
    let (entered, has_entered) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    let abandoned = tokio::spawn({
        let (pool, cancel) = (pool.clone(), cancel.clone());
        async move {
            pool.run(&cancel, move |flag| {
                entered.send(()).unwrap();
                until_set(&flag);
                may_end.recv().unwrap();
            })
            .await
        }
    });
    tokio::task::spawn_blocking(move || has_entered.recv().unwrap())
        .await
        .unwrap();
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    assert_eq!(pool.free(), 0, "the thread is still busy");
    end.send(()).unwrap();
    assert_eq!(pool.run(&cancel, |_| 3).await.unwrap().value, 3);
}

#[tokio::test]
async fn a_panic_is_an_error_and_frees_the_slot() {
    let pool = BlockingPool::new(0);
    let cancel = CancellationToken::new();
    let outcome = pool
        .run(&cancel, |_| -> u32 { panic!("the document says hello") })
        .await;
    assert_eq!(outcome.map(|done| done.value), Err(Error::Panicked));
    assert_eq!(pool.run(&cancel, |_| 1).await.unwrap().value, 1);
}

/// Keeps the threads on which a span was entered.
#[derive(Clone, Default)]
struct Entered(Arc<Mutex<Vec<ThreadId>>>);

impl<S: Subscriber> Layer<S> for Entered {
    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

#[tokio::test]
async fn the_work_is_done_in_the_span_in_which_it_was_asked_for() {
    let entered = Entered::default();
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(entered.clone()));
    let cancel = CancellationToken::new();
    let pool = BlockingPool::new(1);
    let work = pool.run(&cancel, |_| thread::current().id());
    let done = work.instrument(tracing::info_span!("activity")).await.unwrap();
    assert_ne!(done.value, thread::current().id());
    assert!(entered.0.lock().unwrap().contains(&done.value));
}
