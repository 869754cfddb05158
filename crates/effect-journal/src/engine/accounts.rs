//! Budgets: what each attempt counts as, and whether another one fits.
//!
//! A counter is the sum of what its attempts contribute now. It is kept and not summed anew, because a sum over a
//! tenant's month would be read before every call; so every change of an attempt goes through [`put_attempt`], which
//! moves the difference into each of its counters in the same transaction.

use std::collections::BTreeSet;

use super::view::{Attempt, View};
use crate::rules::EXPIRED_UNSENT;
use crate::{AccountClaim, Allowance, Amount, ClaimRequest, EffectKey, OverBudget, Period, State};

/// Whether a call's upper bound fits into every budget that it names.
#[derive(Debug)]
pub(super) enum Room {
    /// It does.
    Fits,
    /// It seems not to, but the expired reservations of these counters have not been looked at.
    Sweep(BTreeSet<String>),
    /// It does not.
    Over(OverBudget),
}

/// Puts an attempt in place of what was there, with what that changes for its accounts and its limit.
pub(super) fn put_attempt(view: &mut View, now_ms: i64, (key, fence): (&EffectKey, u32), attempt: Attempt) {
    let place = (key.clone(), fence);
    let before = view.attempts.get(&place);
    let (old, was_live) = before.map_or((Amount::default(), false), |attempt| {
        (attempt.contribution(), attempt.live(now_ms))
    });
    let new = attempt.contribution();
    if old != new {
        for name in &attempt.counters {
            let mut amount = view.counters.get(name).copied().unwrap_or_default();
            amount.replace(old, new);
            view.counters.put(name.clone(), amount);
        }
    }
    if let Some(count) = attempt
        .limit
        .as_ref()
        .and_then(|limit| view.in_flight.get_mut(&limit.name))
    {
        let others = count.saturating_sub(u32::from(was_live));
        *count = others.saturating_add(u32::from(attempt.live(now_ms)));
    }
    view.attempts.put(place, attempt);
}

/// Tells whether a claim's upper bound fits, and releases expired reservations if only they are in the way.
pub(super) fn room(view: &mut View, now_ms: i64, request: &ClaimRequest) -> Room {
    let needed = Amount::of(&request.class.recorded(request.upper_bound));
    for claim in &request.accounts {
        for (period, max) in budgets(view, claim) {
            let counter = claim.account.counter(period, now_ms);
            let used = |view: &View| view.counters.get(&counter).copied().unwrap_or_default();
            if max.holds(used(view), needed) {
                continue;
            }
            if !view.swept.contains(&counter) {
                return Room::Sweep(
                    request
                        .accounts
                        .iter()
                        .flat_map(|of| of.account.counters(now_ms))
                        .collect(),
                );
            }
            sweep(view, now_ms, &counter);
            if max.holds(used(view), needed) {
                continue;
            }
            return Room::Over(OverBudget {
                account: claim.account.clone(),
                period,
                max,
                used: used(view),
                needed,
                resets_in: claim.account.tenant_name().and_then(|_| period.remaining(now_ms)),
            });
        }
    }
    Room::Fits
}

/// Releases the reservations of a counter whose leases ran out: nothing was sent for them, and nothing can be.
fn sweep(view: &mut View, now_ms: i64, counter: &String) {
    let dead: Vec<_> = view
        .attempts
        .iter()
        .filter(|(_, attempt)| {
            attempt.state == State::Reserved && attempt.expired(now_ms) && attempt.counters.contains(counter)
        })
        .map(|((key, fence), attempt)| (key.clone(), *fence, attempt.clone()))
        .collect();
    for (key, fence, mut attempt) in dead {
        attempt.state = State::Released;
        attempt.ended_unix_ms = Some(now_ms);
        attempt.reason = Some(EXPIRED_UNSENT.to_owned());
        put_attempt(view, now_ms, (&key, fence), attempt);
    }
}

/// Returns the maxima that hold for an account: the claim's own, and those that the journal keeps for a tenant.
fn budgets(view: &View, claim: &AccountClaim) -> Vec<(Period, Allowance)> {
    let own = claim.max.map(|max| (Period::Total, max));
    let kept = claim.account.tenant_name().into_iter().flat_map(|tenant| {
        Period::ALL.into_iter().filter_map(move |period| {
            let row = view.budgets.get(&(tenant.to_owned(), period))?;
            Some((period, row.max))
        })
    });
    own.into_iter().chain(kept).collect()
}
