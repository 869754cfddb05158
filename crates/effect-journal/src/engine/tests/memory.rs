//! A store made of maps.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Attempt, BudgetRow, Effect, Limit, Mark, Needs, Op, Outcome, Response, Step, Ticket, View, apply, needs,
};
use super::CONFIG;
use crate::{Amount, EffectKey, Error, Period, State};

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) effects: BTreeMap<EffectKey, Effect>,
    pub(super) attempts: BTreeMap<(EffectKey, u32), Attempt>,
    pub(super) counters: BTreeMap<String, Amount>,
    pub(super) budgets: BTreeMap<(String, Period), BudgetRow>,
    pub(super) limits: BTreeMap<String, String>,
    pub(super) tickets: BTreeMap<EffectKey, Ticket>,
    pub(super) notes: usize,
}

impl Memory {
    /// Performs one step in a transaction of its own.
    pub(super) fn step(&mut self, now_ms: i64, op: &Op) -> Result<Outcome, Error> {
        self.batch(now_ms, std::slice::from_ref(op)).remove(0)
    }

    /// Performs steps in one transaction, as the engine's documentation tells a store to.
    pub(super) fn batch(&mut self, now_ms: i64, ops: &[Op]) -> Vec<Result<Outcome, Error>> {
        let mut view = View::default();
        self.load_keys(&mut view, ops);
        let needed = needs(ops, &view, now_ms);
        self.load(&mut view, &needed, now_ms);
        let outcomes = ops.iter().map(|op| self.apply(&mut view, op, now_ms)).collect();
        self.write(&view);
        outcomes
    }

    /// Sums what the attempts of every counter contribute.
    pub(super) fn sums(&self) -> BTreeMap<String, Amount> {
        let mut sums = BTreeMap::new();
        for attempt in self.attempts.values() {
            for counter in &attempt.counters {
                let sum: &mut Amount = sums.entry(counter.clone()).or_default();
                sum.replace(Amount::default(), attempt.contribution());
            }
        }
        sums
    }

    fn apply(&self, view: &mut View, op: &Op, now_ms: i64) -> Result<Outcome, Error> {
        loop {
            let before = view.clone();
            match apply(op, view, now_ms, CONFIG) {
                Ok(Step::Done(outcome)) => return Ok(outcome),
                Ok(Step::Sweep(counters)) => self.sweep(view, counters, now_ms),
                Err(error) => {
                    assert_eq!(*view, before, "{op:?} failed and changed something");
                    return Err(error);
                }
            }
        }
    }

    fn sweep(&self, view: &mut View, counters: BTreeSet<String>, now_ms: i64) {
        assert!(!counters.is_subset(&view.swept), "swept again: {counters:?}");
        let expired = self.attempts.iter().filter(|(_, attempt)| {
            attempt.state == State::Reserved
                && attempt.lease_until_unix_ms <= now_ms
                && attempt.counters.iter().any(|counter| counters.contains(counter))
        });
        let mut touched = Needs::default();
        for (place, attempt) in expired {
            touched.counters.extend(attempt.counters.iter().cloned());
            view.attempts.load(place.clone(), attempt.clone());
        }
        self.load(view, &touched, now_ms);
        view.swept.extend(counters);
    }

    fn load_keys(&self, view: &mut View, ops: &[Op]) {
        for key in ops.iter().filter_map(Op::key) {
            if let Some(effect) = self.effects.get(key) {
                view.effects.load(key.clone(), *effect);
            }
            for (place, attempt) in self.attempts.range((key.clone(), 0)..=(key.clone(), u32::MAX)) {
                view.attempts.load(place.clone(), attempt.clone());
            }
            if let Some(ticket) = self.tickets.get(key) {
                view.tickets.load(key.clone(), ticket.clone());
            }
        }
    }

    fn load(&self, view: &mut View, needs: &Needs, now_ms: i64) {
        for name in &needs.counters {
            if let Some(amount) = self.counters.get(name) {
                view.counters.load(name.clone(), *amount);
            }
        }
        for (place, row) in &self.budgets {
            if needs.tenants.contains(&place.0) {
                view.budgets.load(place.clone(), row.clone());
            }
        }
        for name in &needs.limits {
            if let Some(standing) = self.limits.get(name) {
                view.limits
                    .load(name.clone(), Limit::from_json(standing).unwrap());
            }
            let of_limit = |attempt: &&Attempt| {
                attempt.limit.as_ref().is_some_and(|limit| limit.name == *name) && attempt.live(now_ms)
            };
            let count = self.attempts.values().filter(of_limit).count();
            view.in_flight.insert(name.clone(), u32::try_from(count).unwrap());
        }
    }

    fn write(&mut self, view: &View) {
        for (key, effect, mark) in view.effects.dirty() {
            let found = self.effects.insert(key.clone(), *effect);
            assert_eq!(found.is_none(), mark == Mark::New);
        }
        for (place, attempt, mark) in view.attempts.dirty() {
            let mut stored = attempt.clone();
            if matches!(stored.response, Response::New(_)) {
                stored.response = Response::Stored;
            }
            let found = self.attempts.insert(place.clone(), stored);
            assert_eq!(found.is_none(), mark == Mark::New);
        }
        for (name, amount, mark) in view.counters.dirty() {
            let found = self.counters.insert(name.clone(), *amount);
            assert_eq!(found.is_none(), mark == Mark::New);
        }
        for (place, row, _) in view.budgets.dirty() {
            self.budgets.insert(place.clone(), row.clone());
        }
        for place in view.budgets.removed() {
            self.budgets.remove(place);
        }
        for (name, limit, _) in view.limits.dirty() {
            self.limits.insert(name.clone(), limit.to_json().unwrap());
        }
        for (key, ticket, _) in view.tickets.dirty() {
            self.tickets.insert(key.clone(), ticket.clone());
        }
        for key in view.tickets.removed() {
            self.tickets.remove(key);
        }
        self.notes += view.notes.len();
    }
}
