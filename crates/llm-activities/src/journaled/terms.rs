//! On what terms a call is claimed: what it may use at most, whose budgets that counts in, and under which limit.
//!
//! The bound is what keeps a budget: it is reserved before the call and given back as far as it was not used. So it must
//! never be less than what the provider bills, and be no more than needed, since what is reserved keeps others waiting.

use std::time::Duration;

use effect_journal::{
    Account, AccountClaim, Allowance, Circuit, ClaimRequest, Counts, EffectClass, Feedback, LimitClaim,
    RateLimit, RequestDigest, Spend,
};
use model_clients::{
    LimitHeaders, limits, prices,
    provider::{self, Billing, ErrorKind, GenerateRequest, ModelInfo, Usage},
};
use workflow_types::{
    problem::Problems,
    proto::{BudgetClaim, GenerateTextInput},
    request::from_double,
};

use super::Call;
use crate::error::Error;

/// Whom a call is for, and whose budgets pay.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payers {
    tenant: Option<String>,
    accounts: Vec<AccountClaim>,
}

impl Payers {
    /// Reads the input's word.
    ///
    /// # Errors
    ///
    /// That the run's or the tenant's name can't be one.
    pub(crate) fn of(input: &GenerateTextInput) -> Result<Self, Error> {
        let tenant = input.tenant.clone().filter(|tenant| !tenant.is_empty());
        let mut accounts = Vec::new();
        if let Some(budget) = input.budget.as_ref().filter(|budget| !budget.account.is_empty()) {
            let account: Account = budget
                .account
                .parse()
                .map_err(|error| bad("budget.account", &error))?;
            accounts.push(AccountClaim {
                account,
                max: Some(allowance(budget)).filter(|max| !max.is_unlimited()),
            });
        }
        if let Some(name) = &tenant {
            accounts.push(AccountClaim {
                account: Account::tenant(name).map_err(|error| bad("tenant", &error))?,
                max: None,
            });
        }
        Ok(Self { tenant, accounts })
    }
}

fn bad(path: &str, error: &effect_journal::InvalidAccount) -> Error {
    Problems::one(path, error.to_string()).into()
}

fn allowance(budget: &BudgetClaim) -> Allowance {
    Allowance {
        cost_micros: budget
            .max_cost_micros
            .map(|micros| i64::try_from(from_double(micros)).unwrap_or(i64::MAX)),
        tokens: budget.max_tokens.map(from_double),
    }
}

/// Makes the claim for a call.
pub(super) fn claim(call: &Call<'_>) -> ClaimRequest {
    let model = call.model;
    let bound = upper_bound(call);
    let free = matches!(model.billing, Billing::Free);
    ClaimRequest {
        key: call.key.clone(),
        digest: digest(call.provider.name(), call.generate.request),
        owner: call.owner.to_owned(),
        class: if free {
            EffectClass::Free
        } else {
            EffectClass::Paid
        },
        on_unknown: call.on_unknown,
        model: model.name.clone(),
        provider: call.provider.name().to_owned(),
        upper_bound: bound,
        tenant: call.payers.tenant.clone(),
        price_table: model.price_table.clone(),
        accounts: call.payers.accounts.clone(),
        limits: limit(call.provider.name(), model, bound),
    }
}

/// The provider is part of the request: the same words asked of another service are another effect.
fn digest(provider: &str, request: &GenerateRequest) -> RequestDigest {
    RequestDigest::of(format!("v1\n{provider}\n{}", request.canonical_json()).as_bytes())
}

/// The most that a call can use.
pub(super) fn upper_bound(call: &Call<'_>) -> Spend {
    let counted = u64::from(call.prompt_tokens).saturating_add(u64::from(call.form_tokens));
    let input = if call.counter.exact() {
        counted
    } else {
        // An estimate is no bound; half again as many is more than any known one is off.
        counted.saturating_mul(3) / 2
    };
    let output = u64::from(call.generate.request.max_output_tokens);
    Spend {
        input_tokens: input,
        output_tokens: output,
        cost_micros: prices::upper_bound(call.model.billing, input, output),
        ..Spend::default()
    }
}

/// The limit of a model and key, or none where nothing is limited.
fn limit(provider: &str, model: &ModelInfo, bound: Spend) -> Option<LimitClaim> {
    let configured = model.limits;
    let rate = RateLimit {
        requests_per_minute: configured.requests_per_minute,
        tokens_per_minute: configured.tokens_per_minute,
        in_flight: configured.in_flight,
        circuit: circuit(configured.circuit),
        counts: match configured.counts {
            limits::Counts::Actual => Counts::Actual,
            limits::Counts::Reserved => Counts::Reserved,
        },
    };
    let limited = rate.requests_per_minute.is_some()
        || rate.tokens_per_minute.is_some()
        || rate.in_flight.is_some()
        || rate.circuit.is_some();
    let mut name = format!("{provider}/{}/{}", model.name, model.key_name);
    name.truncate(name.floor_char_boundary(LimitClaim::MAX_NAME_BYTES));
    limited.then_some(LimitClaim {
        name,
        rate,
        tokens: bound.input_tokens.saturating_add(bound.output_tokens),
    })
}

fn circuit(configured: limits::Circuit) -> Option<Circuit> {
    let limits::Circuit {
        failures,
        open_seconds,
    } = configured;
    (failures > 0).then_some(Circuit {
        failures,
        open_seconds,
    })
}

/// What an answered call used.
pub(super) fn spend(usage: &Usage, billing: Billing) -> Spend {
    Spend {
        input_tokens: usage.input_tokens.into(),
        cached_input_tokens: usage.cached_input_tokens.into(),
        cache_write_input_tokens: usage.cache_write_input_tokens.into(),
        output_tokens: usage.output_tokens.into(),
        reasoning_tokens: usage.reasoning_tokens.into(),
        cost_micros: prices::cost(billing, usage),
    }
}

/// What an answer's headers say about the provider's limits.
pub(super) fn heard(limits: &LimitHeaders) -> Feedback {
    Feedback {
        retry_after: limits.retry_after,
        remaining_requests: limits.remaining_requests,
        reset_requests: limits.reset_requests,
        remaining_tokens: limits.remaining_tokens,
        reset_tokens: limits.reset_tokens,
        overloaded: false,
        refused: false,
    }
}

/// What a failed call says about the provider and its limits.
pub(super) fn learned(error: &provider::Error) -> Feedback {
    Feedback {
        retry_after: longer(error.retry_after, error.limits.retry_after),
        overloaded: matches!(error.kind, ErrorKind::Overloaded | ErrorKind::Transport),
        refused: error.kind == ErrorKind::RateLimited,
        ..heard(&error.limits)
    }
}

fn longer(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.max(other)
}
