//! Changes by hand, each with its note.

use serde_json::json;

use super::Outcome;
use super::accounts::put_attempt;
use super::ends::{disallowed, find};
use super::view::{Attempt, BudgetRow, NewNote, View};
use crate::{
    Account, Allowance, EffectKey, Error, HandOutcome, HandSettlement, Lease, NoteAction, State,
    TenantBudget, rules,
};

/// Settles or releases an unknown attempt by a person's word.
pub(super) fn settle(
    view: &mut View,
    now_ms: i64,
    (key, fence): (&EffectKey, u32),
    settlement: &HandSettlement,
) -> Result<Outcome, Error> {
    check_words(&settlement.actor, &settlement.reason)?;
    let (_, before) = find(view, key, fence)?;
    let (standing, _) = rules::standing(before.state, before.expired(now_ms));
    if standing != State::Unknown {
        return Err(disallowed(key, fence, (standing, "be settled by hand")));
    }
    let mut after = before.clone();
    after.by_hand = true;
    after.ended_unix_ms = Some(now_ms);
    match settlement.outcome {
        HandOutcome::Billed(spend) => {
            after.state = State::Settled;
            after.spend = Some(before.class.recorded(spend));
        }
        HandOutcome::NotBilled => after.state = State::Released,
    }
    after.reason = before
        .reason
        .clone()
        .or_else(|| Some(rules::EXPIRED_SENT.to_owned()));
    view.notes.push(NewNote {
        unix_ms: now_ms,
        actor: settlement.actor.clone(),
        action: NoteAction::SettleByHand,
        subject: subject(key, fence),
        key: Some(key.clone()),
        before: standing_json(State::Unknown, &before),
        after: standing_json(after.state, &after),
        reason: settlement.reason.clone(),
    });
    put_attempt(view, now_ms, (key, fence), after);
    Ok(Outcome::Done)
}

/// Notes that an answer came after all for an attempt that had been settled by hand.
pub(super) fn note_late_answer(
    view: &mut View,
    now_ms: i64,
    lease: &Lease,
    (before, after): (&Attempt, &Attempt),
) {
    view.notes.push(NewNote {
        unix_ms: now_ms,
        actor: after.owner.clone(),
        action: NoteAction::LateAnswer,
        subject: subject(&lease.key, lease.fence),
        key: Some(lease.key.clone()),
        before: standing_json(before.state, before),
        after: standing_json(after.state, after),
        reason: "the answer came after the attempt was settled by hand".to_owned(),
    });
}

/// Sets or removes a tenant's budget.
pub(super) fn set_budget(
    view: &mut View,
    now_ms: i64,
    budget: &TenantBudget,
    (actor, reason): (&str, &str),
) -> Result<Outcome, Error> {
    check_words(actor, reason)?;
    let account = Account::tenant(&budget.tenant).map_err(|error| Error::Invalid {
        what: error.to_string(),
    })?;
    if budget.max.cost_micros.is_some_and(i64::is_negative) {
        return Err(invalid("a budget cannot be negative"));
    }
    let place = (budget.tenant.clone(), budget.period);
    let before = view.budgets.get(&place).map(|row| row.max).unwrap_or_default();
    view.notes.push(NewNote {
        unix_ms: now_ms,
        actor: actor.to_owned(),
        action: NoteAction::SetTenantBudget,
        subject: format!("{account}@{}", budget.period),
        key: None,
        before: allowance_json(before),
        after: allowance_json(budget.max),
        reason: reason.to_owned(),
    });
    if budget.max.is_unlimited() {
        view.budgets.remove(&place);
    } else {
        let row = BudgetRow {
            max: budget.max,
            changed_unix_ms: now_ms,
            changed_by: actor.to_owned(),
        };
        view.budgets.put(place, row);
    }
    Ok(Outcome::Done)
}

fn check_words(actor: &str, reason: &str) -> Result<(), Error> {
    if actor.is_empty()
        || actor.len() > HandSettlement::MAX_ACTOR_BYTES
        || actor.chars().any(char::is_control)
    {
        return Err(invalid(
            "the actor is empty, longer than 256 bytes, or has control characters",
        ));
    }
    if reason.len() > HandSettlement::MAX_REASON_BYTES {
        return Err(invalid("the reason is longer than 1024 bytes"));
    }
    Ok(())
}

fn invalid(what: &str) -> Error {
    Error::Invalid {
        what: what.to_owned(),
    }
}

fn subject(key: &EffectKey, fence: u32) -> String {
    format!("{key}#{fence}")
}

fn standing_json(state: State, attempt: &Attempt) -> String {
    let counted = attempt.contribution();
    json!({
        "costMicros": counted.cost_micros,
        "state": state,
        "tokens": counted.tokens,
    })
    .to_string()
}

fn allowance_json(max: Allowance) -> String {
    json!({ "maxCostMicros": max.cost_micros, "maxTokens": max.tokens }).to_string()
}
