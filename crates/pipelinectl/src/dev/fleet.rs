//! The processes together: started in order, watched, started again, stopped in the other order.
//!
//! A worker that ends is started again, because that is what a cluster would do and because killing one is the first
//! thing that somebody who tries durable execution does. One that ends again and again, or that says its configuration
//! is wrong, is not; nor is the server, with whose end every run in memory is gone.

use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::{failure::Failure, output::Printer};

use super::{
    child::{Child, Spec, ending},
    guard::Guard,
    state::ChildState,
};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Who lived as long as this was well.
const WELL_AFTER: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const MOST_FAILURES: u32 = 6;
/// The workers' code for a wrong configuration.
const WRONG_CONFIGURATION: i32 = 64;

/// The processes that `dev` runs.
pub(super) struct Fleet {
    guard: Guard,
    printer: Printer,
    restart: bool,
    server: Option<(Spec, Child)>,
    workers: Vec<Worker>,
}

struct Worker {
    spec: Spec,
    child: Option<Child>,
    failures: u32,
    again_at: Option<Instant>,
}

/// What to do about a worker that ended.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Start it again after a pause.
    Again(Duration),
    /// Leave it down.
    Down,
    /// Stop everything.
    Hopeless,
}

impl Fleet {
    /// Starts without processes.
    pub(super) fn new(guard: Guard, printer: Printer, restart: bool) -> Self {
        Self {
            guard,
            printer,
            restart,
            server: None,
            workers: Vec::new(),
        }
    }

    /// Starts the server.
    pub(super) fn start_server(&mut self, spec: Spec) -> Result<(), Failure> {
        let child = spec.spawn(true)?;
        self.guard.watch(child.pid);
        self.server = Some((spec, child));
        Ok(())
    }

    /// Starts a worker.
    pub(super) fn start_worker(&mut self, spec: Spec) -> Result<(), Failure> {
        let child = spec.spawn(true)?;
        self.guard.watch(child.pid);
        self.workers.push(Worker {
            spec,
            child: Some(child),
            failures: 0,
            again_at: None,
        });
        Ok(())
    }

    /// Fails when a process that was started has ended.
    pub(super) fn check_alive(&mut self) -> Result<(), Failure> {
        let workers = self
            .workers
            .iter_mut()
            .filter_map(|worker| worker.child.as_mut().map(|child| (&worker.spec, child)));
        let server = self.server.as_mut().map(|(spec, child)| (&*spec, child));
        for (spec, child) in server.into_iter().chain(workers) {
            if let Some(status) = child.ended() {
                return Err(gone(spec, &ending(status)));
            }
        }
        Ok(())
    }

    /// Waits until the process ids have changed, because a worker ended or was started again.
    pub(super) async fn until_changed(&mut self) -> Result<(), Failure> {
        let mut look = interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if let Some((spec, child)) = &mut self.server
                && let Some(status) = child.ended()
            {
                return Err(gone(spec, &ending(status)));
            }
            let mut changed = false;
            for worker in &mut self.workers {
                changed |= worker.look(&mut self.guard, self.printer, self.restart)?;
            }
            if changed {
                return Ok(());
            }
        }
    }

    /// Stops the workers together, then the server.
    pub(super) async fn stop(&mut self) {
        let mut stopping = tokio::task::JoinSet::new();
        for worker in &mut self.workers {
            let patience = worker.spec.patience;
            if let Some(mut child) = worker.child.take() {
                stopping.spawn(async move { child.stop(patience).await });
            }
        }
        stopping.join_all().await;
        if let Some((spec, child)) = &mut self.server {
            child.stop(spec.patience).await;
        }
        self.guard.dismiss();
    }

    /// Ends everything at once.
    pub(super) async fn kill(&mut self) {
        // Workers that were being stopped are killed by being dropped.
        for child in self.workers.iter_mut().filter_map(|worker| worker.child.as_mut()) {
            child.kill().await;
        }
        if let Some((_, child)) = &mut self.server {
            child.kill().await;
        }
        self.guard.dismiss();
    }

    /// Gives what runs, the server first.
    pub(super) fn children(&self) -> Vec<ChildState> {
        let state = |spec: &Spec, pid| ChildState {
            name: spec.name.to_owned(),
            pid,
            log: spec.log.display().to_string(),
            health: spec.health.map(|address| address.to_string()),
        };
        let server = self
            .server
            .iter()
            .map(|(spec, child)| state(spec, Some(child.pid)));
        let workers = self
            .workers
            .iter()
            .map(|worker| state(&worker.spec, worker.child.as_ref().map(|child| child.pid)));
        server.chain(workers).collect()
    }
}

impl Worker {
    /// Looks after a worker; tells whether its process id changed.
    fn look(&mut self, guard: &mut Guard, printer: Printer, restart: bool) -> Result<bool, Failure> {
        if let Some(child) = &mut self.child {
            let Some(status) = child.ended() else {
                return Ok(false);
            };
            guard.forget(child.pid);
            if child.started.elapsed() >= WELL_AFTER {
                self.failures = 0;
            }
            self.child = None;
            let ending = ending(status);
            let next = next(status.code(), self.failures, restart);
            let name = self.spec.name;
            match next {
                Next::Hopeless => return Err(gone(&self.spec, &ending)),
                Next::Down => printer.remark(&format!(
                    "{name} ended with {ending} and stays down (--no-restart)"
                )),
                Next::Again(pause) => {
                    self.again_at = Some(Instant::now() + pause);
                    let tail = self.spec.tail();
                    let log = self.spec.log.display();
                    printer.remark(&format!(
                        "{name} ended with {ending}; starting it again in {pause:?}; the end of {log}:\n{tail}"
                    ));
                }
            }
            self.failures += u32::from(!status.success());
            return Ok(true);
        }
        if self.again_at.is_none_or(|at| at > Instant::now()) {
            return Ok(false);
        }
        self.again_at = None;
        let child = self.spec.spawn(false)?;
        guard.watch(child.pid);
        printer.remark(&format!("{} is back as pid {}", self.spec.name, child.pid));
        self.child = Some(child);
        Ok(true)
    }
}

fn next(code: Option<i32>, failures: u32, restart: bool) -> Next {
    if !restart {
        return Next::Down;
    }
    if code == Some(WRONG_CONFIGURATION) || failures >= MOST_FAILURES {
        return Next::Hopeless;
    }
    // A worker that recycled itself ends with 0 and is wanted back at once.
    if code == Some(0) {
        return Next::Again(Duration::ZERO);
    }
    let pause = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures));
    Next::Again(pause.min(LONGEST_PAUSE))
}

fn gone(spec: &Spec, ending: &str) -> Failure {
    let tail = spec.tail();
    let log = spec.log.display();
    Failure::internal(format!(
        "{} ended with {ending}; the end of {log}:\n{tail}",
        spec.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_worker_comes_back_and_later_each_time() {
        assert_eq!(next(None, 0, true), Next::Again(Duration::from_secs(1)));
        assert_eq!(next(Some(70), 3, true), Next::Again(Duration::from_secs(8)));
        assert_eq!(next(Some(70), 5, true), Next::Again(Duration::from_secs(30)));
        assert_eq!(next(Some(70), 6, true), Next::Hopeless);
    }

    #[test]
    fn a_recycled_worker_comes_back_at_once_and_a_misconfigured_one_never() {
        assert_eq!(next(Some(0), 0, true), Next::Again(Duration::ZERO));
        assert_eq!(next(Some(64), 0, true), Next::Hopeless);
    }

    #[test]
    fn without_restarts_it_stays_down() {
        assert_eq!(next(None, 0, false), Next::Down);
        assert_eq!(next(Some(64), 0, false), Next::Down);
    }
}
