//! What a holder does with its attempt: renew it, send it, end it.
//!
//! Ending does not ask for the lease. The lease decides who may call; what a call cost is true whoever holds it.

use super::accounts::put_attempt;
use super::feedback::{Bill, Ended};
use super::view::{Attempt, Effect, Response, View};
use super::{Ending, Needs, Outcome, Returned, hand};
use crate::digest::answer_checksum;
use crate::rules::{self, Event};
use crate::{Amount, EffectKey, Error, Feedback, Lease, Settled, Settlement, State};

/// Adds what ending an attempt looks at.
pub(super) fn needs(needs: &mut Needs, key: &EffectKey, fence: u32, view: &View) {
    if let Some(attempt) = view.attempts.get(&(key.clone(), fence)) {
        needs.counters.extend(attempt.counters.iter().cloned());
        needs
            .limits
            .extend(attempt.limit.iter().map(|limit| limit.name.clone()));
    }
}

/// Adds what ending any attempt of a key looks at.
pub(super) fn needs_of_all(all: &mut Needs, key: &EffectKey, view: &View) {
    for (fence, _) in view.attempts_of(key) {
        needs(all, key, fence, view);
    }
}

/// Adds what a mark looks at: something only if it finds that the effect is done.
pub(super) fn needs_of_mark(all: &mut Needs, lease: &Lease, view: &View) {
    let effect = view.effects.get(&lease.key);
    if effect.is_some_and(|effect| effect.committed_fence.is_some()) {
        needs(all, &lease.key, lease.fence, view);
    }
}

/// Extends a lease from now.
pub(super) fn renew(view: &mut View, now_ms: i64, lease: &Lease) -> Result<Outcome, Error> {
    let (effect, mut attempt) = find(view, &lease.key, lease.fence)?;
    refuse_fenced(lease, &effect)?;
    match attempt.state {
        State::Reserved | State::Sent => {}
        State::Settled | State::Released | State::Unknown => {
            return Err(disallowed(&lease.key, lease.fence, (attempt.state, "be renewed")));
        }
    }
    attempt.lease_until_unix_ms = now_ms.saturating_add(attempt.lease_ms);
    put_attempt(view, now_ms, (&lease.key, lease.fence), attempt);
    Ok(Outcome::Done)
}

/// Records that the request is about to leave, unless another attempt's answer has become the result.
pub(super) fn mark_sent(view: &mut View, now_ms: i64, lease: &Lease) -> Result<Outcome, Error> {
    let (effect, mut attempt) = find(view, &lease.key, lease.fence)?;
    if let (State::Reserved | State::Released, Some(fence)) = (attempt.state, effect.committed_fence) {
        if attempt.state == State::Reserved {
            let ended = (State::Released, rules::SUPERSEDED);
            end(view, now_ms, (&lease.key, lease.fence, attempt), ended);
        }
        return Ok(Outcome::Answer(lease.key.clone(), fence, Returned::Superseded));
    }
    refuse_fenced(lease, &effect)?;
    attempt.state = follow(lease, attempt.state, Event::Send)?;
    attempt.sent_unix_ms = Some(now_ms);
    attempt.lease_until_unix_ms = now_ms.saturating_add(attempt.lease_ms);
    put_attempt(view, now_ms, (&lease.key, lease.fence), attempt);
    Ok(Outcome::Cleared)
}

/// Records an answer and its spend, and makes it the result if the effect has none and none is on its way.
pub(super) fn settle(
    view: &mut View,
    now_ms: i64,
    lease: &Lease,
    (settlement, feedback): (&Settlement, &Feedback),
) -> Result<Outcome, Error> {
    let (effect, attempt) = find(view, &lease.key, lease.fence)?;
    // A person's word stands in for an answer that never came; the answer itself says more.
    let by_hand = attempt.by_hand && attempt.checksum.is_none();
    if !by_hand && follow(lease, attempt.state, Event::Settle)? == attempt.state {
        let committed = effect.committed_fence == Some(lease.fence);
        return Ok(Outcome::Settled(settled(committed)));
    }
    let latest = view
        .attempts
        .get(&(lease.key.clone(), effect.fence))
        .ok_or_else(|| missing_latest(&lease.key, effect.fence))?;
    let latest = rules::standing(latest.state, latest.expired(now_ms)).0;
    let mut answered = attempt.clone();
    let spend = attempt.class.recorded(settlement.spend);
    answered.state = State::Settled;
    answered.ended_unix_ms = Some(now_ms);
    answered.spend = Some(spend);
    answered.by_hand = false;
    answered.checksum = Some(answer_checksum(
        &lease.key,
        lease.fence,
        &spend,
        &settlement.response,
    ));
    answered.response = Response::New(settlement.response.clone());
    if by_hand {
        hand::note_late_answer(view, now_ms, lease, (&attempt, &answered));
    }
    report(
        view,
        now_ms,
        lease,
        (&answered, Bill::Used(Amount::of(&spend).tokens), feedback),
    );
    put_attempt(view, now_ms, (&lease.key, lease.fence), answered);
    let commits = effect.committed_fence.is_none() && rules::may_commit(effect.fence == lease.fence, latest);
    if commits {
        let committed_fence = Some(lease.fence);
        view.effects.put(
            lease.key.clone(),
            Effect {
                committed_fence,
                ..effect
            },
        );
    }
    Ok(Outcome::Settled(settled(commits)))
}

/// Ends an attempt as released or unknown, for the reason that its owner gives.
pub(super) fn finish(
    view: &mut View,
    now_ms: i64,
    lease: &Lease,
    (ending, reason, feedback): (Ending, &str, &Feedback),
) -> Result<Outcome, Error> {
    let (_, attempt) = find(view, &lease.key, lease.fence)?;
    let state = follow(lease, attempt.state, ending.event())?;
    if state == attempt.state {
        return Ok(Outcome::Done);
    }
    let bill = match (ending, attempt.state) {
        (Ending::Unknown, _) => Bill::Unknown,
        (Ending::Released, State::Reserved) => Bill::Unsent,
        (Ending::Released, State::Sent | State::Settled | State::Released | State::Unknown) => Bill::Refused,
    };
    report(view, now_ms, lease, (&attempt, bill, feedback));
    end(view, now_ms, (&lease.key, lease.fence, attempt), (state, reason));
    Ok(Outcome::Done)
}

/// Records that an attempt has ended without an answer.
pub(super) fn end(
    view: &mut View,
    now_ms: i64,
    (key, fence, mut attempt): (&EffectKey, u32, Attempt),
    (state, reason): (State, &str),
) {
    attempt.state = state;
    attempt.ended_unix_ms = Some(now_ms);
    attempt.reason = Some(reason.to_owned());
    put_attempt(view, now_ms, (key, fence), attempt);
}

/// Finds an attempt and its effect.
pub(super) fn find(view: &View, key: &EffectKey, fence: u32) -> Result<(Effect, Attempt), Error> {
    let effect = view.effects.get(key).copied();
    let attempt = view.attempts.get(&(key.clone(), fence)).cloned();
    effect.zip(attempt).ok_or_else(|| Error::NoAttempt {
        key: key.clone(),
        fence,
    })
}

/// Says that an attempt's state does not allow a step.
pub(super) fn disallowed(key: &EffectKey, fence: u32, (state, operation): (State, &'static str)) -> Error {
    Error::State {
        key: key.clone(),
        fence,
        state,
        operation,
    }
}

/// Passes on to the limit what the end of an attempt says about it.
fn report(
    view: &mut View,
    now_ms: i64,
    lease: &Lease,
    (attempt, bill, feedback): (&Attempt, Bill, &Feedback),
) {
    let Some(counted) = &attempt.limit else { return };
    let Some(mut limit) = view.limits.get(&counted.name).cloned() else {
        return;
    };
    limit.learn(&Ended {
        key: &lease.key,
        fence: lease.fence,
        counted,
        bill,
        feedback: *feedback,
        now_ms,
    });
    view.limits.put(counted.name.clone(), limit);
}

fn settled(committed: bool) -> Settled {
    if committed {
        Settled::Committed
    } else {
        Settled::SpendOnly
    }
}

fn refuse_fenced(lease: &Lease, effect: &Effect) -> Result<(), Error> {
    if effect.fence == lease.fence {
        return Ok(());
    }
    Err(Error::Fenced {
        key: lease.key.clone(),
        fence: lease.fence,
        current: effect.fence,
    })
}

fn follow(lease: &Lease, state: State, event: Event) -> Result<State, Error> {
    rules::next(state, event).ok_or_else(|| disallowed(&lease.key, lease.fence, (state, event.operation())))
}

fn missing_latest(key: &EffectKey, fence: u32) -> Error {
    Error::Corrupt {
        key: key.clone(),
        fence,
        what: "the latest attempt is missing",
    }
}
