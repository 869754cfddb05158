//! One model call through the effect journal.
//!
//! The order is the promise: a claim that is durable before anything is sent, a mark that is durable before the first
//! byte leaves, and a commit before anybody is told. What an attempt can't know it says: a call whose outcome was not
//! learned stays listed as unknown and counts at its upper bound.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use effect_journal::{
    Claim, ClaimRequest, Clearance, Committed, EffectClass, EffectKey, Journal, Lease, OnUnknown,
    RequestDigest, Settled, Settlement, Spend,
};
use model_clients::provider::{
    Billing, CallOutcome, GenerateCall, GenerateRequest, GenerateResponse, ModelInfo, ModelProvider, Usage,
};

use crate::{error::Error, metrics::Metrics};

/// How often an answer that can't be committed is offered again, and how long each pause is.
const COMMIT_PAUSES: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Keeps the lease of the call under way, so that the heartbeat renews it.
pub(crate) struct Holder {
    journal: Arc<dyn Journal>,
    lease: Mutex<Option<Lease>>,
}

impl Holder {
    /// Holds nothing yet.
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        Self {
            journal,
            lease: Mutex::new(None),
        }
    }

    /// Renews the lease, if one is held; fails when another attempt took over.
    ///
    /// A store that is away for a moment is no such loss: the lease outlives several beats.
    pub(crate) async fn renew(&self) -> Result<(), effect_journal::Error> {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(lease) = lease else { return Ok(()) };
        match self.journal.renew(&lease).await {
            Err(error @ effect_journal::Error::Fenced { .. }) => Err(error),
            Err(error) => {
                tracing::warn!(error.message = %error, "the lease could not be renewed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn hold(&self, lease: Option<Lease>) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }
}

/// What is called, and under which key.
pub(crate) struct Call<'a> {
    /// The effect.
    pub key: EffectKey,
    /// What to do about an earlier attempt whose outcome is unknown.
    pub on_unknown: OnUnknown,
    /// Who answers.
    pub provider: &'a dyn ModelProvider,
    /// What is known of the model.
    pub model: &'a ModelInfo,
    /// What is asked.
    pub generate: GenerateCall<'a>,
    /// Tokens of the prompt, for the upper bound of what the call can use.
    pub prompt_tokens: u32,
    /// Who asks: the worker's identity.
    pub owner: &'a str,
}

/// A committed answer.
pub(crate) struct Answered {
    /// The answer.
    pub response: GenerateResponse,
    /// Nobody was called for it.
    pub replayed: bool,
}

/// Gives the committed answer of an effect, calling the provider when there is none.
pub(crate) async fn run(holder: &Holder, metrics: &Metrics, call: Call<'_>) -> Result<Answered, Error> {
    let lease = match holder.journal.claim(claim_request(&call)).await? {
        Claim::Granted(lease) => lease,
        Claim::Replay(committed) => return replay(metrics, &call, &committed),
        Claim::Busy { remaining } => return Err(Error::Busy { remaining }),
        Claim::Unknown { attempts } => {
            return Err(Error::OutcomeUnknown {
                attempts: attempts.len(),
            });
        }
        Claim::DigestMismatch { .. } => return Err(Error::OtherRequest),
    };
    holder.hold(Some(lease.clone()));
    let answered = perform(holder, metrics, call, &lease).await;
    holder.hold(None);
    answered
}

async fn perform(
    holder: &Holder,
    metrics: &Metrics,
    call: Call<'_>,
    lease: &Lease,
) -> Result<Answered, Error> {
    match holder.journal.mark_sent(lease).await? {
        Clearance::Call => {}
        Clearance::Superseded(committed) => return replay(metrics, &call, &committed),
    }
    let (provider, model, billing) = (call.provider.name(), call.model.name.clone(), call.model.billing);
    let key = call.key.clone();
    match call.provider.generate(call.generate).await {
        Ok(response) => {
            metrics.answered(provider, &model, &response);
            commit(holder, lease, &key, response, billing).await
        }
        Err(error) => {
            metrics.failed(provider, &model, error.kind);
            // The call's own error says more than a journal that is away too; the lease's end settles the attempt.
            let recorded = match error.billing {
                CallOutcome::NotSent | CallOutcome::NotBilled => {
                    holder.journal.release(lease, error.kind.as_str()).await
                }
                CallOutcome::Unknown => holder.journal.mark_unknown(lease, error.kind.as_str()).await,
            };
            if let Err(journal) = recorded {
                tracing::error!(error.message = %journal, "the end of a failed call could not be recorded");
            }
            Err(error.into())
        }
    }
}

/// Commits an answer. It is paid for, so a journal that is away is asked again for a while.
async fn commit(
    holder: &Holder,
    lease: &Lease,
    key: &EffectKey,
    response: GenerateResponse,
    billing: Billing,
) -> Result<Answered, Error> {
    let bytes = serde_json::to_vec(&response).map_err(Error::Journaled)?;
    let settlement = Settlement {
        response: bytes,
        spend: spend(response.usage, billing),
    };
    let mut pauses = COMMIT_PAUSES.into_iter();
    let settled = loop {
        match (
            holder.journal.settle(lease, settlement.clone()).await,
            pauses.next(),
        ) {
            (Ok(settled), _) => break settled,
            (Err(error @ effect_journal::Error::Storage { .. }), Some(pause)) => {
                tracing::warn!(error.message = %error, effect.key = %key, "an answer could not be committed yet");
                tokio::time::sleep(pause).await;
            }
            (Err(error), _) => return Err(error.into()),
        }
    };
    match settled {
        Settled::Committed => Ok(Answered {
            response,
            replayed: false,
        }),
        // Another attempt was committed or is under way; asking again gives its answer.
        Settled::SpendOnly => Err(Error::Busy {
            remaining: Duration::from_secs(1),
        }),
    }
}

fn replay(metrics: &Metrics, call: &Call<'_>, committed: &Committed) -> Result<Answered, Error> {
    let response = serde_json::from_slice(&committed.response).map_err(Error::Journaled)?;
    metrics.replayed(call.provider.name(), &call.model.name);
    Ok(Answered {
        response,
        replayed: true,
    })
}

fn claim_request(call: &Call<'_>) -> ClaimRequest {
    let free = matches!(call.model.billing, Billing::Free);
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
        model: call.model.name.clone(),
        provider: call.provider.name().to_owned(),
        upper_bound: upper_bound(call),
    }
}

/// The provider is part of the request: the same words asked of another service are another effect.
fn digest(provider: &str, request: &GenerateRequest) -> RequestDigest {
    RequestDigest::of(format!("v1\n{provider}\n{}", request.canonical_json()).as_bytes())
}

fn upper_bound(call: &Call<'_>) -> Spend {
    // Counts of an inexact tokenizer are no bound; half again as many is more than any known one is off.
    let input = u64::from(call.prompt_tokens).saturating_mul(3) / 2;
    let output = u64::from(call.generate.request.max_output_tokens);
    let cost_micros = cost(call.model.billing, input, 0, output);
    Spend {
        input_tokens: input,
        output_tokens: output,
        cost_micros,
        ..Spend::default()
    }
}

fn spend(usage: Usage, billing: Billing) -> Spend {
    let (input, cached) = (
        u64::from(usage.input_tokens),
        u64::from(usage.cached_input_tokens),
    );
    let output = u64::from(usage.output_tokens);
    Spend {
        input_tokens: input,
        cached_input_tokens: cached,
        output_tokens: output,
        reasoning_tokens: u64::from(usage.reasoning_tokens),
        cost_micros: cost(billing, input, cached, output),
    }
}

/// Gives a cost in millionths of the currency unit, rounded up.
fn cost(billing: Billing, input: u64, cached: u64, output: u64) -> i64 {
    let Billing::PerToken {
        input_micros_per_million,
        cached_input_micros_per_million,
        output_micros_per_million,
    } = billing
    else {
        return 0;
    };
    let price = |tokens: u64, per_million: u64| u128::from(tokens) * u128::from(per_million);
    let total = price(input.saturating_sub(cached), input_micros_per_million)
        + price(cached.min(input), cached_input_micros_per_million)
        + price(output, output_micros_per_million);
    i64::try_from(total.div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICES: Billing = Billing::PerToken {
        input_micros_per_million: 150_000,
        cached_input_micros_per_million: 75_000,
        output_micros_per_million: 600_000,
    };

    #[test]
    fn a_call_costs_what_its_tokens_cost_rounded_up() {
        assert_eq!(cost(PRICES, 1_000_000, 0, 0), 150_000);
        assert_eq!(cost(PRICES, 1_000_000, 1_000_000, 1_000_000), 675_000);
        assert_eq!(cost(PRICES, 1, 0, 0), 1);
        assert_eq!(cost(Billing::Free, 1_000_000, 0, 1_000_000), 0);
    }
}
