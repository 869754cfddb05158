//! Every order of events, and the deadline in paused time.

use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Event, Exit, Inputs, Machine, Reason, Signal, Step, supervise};

#[tokio::test(start_paused = true)]
async fn each_order_of_events_has_its_end() {
    let now = Instant::now();
    let term = |seconds| Event::Signal(Signal::Terminate, now + Duration::from_secs(seconds));
    let int = |seconds| Event::Signal(Signal::Interrupt, now + Duration::from_secs(seconds));
    let drain = |reason| Step::BeginDrain(reason);
    let cases: [(&str, Vec<(Event, Step)>); 7] = [
        (
            "one signal drains and the worker's end is the process's",
            vec![
                (term(0), drain(Reason::Signal(Signal::Terminate))),
                (Event::Finished(Exit::Drained), Step::End(Exit::Drained)),
            ],
        ),
        (
            "a second signal ends at once, with its own number",
            vec![
                (term(0), drain(Reason::Signal(Signal::Terminate))),
                (int(1), Step::End(Exit::Forced(2))),
            ],
        ),
        (
            "two signals of one Ctrl-C are one request",
            vec![
                (int(0), drain(Reason::Signal(Signal::Interrupt))),
                (term(0), Step::Wait),
                (term(3), Step::End(Exit::Forced(15))),
            ],
        ),
        (
            "the deadline ends a drain",
            vec![
                (term(0), drain(Reason::Signal(Signal::Terminate))),
                (Event::DeadlinePassed, Step::End(Exit::DeadlineHit)),
            ],
        ),
        (
            "a signal during recycling is the first and cuts nothing short",
            vec![
                (Event::Recycle, drain(Reason::Recycle)),
                (term(0), Step::Wait),
                (term(5), Step::End(Exit::Forced(15))),
            ],
        ),
        (
            "recycling during a drain changes nothing",
            vec![
                (term(0), drain(Reason::Signal(Signal::Terminate))),
                (Event::Recycle, Step::Wait),
            ],
        ),
        (
            "a worker that fails ends the process",
            vec![(Event::Finished(Exit::Fault), Step::End(Exit::Fault))],
        ),
    ];
    for (name, events) in cases {
        let mut machine = Machine::default();
        for (event, step) in events {
            assert_eq!(machine.on(event), step, "{name}: {event:?}");
        }
    }
}

struct Run {
    signals: mpsc::Sender<Signal>,
    recycle: CancellationToken,
    drains: Arc<AtomicUsize>,
    process: tokio::task::JoinHandle<Exit>,
    finish: oneshot::Sender<Exit>,
}

fn run() -> Run {
    let (signals, receiver) = mpsc::channel(4);
    let (finish, finished) = oneshot::channel();
    let recycle = CancellationToken::new();
    let drains = Arc::new(AtomicUsize::new(0));
    let inputs = Inputs {
        signals: receiver,
        recycle: recycle.clone(),
        finished: async move { finished.await.unwrap_or(Exit::Fault) },
        hard_deadline: Duration::from_mins(1),
    };
    let counted = Arc::clone(&drains);
    let process = tokio::spawn(async move {
        supervise(inputs, |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .await
    });
    Run {
        signals,
        recycle,
        drains,
        process,
        finish,
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_does_not_end_is_cut_at_the_deadline_and_not_before() {
    let run = run();
    let began = Instant::now();
    run.signals.send(Signal::Terminate).await.unwrap();
    assert_eq!(run.process.await.unwrap(), Exit::DeadlineHit);
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(run.drains.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_ends_in_time_is_a_success() {
    let run = run();
    run.signals.send(Signal::Interrupt).await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    run.finish.send(Exit::Drained).unwrap();
    assert_eq!(run.process.await.unwrap(), Exit::Drained);
}

#[tokio::test(start_paused = true)]
async fn recycling_drains_once_and_waits_for_the_worker() {
    let run = run();
    run.recycle.cancel();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(run.drains.load(Ordering::Relaxed), 1);
    run.finish.send(Exit::Drained).unwrap();
    assert_eq!(run.process.await.unwrap(), Exit::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_unasked_ends_the_process() {
    let run = run();
    run.finish.send(Exit::Unavailable).unwrap();
    assert_eq!(run.process.await.unwrap(), Exit::Unavailable);
    assert_eq!(run.drains.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_source_of_signals_the_worker_goes_on() {
    let (sender, signals) = mpsc::channel(1);
    drop(sender);
    let recycle = CancellationToken::new();
    let inputs = Inputs {
        signals,
        recycle,
        finished: pending(),
        hard_deadline: Duration::from_secs(1),
    };
    let outcome = tokio::time::timeout(Duration::from_secs(100), supervise(inputs, |_| {})).await;
    assert!(outcome.is_err());
    let (_sender, signals) = mpsc::channel(1);
    let inputs = Inputs {
        signals,
        recycle: CancellationToken::new(),
        finished: ready(Exit::Fault),
        hard_deadline: Duration::from_secs(1),
    };
    assert_eq!(supervise(inputs, |_| {}).await, Exit::Fault);
}
