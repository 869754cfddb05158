//! One effect as the promise describes it: a list of attempts and at most one result.

use std::time::Duration;

use effect_journal::State;

use super::LEASE_MS;

/// What a step returns, reduced to what the model knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Granted(u32),
    /// The attempt that earned the result, and its cost, which is different for every answer.
    Result(u32, i64),
    Busy(Duration),
    Unknown(Vec<u32>),
    Mismatch,
    Done,
    Committed,
    SpendOnly,
    Fenced,
    Disallowed,
}

#[derive(Debug)]
struct Attempt {
    state: State,
    lease_until: i64,
    cost: Option<i64>,
}

/// An effect; the attempt with fence `n` is at position `n - 1`.
#[derive(Debug, Default)]
pub(super) struct Model {
    first_request_is_same: Option<bool>,
    attempts: Vec<Attempt>,
    committed: Option<u32>,
}

impl Attempt {
    fn standing(&self, now: i64) -> State {
        let live = now < self.lease_until;
        if self.state == State::Reserved && !live {
            State::Released
        } else if self.state == State::Sent && !live {
            State::Unknown
        } else {
            self.state
        }
    }
}

impl Model {
    pub(super) fn committed(&self) -> Option<u32> {
        self.committed
    }

    pub(super) fn result(&self) -> Option<(u32, i64)> {
        let fence = self.committed?;
        Some((fence, self.attempts[position(fence)].cost.unwrap()))
    }

    pub(super) fn ledger(&self, now: i64) -> impl Iterator<Item = (u32, State, Option<i64>)> + '_ {
        (1..)
            .zip(&self.attempts)
            .map(move |(fence, attempt)| (fence, attempt.standing(now), attempt.cost))
    }

    pub(super) fn claim(&mut self, now: i64, same_request: bool, repeat: bool) -> Outcome {
        if *self.first_request_is_same.get_or_insert(same_request) != same_request {
            return Outcome::Mismatch;
        }
        if let Some((fence, cost)) = self.result() {
            return Outcome::Result(fence, cost);
        }
        if let Some(latest) = self.attempts.last_mut() {
            latest.state = latest.standing(now);
            if latest.state == State::Reserved || latest.state == State::Sent {
                let left = u64::try_from(latest.lease_until - now).unwrap();
                return Outcome::Busy(Duration::from_millis(left));
            }
        }
        self.committed = self.fences(now, State::Settled).first().copied();
        if let Some((fence, cost)) = self.result() {
            return Outcome::Result(fence, cost);
        }
        let unknown = self.fences(now, State::Unknown);
        if !repeat && !unknown.is_empty() {
            return Outcome::Unknown(unknown);
        }
        self.attempts.push(Attempt {
            state: State::Reserved,
            lease_until: now + LEASE_MS,
            cost: None,
        });
        Outcome::Granted(self.latest())
    }

    pub(super) fn renew(&mut self, now: i64, fence: u32) -> Outcome {
        if fence != self.latest() {
            return Outcome::Fenced;
        }
        let attempt = &mut self.attempts[position(fence)];
        if attempt.state != State::Reserved && attempt.state != State::Sent {
            return Outcome::Disallowed;
        }
        attempt.lease_until = now + LEASE_MS;
        Outcome::Done
    }

    pub(super) fn send(&mut self, now: i64, fence: u32) -> Outcome {
        let (latest, result) = (self.latest(), self.result());
        let attempt = &mut self.attempts[position(fence)];
        let unsent = attempt.state == State::Reserved || attempt.state == State::Released;
        if let (true, Some((committed, cost))) = (unsent, result) {
            attempt.state = State::Released;
            return Outcome::Result(committed, cost);
        }
        if fence != latest {
            return Outcome::Fenced;
        }
        if attempt.state != State::Reserved {
            return Outcome::Disallowed;
        }
        attempt.state = State::Sent;
        attempt.lease_until = now + LEASE_MS;
        Outcome::Done
    }

    pub(super) fn settle(&mut self, now: i64, fence: u32, cost: i64) -> Outcome {
        let latest = self.latest();
        let newer_under_way = fence != latest && self.attempts[position(latest)].standing(now) == State::Sent;
        let attempt = &mut self.attempts[position(fence)];
        if attempt.state == State::Reserved || attempt.state == State::Released {
            return Outcome::Disallowed;
        }
        if attempt.state != State::Settled {
            attempt.state = State::Settled;
            attempt.cost = Some(cost);
            if self.committed.is_none() && !newer_under_way {
                self.committed = Some(fence);
            }
        }
        if self.committed == Some(fence) {
            Outcome::Committed
        } else {
            Outcome::SpendOnly
        }
    }

    pub(super) fn release(&mut self, fence: u32) -> Outcome {
        let attempt = &mut self.attempts[position(fence)];
        if attempt.state == State::Settled {
            return Outcome::Disallowed;
        }
        attempt.state = State::Released;
        Outcome::Done
    }

    pub(super) fn lose(&mut self, fence: u32) -> Outcome {
        let attempt = &mut self.attempts[position(fence)];
        if attempt.state != State::Sent && attempt.state != State::Unknown {
            return Outcome::Disallowed;
        }
        attempt.state = State::Unknown;
        Outcome::Done
    }

    fn latest(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap()
    }

    fn fences(&self, now: i64, standing: State) -> Vec<u32> {
        self.ledger(now)
            .filter(|(_, state, _)| *state == standing)
            .map(|(fence, ..)| fence)
            .collect()
    }
}

fn position(fence: u32) -> usize {
    usize::try_from(fence).unwrap() - 1
}
