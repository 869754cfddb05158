//! When a process stops: the choice, apart from the waiting.
//!
//! [`Machine`] is a pure function of what happened so far, so that each order of events is a line in a
//! test. [`supervise`] waits for the events and does what the machine says; it runs on a thread that no
//! workflow can block, because the deadline has to hold exactly when something is stuck.
//!
//! A stop that is asked for twice is meant: the second signal ends the process at once. Two signals within
//! one second are one request, though: a terminal's Ctrl-C reaches every process of its group, and a
//! parent that was interrupted as well passes its own signal on.

use std::{future::Future, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{exit::Exit, fields};

/// How far apart two signals have to be to count as two.
const SAME_REQUEST: Duration = Duration::from_secs(1);

/// A request to stop from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
    /// SIGTERM, as a supervisor sends it.
    Terminate,
}

impl Signal {
    const fn number(self) -> u8 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

/// Why a drain began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// A signal arrived.
    Signal(Signal),
    /// The process has run enough activities.
    Recycle,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Signal(Signal::Interrupt) => "SIGINT",
            Self::Signal(Signal::Terminate) => "SIGTERM",
            Self::Recycle => "recycle",
        })
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A signal, and when.
    Signal(Signal, Instant),
    /// Enough activities were run.
    Recycle,
    /// The worker has ended by itself or at the end of its drain.
    Finished(Exit),
    /// The drain's hard deadline passed.
    DeadlinePassed,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Stop polling and let running work end.
    BeginDrain(Reason),
    /// End the process.
    End(Exit),
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    draining: bool,
    signalled: Option<Instant>,
}

impl Machine {
    /// Takes an event and says what to do.
    pub fn on(&mut self, event: Event) -> Step {
        match event {
            Event::Signal(signal, at) => match self.signalled {
                Some(first) if at.duration_since(first) >= SAME_REQUEST => {
                    Step::End(Exit::Forced(signal.number()))
                }
                Some(_) => Step::Wait,
                None => {
                    self.signalled = Some(at);
                    self.begin(Reason::Signal(signal))
                }
            },
            Event::Recycle => self.begin(Reason::Recycle),
            Event::Finished(exit) => Step::End(exit),
            Event::DeadlinePassed if self.draining => Step::End(Exit::DeadlineHit),
            Event::DeadlinePassed => Step::Wait,
        }
    }

    fn begin(&mut self, reason: Reason) -> Step {
        if self.draining {
            return Step::Wait;
        }
        self.draining = true;
        Step::BeginDrain(reason)
    }
}

/// What [`supervise`] listens to.
#[derive(Debug)]
pub struct Inputs<F> {
    /// Signals; a closed channel means that none will come.
    pub signals: mpsc::Receiver<Signal>,
    /// Cancelled when the process should recycle itself.
    pub recycle: CancellationToken,
    /// Completes when the worker has ended.
    pub finished: F,
    /// How long a drain may take in all.
    pub hard_deadline: Duration,
}

/// Waits until the process is to end, and says how it ends.
///
/// `begin` is called once, when a drain begins.
pub async fn supervise<F>(inputs: Inputs<F>, begin: impl Fn(Reason)) -> Exit
where
    F: Future<Output = Exit>,
{
    let Inputs {
        mut signals,
        recycle,
        finished,
        hard_deadline,
    } = inputs;
    let mut finished = std::pin::pin!(finished);
    let mut machine = Machine::default();
    let mut deadline: Option<Instant> = None;
    let (mut recycled, mut deaf) = (false, false);
    loop {
        let event = tokio::select! {
            biased;
            exit = &mut finished => Event::Finished(exit),
            signal = signals.recv(), if !deaf => {
                let Some(signal) = signal else { deaf = true; continue };
                Event::Signal(signal, Instant::now())
            }
            () = recycle.cancelled(), if !recycled => { recycled = true; Event::Recycle }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Event::DeadlinePassed,
        };
        match machine.on(event) {
            Step::Wait => {}
            Step::BeginDrain(reason) => {
                deadline = Some(Instant::now() + hard_deadline);
                tracing::info!({ fields::DRAIN_REASON } = %reason, "draining: no new work is taken");
                begin(reason);
            }
            Step::End(exit) => return exit,
        }
    }
}

#[cfg(test)]
mod tests;
