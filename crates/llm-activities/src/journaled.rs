//! One model call through the effect journal.
//!
//! The order is the promise: a claim that is durable before anything is sent, a mark that is durable before the first
//! byte leaves, and a commit before anybody is told. What an attempt can't know it says: a call whose outcome was not
//! learned stays listed as unknown and counts at its upper bound.
//!
//! The claim is also where budgets and limits are held, for all workers in one place: a call that is refused there has cost
//! nothing, and whoever has to wait goes away and comes back instead of holding a slot.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use documents::tokens::TokenCounter;
use effect_journal::{
    Claim, Clearance, Committed, EffectKey, Feedback, Journal, Lease, OnUnknown, Settled, Settlement, Spend,
};
use model_clients::provider::{
    self, CallOutcome, GenerateCall, GenerateResponse, ModelInfo, ModelProvider, Usage, UsageSource,
};
use workflow_types::proto;

use crate::{
    error::Error,
    generate::Services,
    ledger,
    metrics::Of,
    stream::{Target, Telling},
};

mod stored;
mod terms;

pub(crate) use terms::Payers;

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
    /// Tokens of the form that the answer is held to, which a provider may add to the prompt.
    pub form_tokens: u32,
    /// Counts as the model does, or on the high side.
    pub counter: Arc<TokenCounter>,
    /// Who asks: the worker's identity.
    pub owner: &'a str,
    /// Whose budgets pay.
    pub payers: Payers,
    /// Where the answer is told while it is generated.
    pub stream: Option<Target>,
}

impl<'a> Call<'a> {
    fn of(&self) -> Of<'a> {
        Of {
            provider: self.provider.name(),
            model: &self.model.name,
        }
    }
}

/// A committed answer.
pub(crate) struct Answered {
    /// The answer.
    pub response: GenerateResponse,
    /// Nobody was called for it.
    pub replayed: bool,
    /// What the whole effect has used.
    pub usage: proto::Usage,
}

/// Gives the committed answer of an effect, calling the provider when there is none.
pub(crate) async fn run(holder: &Holder, services: &Services, call: Call<'_>) -> Result<Answered, Error> {
    let (metrics, of) = (&services.metrics, call.of());
    let lease = match holder.journal.claim(terms::claim(&call)).await? {
        Claim::Granted(lease) => lease,
        Claim::Replay(committed) => return replay(holder, services, call, &committed).await,
        Claim::Busy { remaining } => return Err(Error::Busy { remaining }),
        Claim::Unknown { attempts } => {
            return Err(Error::OutcomeUnknown {
                attempts: attempts.len(),
            });
        }
        Claim::DigestMismatch { .. } => return Err(Error::OtherRequest),
        Claim::OverBudget(over) => {
            metrics.over_budget(&over);
            return Err(Error::OverBudget(Box::new(over)));
        }
        Claim::Limited(limited) => {
            metrics.limited(of, &limited);
            return Err(Error::Limited(Box::new(limited)));
        }
    };
    metrics.granted(of);
    holder.hold(Some(lease.clone()));
    let answered = perform(holder, services, call, &lease).await;
    holder.hold(None);
    answered
}

async fn perform(
    holder: &Holder,
    services: &Services,
    mut call: Call<'_>,
    lease: &Lease,
) -> Result<Answered, Error> {
    match holder.journal.mark_sent(lease).await? {
        Clearance::Call => {}
        Clearance::Superseded(committed) => return replay(holder, services, call, &committed).await,
    }
    let (of, bound) = (call.of(), terms::upper_bound(&call));
    let telling = call.stream.take().map(Target::begin).map(|(pieces, telling)| {
        call.generate.deltas = Some(pieces);
        telling
    });
    match call.provider.generate(call.generate).await {
        Ok(response) => {
            let (prompt_tokens, billing) = (call.prompt_tokens, call.model.billing);
            let response = counted(response, prompt_tokens, &call.counter).await;
            let spend = terms::spend(&response.usage, billing);
            services.metrics.answered(of, &response, &spend);
            commit(holder, services, lease, &response, spend).await?;
            told(telling, &response).await;
            let usage = match lease.fence {
                // There is no earlier attempt that the ledger could tell of.
                1 => ledger::answered(&spend, &call.model.price_table),
                _ => summed(holder, &lease.key, (&spend, &call.model.price_table)).await,
            };
            Ok(Answered {
                usage: marked(usage, &response),
                response,
                replayed: false,
            })
        }
        Err(error) => {
            services.metrics.failed(of, error.kind);
            if error.billing == CallOutcome::Unknown {
                services.metrics.lost(of, &bound);
            }
            end(holder, lease, &error).await;
            Err(error.into())
        }
    }
}

/// Records the end of a failed call.
async fn end(holder: &Holder, lease: &Lease, error: &provider::Error) {
    let (reason, feedback) = (error.kind.as_str(), terms::learned(error));
    let recorded = match error.billing {
        CallOutcome::NotSent | CallOutcome::NotBilled => {
            holder.journal.release(lease, reason, feedback).await
        }
        CallOutcome::Unknown => holder.journal.mark_unknown(lease, reason, feedback).await,
    };
    // The call's own error says more than a journal that is away too; the lease's end settles the attempt.
    if let Err(journal) = recorded {
        tracing::error!(error.message = %journal, "the end of a failed call could not be recorded");
    }
}

/// Fills in the tokens of an answer whose provider counted none: money is computed from them.
async fn counted(
    response: GenerateResponse,
    prompt_tokens: u32,
    counter: &Arc<TokenCounter>,
) -> GenerateResponse {
    if response.usage_source != UsageSource::Missing {
        return response;
    }
    let (text, counter) = (response.text.clone(), Arc::clone(counter));
    let bytes = text.len();
    // Not on the pool, where the answer would wait for others before it is safe.
    let tokens = tokio::task::spawn_blocking(move || counter.count(&text)).await;
    let output_tokens = u32::try_from(tokens.unwrap_or(bytes)).unwrap_or(u32::MAX);
    GenerateResponse {
        usage: Usage {
            input_tokens: prompt_tokens,
            output_tokens,
            ..Usage::default()
        },
        usage_source: UsageSource::Estimated,
        ..response
    }
}

/// Commits an answer. It is paid for, so a journal that is away is asked again for a while.
async fn commit(
    holder: &Holder,
    services: &Services,
    lease: &Lease,
    response: &GenerateResponse,
    spend: Spend,
) -> Result<(), Error> {
    let kept = (&services.blobs, &services.metrics);
    let settlement = Settlement {
        response: stored::write(response, services.journal_response_inline_bytes, kept).await?,
        spend,
    };
    let feedback: Feedback = terms::heard(&response.limits);
    let mut pauses = COMMIT_PAUSES.into_iter();
    let settled = loop {
        let settled = holder.journal.settle(lease, settlement.clone(), feedback).await;
        match (settled, pauses.next()) {
            (Ok(settled), _) => break settled,
            (Err(error @ effect_journal::Error::Storage { .. }), Some(pause)) => {
                tracing::warn!(error.message = %error, effect.key = %lease.key, "an answer could not be committed yet");
                tokio::time::sleep(pause).await;
            }
            (Err(error), _) => return Err(error.into()),
        }
    };
    match settled {
        Settled::Committed => Ok(()),
        // Another attempt was committed or is under way; asking again gives its answer.
        Settled::SpendOnly => Err(Error::Busy {
            remaining: Duration::from_secs(1),
        }),
    }
}

async fn replay(
    holder: &Holder,
    services: &Services,
    call: Call<'_>,
    committed: &Committed,
) -> Result<Answered, Error> {
    let response = stored::read(&committed.response, &services.blobs).await?;
    services.metrics.replayed(call.of());
    let usage = summed(holder, &call.key, (&committed.spend, &call.model.price_table)).await;
    if let Some(target) = call.stream {
        target.complete(response.text.trim()).await;
    }
    Ok(Answered {
        usage: marked(usage, &response),
        response,
        replayed: true,
    })
}

/// Gives what the effect has used; where the ledger can't be read now, what the committed call did.
async fn summed(holder: &Holder, key: &EffectKey, (spend, price_table): (&Spend, &str)) -> proto::Usage {
    match ledger::used(holder.journal.as_ref(), key).await {
        Ok(usage) => usage.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(error.message = %error, effect.key = %key, "the ledger could not be read");
            ledger::answered(spend, price_table)
        }
    }
}

fn marked(usage: proto::Usage, response: &GenerateResponse) -> proto::Usage {
    proto::Usage {
        estimated: response.usage_source != UsageSource::Reported,
        ..usage
    }
}

async fn told(telling: Option<Telling>, response: &GenerateResponse) {
    if let Some(telling) = telling {
        telling.finish(response.text.trim()).await;
    }
}
