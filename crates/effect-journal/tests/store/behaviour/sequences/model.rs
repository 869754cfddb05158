//! The journal as the promise describes it: lists of attempts, at most one result each, and sums of their money.
//!
//! Written from the promise and not from the implementation: it keeps no counters but sums what there is, and knows
//! nothing of the journal's own table of transitions.

use std::time::Duration;

use effect_journal::State;

use super::{BOUND, CIRCUIT, LEASE_MS};

/// What a step returns, reduced to what the model knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Granted(u32),
    /// The attempt that earned the result, and its cost, which is different for every answer.
    Result(u32, i64),
    Busy(Duration),
    Unknown(Vec<u32>),
    Mismatch,
    /// Whether it is the tenant's budget, and what is used of it.
    OverBudget(bool, i64),
    InFlight,
    CircuitOpen,
    Done,
    Committed,
    SpendOnly,
    Fenced,
    Disallowed,
}

/// What is asked for with a claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) same_request: bool,
    pub(super) repeat: bool,
    pub(super) run_max: Option<i64>,
    pub(super) limited: bool,
}

#[derive(Debug)]
struct Attempt {
    state: State,
    lease_until: i64,
    cost: Option<i64>,
    answered: bool,
    by_hand: bool,
    limited: bool,
}

/// What the ledger has to show of an attempt: number, standing, cost, and whether a person settled it.
pub(super) type Shown = (u32, State, Option<i64>, bool);

/// An effect; the attempt with fence `n` is at position `n - 1`.
#[derive(Debug, Default)]
struct Effect {
    first_request_is_same: Option<bool>,
    attempts: Vec<Attempt>,
    committed: Option<u32>,
}

/// A few effects that share a run's budget, a tenant's and a limit.
#[derive(Debug)]
pub(super) struct Model {
    effects: Vec<Effect>,
    tenant_max: Option<i64>,
    failures: u32,
    open_until: i64,
    /// Key, fence, and until when it is waited for.
    probe: Option<(usize, u32, i64)>,
    notes: usize,
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

impl Effect {
    fn result(&self) -> Option<(u32, i64)> {
        let fence = self.committed?;
        Some((fence, self.attempts[position(fence)].cost.unwrap()))
    }

    fn latest(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap()
    }

    fn fences(&self, belongs: impl Fn(&Attempt) -> bool) -> Vec<u32> {
        (1..)
            .zip(&self.attempts)
            .filter(|(_, attempt)| belongs(attempt))
            .map(|(fence, _)| fence)
            .collect()
    }

    /// Decides what is known and who holds the effect; `None` is nobody.
    fn before_a_grant(&mut self, now: i64, ask: Ask) -> Option<Outcome> {
        if *self.first_request_is_same.get_or_insert(ask.same_request) != ask.same_request {
            return Some(Outcome::Mismatch);
        }
        if let Some((fence, cost)) = self.result() {
            return Some(Outcome::Result(fence, cost));
        }
        if let Some(latest) = self.attempts.last_mut() {
            latest.state = latest.standing(now);
            if latest.state == State::Reserved || latest.state == State::Sent {
                let left = u64::try_from(latest.lease_until - now).unwrap();
                return Some(Outcome::Busy(Duration::from_millis(left)));
            }
        }
        self.committed = self.fences(|attempt| attempt.answered).first().copied();
        if let Some((fence, cost)) = self.result() {
            return Some(Outcome::Result(fence, cost));
        }
        let unknown = self.fences(|attempt| attempt.standing(now) == State::Unknown);
        (!ask.repeat && !unknown.is_empty()).then_some(Outcome::Unknown(unknown))
    }
}

impl Model {
    pub(super) fn of(keys: usize) -> Self {
        Self {
            effects: (0..keys).map(|_| Effect::default()).collect(),
            tenant_max: None,
            failures: 0,
            open_until: 0,
            probe: None,
            notes: 0,
        }
    }

    pub(super) fn committed(&self, key: usize) -> Option<u32> {
        self.effects[key].committed
    }

    pub(super) fn result(&self, key: usize) -> Option<(u32, i64)> {
        self.effects[key].result()
    }

    pub(super) fn notes(&self) -> usize {
        self.notes
    }

    pub(super) fn ledger(&self, key: usize, now: i64) -> impl Iterator<Item = Shown> + '_ {
        (1..)
            .zip(&self.effects[key].attempts)
            .map(move |(fence, attempt)| (fence, attempt.standing(now), attempt.cost, attempt.by_hand))
    }

    /// Sums what the attempts count as; a reservation counts until somebody notices that it died.
    pub(super) fn used(&self) -> i64 {
        self.attempts()
            .map(|attempt| match attempt.state {
                State::Reserved | State::Sent | State::Unknown => BOUND,
                State::Settled => attempt.cost.unwrap(),
                State::Released => 0,
            })
            .sum()
    }

    pub(super) fn limit_tenant(&mut self, max: Option<i64>) -> Outcome {
        self.tenant_max = max;
        self.notes += 1;
        Outcome::Done
    }

    pub(super) fn claim(&mut self, now: i64, key: usize, ask: Ask) -> Outcome {
        // A request that is not granted does not bind the key to its digest.
        let bound = self.effects[key].first_request_is_same;
        if let Some(outcome) = self.effects[key].before_a_grant(now, ask) {
            return outcome;
        }
        let refused = self.over_budget(now, ask).or_else(|| self.limited(now, ask));
        if let Some(refused) = refused {
            self.effects[key].first_request_is_same = bound;
            return refused;
        }
        self.effects[key].attempts.push(Attempt {
            state: State::Reserved,
            lease_until: now + LEASE_MS,
            cost: None,
            answered: false,
            by_hand: false,
            limited: ask.limited,
        });
        let fence = self.effects[key].latest();
        if ask.limited && self.tripped() {
            self.probe = Some((key, fence, now + LEASE_MS));
        }
        Outcome::Granted(fence)
    }

    pub(super) fn renew(&mut self, now: i64, (key, fence): (usize, u32)) -> Outcome {
        let effect = &mut self.effects[key];
        if fence != effect.latest() {
            return Outcome::Fenced;
        }
        let attempt = &mut effect.attempts[position(fence)];
        if attempt.state != State::Reserved && attempt.state != State::Sent {
            return Outcome::Disallowed;
        }
        attempt.lease_until = now + LEASE_MS;
        Outcome::Done
    }

    pub(super) fn send(&mut self, now: i64, (key, fence): (usize, u32)) -> Outcome {
        let effect = &mut self.effects[key];
        let (latest, result) = (effect.latest(), effect.result());
        let attempt = &mut effect.attempts[position(fence)];
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

    pub(super) fn settle(&mut self, now: i64, (key, fence): (usize, u32), cost: i64) -> Outcome {
        let effect = &mut self.effects[key];
        let latest = effect.latest();
        let newer_under_way =
            fence != latest && effect.attempts[position(latest)].standing(now) == State::Sent;
        let attempt = &mut effect.attempts[position(fence)];
        let open = attempt.state == State::Reserved || attempt.state == State::Released;
        if open && !attempt.by_hand {
            return Outcome::Disallowed;
        }
        if !attempt.answered {
            self.notes += usize::from(attempt.by_hand);
            (attempt.state, attempt.cost) = (State::Settled, Some(cost));
            (attempt.answered, attempt.by_hand) = (true, false);
            if effect.committed.is_none() && !newer_under_way {
                effect.committed = Some(fence);
            }
            if effect.attempts[position(fence)].limited {
                self.close();
            }
        }
        if self.effects[key].committed == Some(fence) {
            Outcome::Committed
        } else {
            Outcome::SpendOnly
        }
    }

    pub(super) fn release(&mut self, now: i64, place: (usize, u32), overloaded: bool) -> Outcome {
        let attempt = self.attempt(place);
        let before = attempt.state;
        if before == State::Settled {
            return Outcome::Disallowed;
        }
        attempt.state = State::Released;
        if before != State::Released && attempt.limited {
            self.learn(now, place, (overloaded, before != State::Reserved));
        }
        Outcome::Done
    }

    pub(super) fn lose(&mut self, now: i64, place: (usize, u32), overloaded: bool) -> Outcome {
        let attempt = self.attempt(place);
        let before = attempt.state;
        if before != State::Sent && before != State::Unknown {
            return Outcome::Disallowed;
        }
        attempt.state = State::Unknown;
        if before == State::Sent && attempt.limited {
            self.learn(now, place, (overloaded, false));
        }
        Outcome::Done
    }

    pub(super) fn settle_by_hand(&mut self, now: i64, place: (usize, u32), billed: Option<i64>) -> Outcome {
        let attempt = self.attempt(place);
        if attempt.standing(now) != State::Unknown {
            return Outcome::Disallowed;
        }
        attempt.by_hand = true;
        attempt.cost = billed;
        attempt.state = if billed.is_some() {
            State::Settled
        } else {
            State::Released
        };
        self.notes += 1;
        Outcome::Done
    }

    fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.effects.iter().flat_map(|effect| &effect.attempts)
    }

    fn attempt(&mut self, (key, fence): (usize, u32)) -> &mut Attempt {
        &mut self.effects[key].attempts[position(fence)]
    }

    fn over_budget(&mut self, now: i64, ask: Ask) -> Option<Outcome> {
        for (is_tenant, max) in [(false, ask.run_max), (true, self.tenant_max)] {
            let Some(max) = max else { continue };
            if self.used() + BOUND > max {
                for attempt in self.effects.iter_mut().flat_map(|effect| &mut effect.attempts) {
                    if attempt.state == State::Reserved {
                        attempt.state = attempt.standing(now);
                    }
                }
            }
            if self.used() + BOUND > max {
                return Some(Outcome::OverBudget(is_tenant, self.used()));
            }
        }
        None
    }

    fn limited(&self, now: i64, ask: Ask) -> Option<Outcome> {
        if !ask.limited {
            return None;
        }
        let probed = self.probe.is_some_and(|(_, _, until)| until > now);
        if self.tripped() && (self.open_until > now || probed) {
            return Some(Outcome::CircuitOpen);
        }
        let under_way = |attempt: &Attempt| {
            let standing = attempt.standing(now);
            attempt.limited && (standing == State::Reserved || standing == State::Sent)
        };
        self.attempts().any(under_way).then_some(Outcome::InFlight)
    }

    fn learn(&mut self, now: i64, (key, fence): (usize, u32), (overloaded, answered): (bool, bool)) {
        let probed = self
            .probe
            .is_some_and(|(of, number, _)| (of, number) == (key, fence));
        if overloaded {
            self.failures += 1;
            if self.tripped() {
                self.open_until = now + i64::from(CIRCUIT.open_seconds) * 1000;
                self.probe = None;
            }
        } else if probed && answered {
            self.close();
        } else if probed {
            self.probe = None;
        }
    }

    fn close(&mut self) {
        (self.failures, self.open_until, self.probe) = (0, 0, None);
    }

    fn tripped(&self) -> bool {
        self.failures >= CIRCUIT.failures
    }
}

fn position(fence: u32) -> usize {
    usize::try_from(fence).unwrap() - 1
}
