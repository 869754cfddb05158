//! Produces one answer, token after token, on a thread of its own.
//!
//! Nothing here waits, so nothing here is asynchronous: a call's limits are asked for between steps. A prompt is
//! taken in slices for the same reason: a long one takes seconds, and a call that is cancelled must not finish it
//! first.

use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use model_clients::{
    CallOutcome, Deltas, Error, ErrorKind, Finish, GenerateRequest, GenerateResponse, LimitHeaders, Progress,
    ResponseFormat, Usage, UsageSource,
};
use tokio::sync::watch;

use crate::answer::Answer;
use crate::constraint::Constraint;
use crate::limits::Limits;
use crate::llama::Cache;
use crate::model::Model;

/// Tokens of a prompt between two looks at the limits.
const PREFILL_SLICE: usize = 128;

/// The seed of sampling where a request brings none; fixed, so that a request that is repeated is answered alike.
const DEFAULT_SEED: i64 = 0;

/// One answer to produce.
pub(crate) struct Job {
    pub(crate) request: GenerateRequest,
    pub(crate) limits: Limits,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) deltas: Option<Deltas>,
}

/// Refuses a request that no model could answer.
pub(crate) fn check(request: &GenerateRequest) -> Result<(), Error> {
    let problem = if request.messages.is_empty() {
        "the request has no messages"
    } else if request.max_output_tokens == 0 {
        "max_output_tokens is 0; must be at least 1"
    } else if request
        .temperature
        .is_some_and(|value| !(0.0..=100.0).contains(&value))
    {
        "temperature must be from 0 to 100"
    } else if request.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        "top_p must be above 0 and at most 1"
    } else if request.stop.iter().any(String::is_empty) {
        "a stop text is empty"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::InvalidRequest,
        CallOutcome::NotSent,
        problem,
    ))
}

/// Produces the answer.
pub(crate) fn run(model: &Model, job: &Job) -> Result<GenerateResponse, Error> {
    let prompt = prompt(model, &job.request)?;
    let mut run = Run::new(model, job, prompt.len())?;
    let mut state = run.prefill(&prompt)?;
    // Tokens that are in the answer and not yet in the model's state.
    let mut pending = Vec::new();
    loop {
        let mut next = run.forced();
        if next.is_empty() {
            if !pending.is_empty() {
                run.check()?;
                state = model.llama.advance(&mut run.cache, &pending).map_err(engine)?;
                pending.clear();
            }
            next.push(run.choose(&state)?);
        }
        for token in next {
            if let Some(finish) = run.take(token)? {
                return Ok(run.finish(finish));
            }
            pending.push(token);
        }
    }
}

/// Writes the conversation down and refuses it where it does not leave room for the answer.
fn prompt(model: &Model, request: &GenerateRequest) -> Result<Vec<u32>, Error> {
    let refused = |message: String| Error::new(ErrorKind::InvalidRequest, CallOutcome::NotBilled, message);
    let (output, window) = (request.max_output_tokens, model.context_window);
    if let Some(most) = model.max_output_tokens.filter(|most| output > *most) {
        return Err(refused(format!(
            "max_output_tokens is {output}, above the model's {most}"
        )));
    }
    let too_long = |tokens: usize, at_least: &str| {
        refused(format!(
            "the prompt has {at_least}{tokens} tokens, which with {output} for the answer exceed the context window \
             of {window}; shorten the prompt or ask for fewer tokens"
        ))
    };
    let fits = |tokens: usize| tokens as u64 + u64::from(output) <= u64::from(window);
    let pieces = model.template.pieces(&request.messages);
    let least = model.vocabulary.least_tokens(&pieces);
    if !fits(least) {
        return Err(too_long(least, "at least "));
    }
    let tokens = model.vocabulary.encode(&pieces).map_err(|source| {
        Error::new(
            ErrorKind::Internal,
            CallOutcome::NotBilled,
            "the tokenizer failed on the prompt; check the model file",
        )
        .with_source(source)
    })?;
    if fits(tokens.len()) {
        Ok(tokens)
    } else {
        Err(too_long(tokens.len(), ""))
    }
}

/// An answer in the making.
struct Run<'a> {
    model: &'a Model,
    job: &'a Job,
    cache: Cache,
    sampler: LogitsProcessor,
    constraint: Option<Constraint>,
    /// Added to the logits where there is no constraint: takes out control tokens that end nothing.
    bias: Tensor,
    answer: Answer<'a>,
    input_tokens: u32,
    output_tokens: u32,
    first_token_ms: Option<u64>,
    /// Bytes of the answer that whoever reads along has been told.
    told: usize,
}

impl<'a> Run<'a> {
    fn new(model: &'a Model, job: &'a Job, input_tokens: usize) -> Result<Self, Error> {
        let request = &job.request;
        let constraint = match &request.response_format {
            ResponseFormat::Text => None,
            ResponseFormat::JsonSchema(schema) => Some(model.constraints.for_schema(schema)?),
        };
        let mut bias = vec![0.0_f32; model.vocabulary.len()];
        for id in model.vocabulary.never() {
            if let Some(value) = bias.get_mut(*id as usize) {
                *value = f32::NEG_INFINITY;
            }
        }
        let seed = request.seed.unwrap_or(DEFAULT_SEED).cast_unsigned();
        Ok(Self {
            model,
            job,
            cache: model
                .llama
                .cache(input_tokens + request.max_output_tokens as usize),
            sampler: LogitsProcessor::new(seed, request.temperature, request.top_p),
            constraint,
            bias: Tensor::new(bias, &Device::Cpu).map_err(engine)?,
            answer: Answer::new(&request.stop),
            // The window check has held it against a u32.
            input_tokens: u32::try_from(input_tokens).unwrap_or(u32::MAX),
            output_tokens: 0,
            first_token_ms: None,
            told: 0,
        })
    }

    fn prefill(&mut self, prompt: &[u32]) -> Result<Tensor, Error> {
        let (mut done, mut state) = (0, None);
        for slice in prompt.chunks(PREFILL_SLICE) {
            self.job
                .limits
                .check(|| format!("after {done} of {} tokens of the prompt", prompt.len()))?;
            state = Some(self.model.llama.advance(&mut self.cache, slice).map_err(engine)?);
            done += slice.len();
        }
        state.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                CallOutcome::NotBilled,
                "the prompt has no tokens",
            )
        })
    }

    fn check(&self) -> Result<(), Error> {
        self.job
            .limits
            .check(|| format!("after {} tokens of the answer", self.output_tokens))
    }

    fn forced(&mut self) -> Vec<u32> {
        self.constraint.as_mut().map_or_else(Vec::new, Constraint::forced)
    }

    fn choose(&mut self, state: &Tensor) -> Result<u32, Error> {
        let logits = self.model.llama.logits(state).map_err(engine)?;
        // Weights may be padded beyond the vocabulary.
        let logits = logits.narrow(0, 0, self.model.vocabulary.len()).map_err(engine)?;
        let logits = match &mut self.constraint {
            None => logits.add(&self.bias),
            Some(constraint) => logits.add(&constraint.bias()?),
        };
        logits
            .and_then(|logits| self.sampler.sample(&logits))
            .map_err(engine)
    }

    /// Adds a token to the answer; says why it ended, if it did.
    fn take(&mut self, token: u32) -> Result<Option<Finish>, Error> {
        self.output_tokens += 1;
        if self.model.vocabulary.end().contains(&token) {
            return Ok(Some(Finish::Stop));
        }
        let stopped = self.answer.push(self.model.vocabulary.bytes(token));
        if self.answer.len() > 0 && self.first_token_ms.is_none() {
            self.first_token_ms = Some(self.job.limits.elapsed_ms());
        }
        self.job.progress.send_replace(Progress {
            output_tokens: self.output_tokens,
            bytes: self.answer.len() as u64,
        });
        self.tell(self.answer.settled());
        let complete = match &mut self.constraint {
            None => false,
            Some(constraint) => constraint.accept(token)?,
        };
        Ok(if stopped || complete {
            Some(Finish::Stop)
        } else if self.output_tokens >= self.job.request.max_output_tokens {
            Some(Finish::Length)
        } else {
            None
        })
    }

    /// Tells whoever reads along the text up to `end`.
    fn tell(&mut self, end: usize) {
        let Some(deltas) = &self.job.deltas else { return };
        let piece = self.answer.text().get(self.told..end).unwrap_or_default();
        if !piece.is_empty() {
            self.told = end;
            // A reader that has gone away is no reason to lose the answer.
            deltas.send(piece.to_owned()).ok();
        }
    }

    fn finish(mut self, finish: Finish) -> GenerateResponse {
        self.tell(self.answer.len());
        let total_ms = self.job.limits.elapsed_ms();
        GenerateResponse {
            text: self.answer.into_text(),
            finish,
            usage: Usage {
                input_tokens: self.input_tokens,
                cached_input_tokens: 0,
                cache_write_input_tokens: 0,
                output_tokens: self.output_tokens,
                reasoning_tokens: 0,
            },
            usage_source: UsageSource::Reported,
            served_model: self.job.request.model.clone(),
            response_id: None,
            request_id: None,
            limits: LimitHeaders::default(),
            first_token_ms: self.first_token_ms.unwrap_or(total_ms),
            total_ms,
        }
    }
}

fn engine(source: candle_core::Error) -> Error {
    Error::new(
        ErrorKind::Internal,
        CallOutcome::NotBilled,
        "the inference engine failed; check the model file",
    )
    .with_source(source)
}
