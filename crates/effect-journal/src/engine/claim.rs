//! Claiming: who may perform the effect.
//!
//! The order is: what is known already, then who holds the effect, then budgets, then limits. An answer that was paid
//! for is replayed whatever the budget says, and no place in a limit's queue is taken by a call that nobody pays for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::accounts::{self, Room, put_attempt};
use super::limits::{Asked, Limit, Verdict};
use super::view::{Attempt, Counted, Effect, Response, View};
use super::{Config, Needs, Outcome, Returned, Step};
use crate::{Claim, ClaimRequest, EffectKey, Error, Lease, LimitClaim, OnUnknown, State, rules};

/// How many unknown attempts a claim lists.
const LISTED: usize = 100;

/// Says which rows a claim looks at; none if the effect is done, since a result never changes.
pub(super) fn needs(needs: &mut Needs, request: &ClaimRequest, view: &View, now_ms: i64) {
    let effect = view.effects.get(&request.key);
    if effect.is_some_and(|effect| effect.committed_fence.is_some()) {
        return;
    }
    if let Some(effect) = effect {
        super::ends::needs(needs, &request.key, effect.fence, view);
    }
    for claim in &request.accounts {
        needs.counters.extend(claim.account.counters(now_ms));
        needs
            .tenants
            .extend(claim.account.tenant_name().map(str::to_owned));
    }
    needs
        .limits
        .extend(request.limits.iter().map(|limit| limit.name.clone()));
}

/// Decides a claim; a grant lasts for the lease's length.
pub(super) fn claim(
    view: &mut View,
    now_ms: i64,
    config: Config,
    request: &ClaimRequest,
) -> Result<Step, Error> {
    request.validate()?;
    let fence = match standing_of_effect(view, now_ms, request)? {
        Before::Free { fence } => fence.saturating_add(1),
        Before::Taken(outcome) => return Ok(Step::Done(outcome)),
    };
    match accounts::room(view, now_ms, request) {
        Room::Fits => {}
        Room::Sweep(counters) => return Ok(Step::Sweep(counters)),
        Room::Over(over) => return Ok(Step::Done(Outcome::Claim(Claim::OverBudget(over)))),
    }
    let counted = match &request.limits {
        None => None,
        Some(limit) => match ask(view, now_ms, config, (request, fence, limit)) {
            Verdict::Grant(counted) => Some(counted),
            Verdict::Refuse(limited) => return Ok(Step::Done(Outcome::Claim(Claim::Limited(limited)))),
        },
    };
    Ok(Step::Done(grant(view, now_ms, config, (request, fence, counted))))
}

/// What stands before budgets and limits are asked.
enum Before {
    /// Nobody holds the effect, and it has no result; the latest attempt had this number.
    Free { fence: u32 },
    /// The claim ends with this.
    Taken(Outcome),
}

fn standing_of_effect(view: &mut View, now_ms: i64, request: &ClaimRequest) -> Result<Before, Error> {
    let key = &request.key;
    let Some(effect) = view.effects.get(key).copied().filter(|effect| effect.fence > 0) else {
        return Ok(Before::Free { fence: 0 });
    };
    if effect.digest != request.digest {
        return Ok(Before::Taken(Outcome::Claim(Claim::DigestMismatch {
            recorded: effect.digest,
        })));
    }
    let replay = |fence| Before::Taken(Outcome::Answer(key.clone(), fence, Returned::Replay));
    if let Some(fence) = effect.committed_fence {
        return Ok(replay(fence));
    }
    if let Some(remaining) = held_for(view, now_ms, key, effect.fence)? {
        return Ok(Before::Taken(Outcome::Claim(Claim::Busy { remaining })));
    }
    if let Some(fence) = earliest_answer(view, key) {
        let committed_fence = Some(fence);
        view.effects.put(
            key.clone(),
            Effect {
                committed_fence,
                ..effect
            },
        );
        return Ok(replay(fence));
    }
    if request.on_unknown != OnUnknown::Repeat {
        let unknown = view
            .attempts_of(key)
            .filter(|(_, attempt)| attempt.state == State::Unknown);
        let attempts: Vec<_> = unknown
            .take(LISTED)
            .map(|(fence, attempt)| attempt.record(key, fence, &effect))
            .collect();
        if !attempts.is_empty() {
            return Ok(Before::Taken(Outcome::Claim(Claim::Unknown { attempts })));
        }
    }
    Ok(Before::Free { fence: effect.fence })
}

/// Returns for how long the latest attempt still holds the effect; one whose lease ran out is ended here.
fn held_for(view: &mut View, now_ms: i64, key: &EffectKey, fence: u32) -> Result<Option<Duration>, Error> {
    let latest = view
        .attempts
        .get(&(key.clone(), fence))
        .ok_or_else(|| Error::Corrupt {
            key: key.clone(),
            fence,
            what: "the latest attempt is missing",
        })?;
    let (standing, reason) = rules::standing(latest.state, latest.expired(now_ms));
    let mut latest = latest.clone();
    match standing {
        State::Reserved | State::Sent => {}
        State::Settled | State::Released | State::Unknown => {
            if let Some(reason) = reason {
                super::ends::end(view, now_ms, (key, fence, latest), (standing, reason));
            }
            return Ok(None);
        }
    }
    let mut remaining_ms = latest.lease_until_unix_ms.saturating_sub(now_ms);
    if remaining_ms > latest.lease_ms {
        // The clock was set back. A holder that lives renews soon; one that died must not hold on until the
        // clock has caught up.
        remaining_ms = latest.lease_ms;
        latest.lease_until_unix_ms = now_ms.saturating_add(remaining_ms);
        put_attempt(view, now_ms, (key, fence), latest);
    }
    Ok(Some(Duration::from_millis(remaining_ms.unsigned_abs())))
}

/// Returns an attempt whose answer came late, while a later attempt was under way that then brought none.
fn earliest_answer(view: &View, key: &EffectKey) -> Option<u32> {
    view.attempts_of(key)
        .find(|(_, attempt)| attempt.state == State::Settled && attempt.response != Response::Absent)
        .map(|(fence, _)| fence)
}

fn ask(
    view: &mut View,
    now_ms: i64,
    config: Config,
    (request, fence, claim): (&ClaimRequest, u32, &LimitClaim),
) -> Verdict {
    let mut limit = view.limits.get(&claim.name).cloned().unwrap_or_default();
    let ticket = view
        .tickets
        .get(&request.key)
        .filter(|ticket| ticket.limit == claim.name);
    let asked = Asked {
        key: &request.key,
        fence,
        claim,
        in_flight: view.in_flight.get(&claim.name).copied().unwrap_or(0),
        ticket: ticket.cloned(),
        now_ms,
        lease_ms: lease_ms(config),
    };
    let (verdict, ticket) = Limit::ask(&mut limit, &asked);
    view.limits.put(claim.name.clone(), limit);
    match ticket {
        Some(ticket) => view.tickets.put(request.key.clone(), ticket),
        None => view.tickets.remove(&request.key),
    }
    verdict
}

fn grant(
    view: &mut View,
    now_ms: i64,
    config: Config,
    (request, fence, limit): (&ClaimRequest, u32, Option<Counted>),
) -> Outcome {
    let counters: BTreeSet<_> = request
        .accounts
        .iter()
        .flat_map(|claim| claim.account.counters(now_ms))
        .collect();
    let lease_ms = lease_ms(config);
    let attempt = Attempt {
        state: State::Reserved,
        class: request.class,
        owner: request.owner.clone(),
        model: request.model.clone(),
        provider: request.provider.clone(),
        tenant: request.tenant.clone(),
        price_table: request.price_table.clone(),
        bound: request.class.recorded(request.upper_bound),
        spend: None,
        claimed_unix_ms: now_ms,
        lease_ms,
        lease_until_unix_ms: now_ms.saturating_add(lease_ms),
        sent_unix_ms: None,
        ended_unix_ms: None,
        reason: None,
        by_hand: false,
        counters: counters.into_iter().collect(),
        limit,
        checksum: None,
        response: Response::Absent,
    };
    let effect = Effect {
        digest: request.digest,
        fence,
        committed_fence: None,
    };
    view.effects.put(request.key.clone(), effect);
    put_attempt(view, now_ms, (&request.key, fence), attempt);
    Outcome::Claim(Claim::Granted(Lease {
        key: request.key.clone(),
        fence,
        length: config.lease,
    }))
}

fn lease_ms(config: Config) -> i64 {
    i64::try_from(config.lease.as_millis()).unwrap_or(i64::MAX)
}
