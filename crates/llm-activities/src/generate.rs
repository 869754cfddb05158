//! `generateText`: read what is asked, prepare it, call once, and say what came of it.

mod answer;
mod prompt;
mod source;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use activity_context::{BlockingPool, scope::Scope};
use blob_store::BlobStore;
use documents::{language, schema::Schema, text, tokens::TokenCounter};
use effect_journal::{EffectKey, Journal, OnUnknown};
use model_clients::provider::{CallOutcome, GenerateCall, ModelInfo, ModelProvider, Progress};
use tokio::sync::watch;
use workflow_types::{
    problem::Problems,
    proto::{self, GenerateTextInput, GenerateTextOutput, ServedBy, StepTiming, TooLong},
    request::Format,
    wire::Wire,
};

use crate::{
    error::Error,
    failed::Failed,
    journaled::{self, Answered, Call, Holder, Payers},
    ledger,
    metrics::Metrics,
    providers::Providers,
    route::{Attempt, Route},
    stream::Target,
};
use source::Ask;

/// The longest one call may take when the activity's own deadline doesn't say less.
const LONGEST_CALL: Duration = Duration::from_mins(10);
/// What is kept of the activity's time to commit and report an answer.
const REPORT_MARGIN: Duration = Duration::from_secs(5);

/// What the activities work with.
pub struct Services {
    /// Claims and commits effects.
    pub journal: Arc<dyn Journal>,
    /// Holds content and answers.
    pub blobs: BlobStore,
    /// Answers.
    pub providers: Providers,
    /// Runs tokenizers and schema checks off the runtime's threads.
    pub pool: BlockingPool,
    /// Counts.
    pub metrics: Metrics,
    /// Names this worker in the journal.
    pub identity: String,
    /// The largest answer that is kept in the journal itself, in bytes of JSON; a larger one goes to the blob store.
    pub journal_response_inline_bytes: usize,
}

/// What was made of the content, and what it took.
struct Prepared {
    text: String,
    language: Option<String>,
    content_tokens: usize,
    prompt_tokens: u32,
    /// Tokens of a schema that the prompt doesn't hold because the provider takes it beside it.
    form_tokens: u32,
    counter: Arc<TokenCounter>,
    schema: Option<Schema>,
}

/// Answers one input; a failure says what the effect has used all the same.
pub(crate) async fn run(
    services: &Services,
    holder: &Holder,
    (input, attempt): (Wire<GenerateTextInput>, Attempt),
    scope: Scope<Progress>,
) -> Result<GenerateTextOutput, Box<Failed>> {
    let input = input.into_message().map_err(Error::from)?;
    let key: EffectKey = input
        .effect_key
        .parse()
        .map_err(|error| bad("effectKey", error))?;
    let answered = Box::pin(answer(services, holder, (&input, key.clone()), scope)).await;
    match answered {
        Ok(output) => Ok(output),
        Err(error) => Err(failed(services, (&input, attempt), &key, error).await),
    }
}

async fn failed(
    services: &Services,
    (input, attempt): (&GenerateTextInput, Attempt),
    key: &EffectKey,
    error: Error,
) -> Box<Failed> {
    let used = ledger::used(services.journal.as_ref(), key).await;
    let usage = used.unwrap_or_else(|error| {
        tracing::warn!(error.message = %error, effect.key = %key, "the ledger could not be read");
        None
    });
    let route = Route::of(input.route.as_ref());
    let leaves = route.is_some_and(|route| route.leaves(error.code(), error.delay(), attempt));
    // A call that may have been answered is not followed by another where the request forbids that.
    let lost = matches!(&error, Error::Provider(error) if error.billing == CallOutcome::Unknown);
    let forbidden = lost && on_unknown(input) == OnUnknown::Fail;
    Box::new(Failed {
        error,
        usage,
        leaves: leaves && !forbidden,
    })
}

async fn answer(
    services: &Services,
    holder: &Holder,
    (input, key): (&GenerateTextInput, EffectKey),
    scope: Scope<Progress>,
) -> Result<GenerateTextOutput, Error> {
    let mut steps = Steps::default();
    let stage = blob_store::StagePrefix::parse(&input.stage_prefix)?;
    let places = (&stage, &services.blobs, &services.metrics);
    let stream = Target::of(input.stream.as_ref(), places)?;
    let payers = Payers::of(input)?;
    let ask = source::read(services, input).await?;
    steps.done("read");
    let (provider, model) = services.providers.find(&ask.model)?;
    let (ask, prepared) = prepare(services, &scope, ask, &model).await?;
    steps.done("preprocess");
    let available = available_tokens(&model, &ask);
    if prepared.prompt_tokens > available {
        let too_long = TooLong {
            prompt_tokens: prompt::count(prepared.prompt_tokens),
            available_tokens: prompt::count(available),
            request: ask.request,
        };
        let path = stage.path(&format!("{}.txt", input.store_name))?;
        return source::too_long(services, &path, &prepared.text, too_long).await;
    }
    let request = prompt::compose(&ask, &prepared.text, &model);
    let (progress, watched) = watch::channel(Progress::default());
    let call = Call {
        key,
        on_unknown: on_unknown(input),
        provider: provider.as_ref(),
        model: &model,
        generate: GenerateCall {
            request: &request,
            deadline: call_deadline(&scope),
            progress,
            deltas: None,
            cancel: scope.cancellation(),
        },
        prompt_tokens: prepared.prompt_tokens,
        form_tokens: prepared.form_tokens,
        counter: Arc::clone(&prepared.counter),
        owner: &services.identity,
        payers,
        stream,
    };
    let answered = reporting(&scope, watched, journaled::run(holder, services, call)).await?;
    steps.done("inference");
    let served = served_by(provider.as_ref(), &answered);
    let made = Made {
        input,
        ask: &ask,
        prepared,
        answered,
        stage: &stage,
        served,
    };
    finish(services, &scope, made, steps).await
}

fn on_unknown(input: &GenerateTextInput) -> OnUnknown {
    match input.on_unknown() {
        proto::OnUnknown::Unspecified | proto::OnUnknown::Repeat => OnUnknown::Repeat,
        proto::OnUnknown::Fail => OnUnknown::Fail,
    }
}

/// What an answer is finished with.
struct Made<'a> {
    input: &'a GenerateTextInput,
    ask: &'a Ask,
    prepared: Prepared,
    answered: Answered,
    stage: &'a blob_store::StagePrefix,
    served: ServedBy,
}

async fn finish(
    services: &Services,
    scope: &Scope<Progress>,
    made: Made<'_>,
    mut steps: Steps,
) -> Result<GenerateTextOutput, Error> {
    let Made {
        input,
        ask,
        prepared,
        answered,
        stage,
        served,
    } = made;
    let Prepared {
        counter,
        schema,
        language,
        content_tokens,
        ..
    } = prepared;
    let json = matches!(ask.output.format, Format::Json(_));
    let response = answered.response;
    let (checked, answer_tokens) = on_pool(services, scope, move || {
        let checked = answer::check(&response, json.then_some(schema).flatten().as_ref());
        let tokens = counter.count(&checked.text);
        (checked, tokens)
    })
    .await?;
    steps.done("postprocess");
    let name = (input.store_answer || ask.output.store).then_some(input.store_name.as_str());
    let stored = answer::place(
        &services.blobs,
        stage,
        &input.store_name,
        name.is_some(),
        &checked,
    )
    .await?;
    steps.done("publish");
    Ok(GenerateTextOutput {
        outcome: checked.outcome.into(),
        answer: Some(stored),
        answer_tokens: prompt::count(answer_tokens),
        usage: Some(answered.usage),
        steps: steps.0,
        served_by: Some(served),
        replayed: answered.replayed,
        language,
        content_tokens: prompt::count(content_tokens),
        problems: checked.problems,
        too_long: None,
        max_repairs: prompt::count(ask.output.max_repairs()),
    })
}

/// Joins, normalises, detects and counts, off the runtime's threads.
async fn prepare(
    services: &Services,
    scope: &Scope<Progress>,
    ask: Ask,
    model: &ModelInfo,
) -> Result<(Ask, Prepared), Error> {
    let counter = {
        let (reference, spec) = (ask.model.clone(), model.tokenizer.clone());
        services.providers.counter(&reference, &spec)?
    };
    let constrained = model.constrained_json;
    on_pool(services, scope, move || {
        let joined = ask.texts.join("\n\n");
        let checked = text::check(joined.as_bytes())?;
        let text = if ask.normalize {
            text::normalise(checked).text
        } else {
            checked.to_owned()
        };
        let language = language::detect(&text).map(|language| language.code.to_owned());
        let schema = match &ask.output.format {
            Format::Text => None,
            Format::Json(form) => Some(Schema::compile(&form.schema)?),
        };
        let content_tokens = counter.count(&text);
        let prompt_tokens = prompt::tokens(&ask, content_tokens, constrained, &counter);
        let form_tokens = prompt::form_tokens(&ask, constrained, &counter);
        Ok((
            ask,
            Prepared {
                text,
                language,
                content_tokens,
                prompt_tokens,
                form_tokens,
                counter,
                schema,
            },
        ))
    })
    .await?
}

async fn on_pool<T: Send + 'static>(
    services: &Services,
    scope: &Scope<Progress>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = services.pool.run(&scope.cancellation(), |_cancel| work()).await?;
    Ok(done.value)
}

/// Passes a call's progress on to the heartbeat while the call runs.
async fn reporting<T>(
    scope: &Scope<Progress>,
    mut watched: watch::Receiver<Progress>,
    call: impl Future<Output = T>,
) -> T {
    let mut call = std::pin::pin!(call);
    loop {
        tokio::select! {
            biased;
            ended = &mut call => return ended,
            changed = watched.changed() => match changed {
                Ok(()) => scope.report(*watched.borrow_and_update()),
                Err(_) => return call.await,
            },
        }
    }
}

fn available_tokens(model: &ModelInfo, ask: &Ask) -> u32 {
    model
        .context_window
        .saturating_sub(ask.parameters.max_output_tokens)
}

fn call_deadline(scope: &Scope<Progress>) -> Duration {
    scope.remaining().map_or(LONGEST_CALL, |left| {
        // A short deadline gives up no more than a fifth of itself.
        left.saturating_sub(REPORT_MARGIN.min(left / 5)).min(LONGEST_CALL)
    })
}

fn served_by(provider: &dyn ModelProvider, answered: &Answered) -> ServedBy {
    ServedBy {
        provider: provider.name().to_owned(),
        model: answered.response.served_model.clone(),
        response_id: answered.response.response_id.clone(),
    }
}

fn bad(path: &str, error: impl std::fmt::Display) -> Error {
    Error::Input(Problems::one(path, error.to_string()))
}

/// The time of each step so far.
#[derive(Default)]
struct Steps(Vec<StepTiming>, Clock);

struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Steps {
    fn done(&mut self, step: &str) {
        let now = Instant::now();
        let milliseconds = now.duration_since(self.1.0).as_secs_f64() * 1_000.0;
        self.0.push(StepTiming {
            step: step.to_owned(),
            milliseconds,
        });
        self.1 = Clock(now);
    }
}

#[cfg(test)]
mod tests;
