//! What a run may spend, and what it does when the next call doesn't fit.
//!
//! The limits are held by the effect journal, in the transaction that grants a call; a workflow that counted for itself
//! would not see what its siblings have under way. Here is what follows from a refusal: the run waits, visibly, and asks
//! again when there is a reason to. Reasons are a raise, a call of the run that has ended (it had more reserved than it
//! used), and time (a sibling's call, or a tenant's next period).
//!
//! Calls that were refused wait in one queue, and its head alone asks again: if everybody did, a budget's last calls would
//! fill the history with refusals. A raise empties the queue, and all go on at once.

use std::{collections::VecDeque, time::Duration};

use workflow_types::{
    failure::FailureCode,
    problem::Problems,
    proto::{Awaiting, BudgetRaise, BudgetShortfall, BudgetState, RaiseBudget, awaiting::Reason},
    request::{Allowed, Budget},
    wire::Wire,
};

use crate::{
    failures::StepError,
    steps::Steps,
    waiting::{self, Waited},
};

const MOST_RAISES: usize = 10;
/// How long the head of the queue waits before it asks again without another reason, at first and at most.
const FIRST_LOOK: Duration = Duration::from_secs(15);
const LONGEST_LOOK: Duration = Duration::from_hours(1);

/// A workflow that spends.
pub(crate) trait Spends {
    /// Gives what it may spend.
    fn spending(&self) -> &Spending;
    /// Gives what it may spend, to be changed.
    fn spending_mut(&mut self) -> &mut Spending;
}

/// The budget in force and who waits for it.
#[derive(Debug)]
pub(crate) struct Spending {
    /// Whose budget it is, as the journal names it.
    pub account: String,
    /// The limits in force.
    pub allowed: Allowed,
    /// When the first run started, in seconds since 1970.
    pub started_unix_seconds: f64,
    raises: Vec<BudgetRaise>,
    queue: VecDeque<u64>,
    tickets: u64,
    /// Calls of this run that ended; each may have given back a part of what it had reserved.
    ended: u64,
    awaiting: Option<Awaiting>,
}

impl Default for Spending {
    fn default() -> Self {
        Self {
            account: String::new(),
            allowed: Allowed {
                budget: Budget::default(),
                revision: 0,
                deadline_seconds: 0,
            },
            started_unix_seconds: 0.0,
            raises: Vec::new(),
            queue: VecDeque::new(),
            tickets: 0,
            ended: 0,
            awaiting: None,
        }
    }
}

impl Spending {
    /// Starts the clock at `now`, in seconds since 1970, with the account that pays.
    pub(crate) fn begin(&mut self, account: String, now: f64) {
        self.account = account;
        self.started_unix_seconds = now;
    }

    /// Gives what a request allows before anybody raised it.
    pub(crate) fn asked(budget: Budget, deadline: Duration) -> Allowed {
        Allowed {
            budget,
            revision: 0,
            deadline_seconds: i32::try_from(deadline.as_secs()).unwrap_or(i32::MAX),
        }
    }

    /// Starts with what is allowed, by the request or by an earlier run.
    pub(crate) fn resume(&mut self, allowed: Allowed, raises: Vec<BudgetRaise>) {
        self.allowed = allowed;
        self.raises = raises;
    }

    /// Checks a raise without applying it.
    pub(crate) fn check(&self, raise: &Wire<RaiseBudget>) -> Result<Allowed, Problems> {
        let raise = raise.clone().into_message()?;
        self.allowed.raised(&raise)
    }

    /// Applies a raise that was checked, and lets everybody ask again.
    pub(crate) fn raise(&mut self, raise: Wire<RaiseBudget>, now: f64) -> Result<BudgetState, Problems> {
        let raise = raise.into_message()?;
        self.allowed = self.allowed.raised(&raise)?;
        if self.raises.len() == MOST_RAISES {
            self.raises.remove(0);
        }
        self.raises.push(BudgetRaise {
            raise: Some(raise),
            actor_verified: false,
            raised_unix_seconds: now,
        });
        self.queue.clear();
        Ok(self.allowed.into())
    }

    /// Takes over what the run that pays was given.
    pub(crate) fn replace(&mut self, state: Wire<BudgetState>) -> Result<(), Problems> {
        let next = self.allowed.replaced(&state.into_message()?)?;
        if next.revision > self.allowed.revision {
            self.queue.clear();
        }
        self.allowed = next;
        Ok(())
    }

    /// Gives the last raises.
    pub(crate) fn raises(&self) -> Vec<BudgetRaise> {
        self.raises.clone()
    }

    /// Gives what is waited for.
    pub(crate) fn awaiting(&self) -> Option<Awaiting> {
        self.awaiting.clone()
    }

    fn join(&mut self) -> u64 {
        self.tickets += 1;
        self.queue.push_back(self.tickets);
        self.tickets
    }

    fn leave(&mut self, ticket: u64) {
        self.queue.retain(|waiting| *waiting != ticket);
    }

    fn waits(&self, ticket: u64) -> bool {
        self.queue.contains(&ticket)
    }

    fn is_head(&self, ticket: u64) -> bool {
        self.queue.front() == Some(&ticket)
    }
}

/// One call's place among those that wait for the budget.
pub(crate) struct Place {
    ticket: Option<u64>,
    look: Duration,
}

impl Place {
    /// Takes no place yet.
    pub(crate) fn new() -> Self {
        Self {
            ticket: None,
            look: FIRST_LOOK,
        }
    }

    /// Waits while others are in the queue: who comes later does not overtake them.
    pub(crate) async fn pass<W: Spends>(&mut self, steps: &Steps<W>) -> Result<(), StepError> {
        let others = steps.ctx.state(|state| {
            let queue = &state.spending().queue;
            !queue.is_empty() && self.ticket.is_none_or(|ticket| queue.front() != Some(&ticket))
        });
        if !others {
            return Ok(());
        }
        let ticket = self.ticket(steps);
        let turn = waiting::until(steps, None, |state: &W| {
            let spending = state.spending();
            !spending.waits(ticket) || spending.is_head(ticket)
        })
        .await;
        self.after(steps, ticket, turn)
    }

    /// Waits until there is a reason to ask again.
    pub(crate) async fn park<W: Spends>(
        &mut self,
        steps: &Steps<W>,
        shortfall: BudgetShortfall,
        now: f64,
    ) -> Result<(), StepError> {
        let ticket = self.ticket(steps);
        show(steps, Some(shortfall.clone()), now);
        let ended = steps.ctx.state(|state| state.spending().ended);
        let within = self.next_look(&shortfall);
        let turn = waiting::until(steps, Some(within), |state: &W| {
            let spending = state.spending();
            !spending.waits(ticket) || (spending.is_head(ticket) && spending.ended > ended)
        })
        .await;
        self.after(steps, ticket, turn)
    }

    /// Gives the place up, because the call was let through or has failed.
    pub(crate) fn end<W: Spends>(self, steps: &Steps<W>) {
        steps.ctx.state_mut(|state| {
            let spending = state.spending_mut();
            spending.ended += 1;
            if let Some(ticket) = self.ticket {
                spending.leave(ticket);
            }
        });
        clear(steps);
    }

    fn ticket<W: Spends>(&mut self, steps: &Steps<W>) -> u64 {
        *self
            .ticket
            .get_or_insert_with(|| steps.ctx.state_mut(|state| state.spending_mut().join()))
    }

    fn after<W: Spends>(&mut self, steps: &Steps<W>, ticket: u64, turn: Waited) -> Result<(), StepError> {
        if turn == Waited::Stopped {
            steps.ctx.state_mut(|state| state.spending_mut().leave(ticket));
            clear(steps);
            return Err(StepError::Cancelled);
        }
        if !steps.ctx.state(|state| state.spending().waits(ticket)) {
            // A raise emptied the queue.
            self.ticket = None;
            self.look = FIRST_LOOK;
            clear(steps);
        }
        Ok(())
    }

    /// Each look is later than the last; one at the end of a tenant's period is worth more than any before.
    fn next_look(&mut self, shortfall: &BudgetShortfall) -> Duration {
        let look = self.look;
        self.look = (look * 2).min(LONGEST_LOOK);
        let reset = shortfall
            .resets_in_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match reset {
            Some(reset) => look.min(reset.max(Duration::from_secs(1))),
            None => look,
        }
    }
}

/// Turns a refusal for want of budget into what is missing; `None` for any other error.
pub(crate) fn shortfall(error: &StepError) -> Option<BudgetShortfall> {
    match error {
        StepError::Failed(failure) if failure.code == FailureCode::BudgetExceeded => {
            Some(failure.shortfall.clone().unwrap_or_default())
        }
        StepError::Failed(_) | StepError::Cancelled => None,
    }
}

fn show<W: Spends>(steps: &Steps<W>, shortfall: Option<BudgetShortfall>, now: f64) {
    let was = steps.ctx.state_mut(|state| {
        let awaiting = &mut state.spending_mut().awaiting;
        let since = awaiting
            .as_ref()
            .map_or(now, |awaiting| awaiting.since_unix_seconds);
        let was = awaiting.is_some();
        *awaiting = shortfall.map(|shortfall| Awaiting {
            reason: Some(Reason::Budget(shortfall)),
            since_unix_seconds: since,
        });
        was
    });
    if !was {
        steps.show_awaiting(Some("budget"));
    }
}

fn clear<W: Spends>(steps: &Steps<W>) {
    let cleared = steps.ctx.state_mut(|state| {
        let spending = state.spending_mut();
        let over = spending.queue.is_empty() && spending.awaiting.is_some();
        if over {
            spending.awaiting = None;
        }
        over
    });
    if cleared {
        steps.show_awaiting(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raise_lets_everybody_who_waits_ask_again() {
        let mut spending = Spending::default();
        spending.allowed.budget.max_tokens = Some(10);
        let (first, second) = (spending.join(), spending.join());
        assert!(spending.is_head(first) && !spending.is_head(second));
        spending.leave(first);
        assert!(spending.is_head(second));
        let raise = RaiseBudget {
            max_tokens: Some(20.0),
            actor: "ana".into(),
            ..RaiseBudget::default()
        };
        let state = spending.raise(Wire::new(raise.clone()), 1.0).unwrap();
        assert_eq!(state.revision, 1);
        assert!(!spending.waits(second));
        assert!(spending.check(&Wire::new(raise)).is_err(), "the same is no raise");
    }

    #[test]
    fn looks_get_rarer_and_a_period_s_end_is_met() {
        let mut place = Place::new();
        let run = BudgetShortfall::default();
        assert_eq!(place.next_look(&run), FIRST_LOOK);
        assert_eq!(place.next_look(&run), FIRST_LOOK * 2);
        let tenant = BudgetShortfall {
            resets_in_seconds: Some(20.0),
            ..BudgetShortfall::default()
        };
        assert_eq!(place.next_look(&tenant), Duration::from_secs(20));
        for _ in 0..20 {
            place.next_look(&run);
        }
        assert_eq!(place.next_look(&run), LONGEST_LOOK);
    }
}
