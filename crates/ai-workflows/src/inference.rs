//! One answer from a model: the call, at most one repair, and the next model when one fails.
//!
//! The activity makes one call and says what came of it; whether to ask again is decided here, where it is visible in
//! history and where each call has a key of its own. Only a [`Mismatch`] can be repaired, and only an answer that ended
//! by itself becomes one: a truncated answer has no way to the repair, so it can't be paid for twice.

use std::time::Duration;

use workflow_types::{
    activities::LlmDeclarations,
    failure::FailureCode,
    proto::{
        BudgetClaim, BudgetExhausted, CandidateRoute, Content, GenerateTextInput, GenerateTextOutput,
        OnUnknown, Outcome, Problem, Repair, RouteStep, StepTiming, StreamTarget, TooLong, Usage, content,
        generate_text_input::Request, generate_text_output,
    },
    request::{Fallback, ModelRef, to_double},
};

use crate::{
    failures::{Failure, StepError},
    policy,
    spending::{self, Place, Spends},
    steps::Steps,
    supervision, usage,
};

/// What is kept of why a model was left, in characters.
const ROUTE_MESSAGE_CHARS: usize = 300;

/// What is asked, and under which name.
pub(crate) struct Question {
    /// The logical step, for example `chunk/3`; the key of each call is below it.
    pub step: String,
    /// The prompt, or where it is.
    pub request: Request,
    /// What to do when a call's outcome could not be learned.
    pub on_unknown: OnUnknown,
    /// Whether the answer goes to the blob store whatever its size.
    pub store: bool,
    /// The name of a stored answer below the run's prefix.
    pub store_name: String,
    /// How long it may take in all; the run's own time unless given.
    pub within: Option<Duration>,
    /// The model that is asked first.
    pub model: ModelRef,
    /// Which models follow.
    pub fallback: Fallback,
    /// Whom it is for.
    pub tenant: Option<String>,
    /// Where the answer is written while it is generated.
    pub stream: Option<StreamTarget>,
}

/// An answer with what it took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// What the last call gave.
    pub output: GenerateTextOutput,
    /// Tokens of all calls.
    pub usage: Usage,
    /// Steps of all calls.
    pub steps: Vec<StepTiming>,
    /// Repairs that were tried.
    pub repairs: i32,
    /// Answers that came from the effect journal.
    pub replayed: i32,
    /// Models that were left for the next one.
    pub route_trace: Vec<RouteStep>,
}

/// What came of a question.
pub(crate) enum Reply {
    /// An answer.
    Answer(Box<Answer>),
    /// The prompt doesn't fit and has to be cut; nothing was called.
    TooLong(Box<TooLong>),
}

/// An answer that ended by itself and does not match its schema.
struct Mismatch {
    answer: Content,
    problems: Vec<Problem>,
}

impl Mismatch {
    /// The only way to a repair.
    fn of(output: &GenerateTextOutput) -> Option<Self> {
        let answer = match output.answer.clone()? {
            generate_text_output::Answer::Text(text) => content::Source::Text(text),
            generate_text_output::Answer::Blob(blob) => content::Source::Blob(blob),
            generate_text_output::Answer::Json(_) => return None,
        };
        (output.outcome() == Outcome::SchemaMismatch).then(|| Self {
            answer: Content { source: Some(answer) },
            problems: output.problems.clone(),
        })
    }
}

impl From<Mismatch> for Repair {
    fn from(mismatch: Mismatch) -> Self {
        Self {
            answer: Some(mismatch.answer),
            problems: mismatch.problems,
        }
    }
}

/// Asks a model, and once more when its answer does not match its schema; when the model fails, the next one.
pub(crate) async fn ask<W: Spends>(steps: &Steps<W>, question: Question) -> Result<Reply, StepError> {
    let mut answer = Answer::default();
    let mut candidate = 0;
    loop {
        let asked = ask_candidate(steps, &question, candidate, &mut answer).await;
        let last = candidate + 1 >= question.candidates();
        let left = match asked {
            Ok(reply) if last => return Ok(reply),
            Ok(reply) => match question.leaves(&reply) {
                // The first one's window is what the content is cut for; a later one is just no use.
                Some(_) if candidate == 0 && matches!(reply, Reply::TooLong(_)) => return Ok(reply),
                Some(step) => step,
                None => return Ok(reply),
            },
            Err(StepError::Failed(failure)) => {
                usage::add(&mut answer.usage, &failure.usage);
                let step = question.route_step(candidate, failure.code, &failure.message);
                let leave = !last && question.fallback.on.contains(&failure.code);
                if !leave {
                    // The way here is worth telling only when there was one.
                    if candidate > 0 {
                        answer.route_trace.push(step);
                    }
                    return Err(Failure {
                        usage: answer.usage,
                        route_trace: answer.route_trace,
                        ..*failure
                    }
                    .into());
                }
                step
            }
            Err(StepError::Cancelled) => return Err(StepError::Cancelled),
        };
        answer.route_trace.push(RouteStep {
            model: question.model(candidate).to_string(),
            ..left
        });
        answer.repairs = 0;
        candidate += 1;
    }
}

/// Asks one model until it has answered in the form that was asked for, or as often as is allowed.
async fn ask_candidate<W: Spends>(
    steps: &Steps<W>,
    question: &Question,
    candidate: usize,
    answer: &mut Answer,
) -> Result<Reply, StepError> {
    let mut repair = None;
    loop {
        let call = Call {
            candidate,
            number: answer.repairs,
            repair: repair.take(),
        };
        let output = call_within_budget(steps, question, call).await?;
        if let Some(too_long) = output.too_long {
            if answer.repairs == 0 {
                return Ok(Reply::TooLong(Box::new(too_long)));
            }
            // The answer and its problems don't fit beside the prompt: the answer stands as it is.
            answer.repairs -= 1;
            return Ok(Reply::Answer(Box::new(std::mem::take(answer))));
        }
        usage::add(&mut answer.usage, &output.usage.clone().unwrap_or_default());
        answer.steps.extend(output.steps.iter().cloned());
        answer.replayed += i32::from(output.replayed);
        let mismatch = Mismatch::of(&output);
        let allowed = output.max_repairs;
        answer.output = output;
        match mismatch {
            Some(mismatch) if answer.repairs < allowed => {
                answer.repairs += 1;
                repair = Some(mismatch.into());
            }
            Some(_) | None => return Ok(Reply::Answer(Box::new(answer.clone()))),
        }
    }
}

/// One call of a question.
struct Call {
    candidate: usize,
    number: i32,
    repair: Option<Repair>,
}

/// Makes one call, waiting for the budget where it doesn't fit and the request says so.
async fn call_within_budget<W: Spends>(
    steps: &Steps<W>,
    question: &Question,
    call: Call,
) -> Result<GenerateTextOutput, StepError> {
    let mut place = Place::new();
    let mut input = call_input(steps, question, call);
    loop {
        place.pass(steps).await?;
        let (budget, deadline) = steps.ctx.state(|state| {
            let spending = state.spending();
            let budget = spending.allowed.budget;
            let claim = BudgetClaim {
                account: spending.account.clone(),
                max_cost_micros: budget.max_cost_micros.map(to_double),
                max_tokens: budget.max_tokens.map(to_double),
            };
            ((claim, budget.on_exhausted), spending.allowed.deadline_seconds)
        });
        let (claim, on_exhausted) = budget;
        input.budget = Some(claim);
        let called = steps
            .call(
                LlmDeclarations::generate_text,
                input.clone(),
                policy::GENERATE,
                Some(question.within.unwrap_or_else(|| supervision::granted(steps))),
            )
            .await;
        let shortfall = called.as_ref().err().and_then(spending::shortfall);
        match shortfall {
            Some(shortfall) if on_exhausted != BudgetExhausted::Fail => {
                place.park(steps, shortfall, steps.now()).await?;
            }
            // The time that the call had was the run's, and the run was given more.
            None if out_of_time(&called) && has_more_time(steps, deadline) => {}
            Some(_) | None => {
                place.end(steps);
                return called;
            }
        }
    }
}

fn out_of_time(called: &Result<GenerateTextOutput, StepError>) -> bool {
    matches!(called, Err(StepError::Failed(failure)) if failure.code == FailureCode::DeadlineExceeded)
}

fn has_more_time<W: Spends>(steps: &Steps<W>, deadline_seconds: i32) -> bool {
    steps
        .ctx
        .state(|state| state.spending().allowed.deadline_seconds > deadline_seconds)
}

impl Question {
    fn candidates(&self) -> usize {
        self.fallback.models.len() + 1
    }

    /// Gives the model of a candidate; the first is the request's own.
    fn model(&self, candidate: usize) -> &ModelRef {
        candidate
            .checked_sub(1)
            .and_then(|later| self.fallback.models.get(later))
            .unwrap_or(&self.model)
    }

    /// Tells whether a reply, though no error, lets the next model be tried.
    fn leaves(&self, reply: &Reply) -> Option<RouteStep> {
        let (code, message) = match reply {
            Reply::TooLong(_) => (
                FailureCode::InvalidRequest,
                "the prompt doesn't fit its context window",
            ),
            Reply::Answer(answer) => {
                let filtered = answer.output.outcome() == Outcome::ContentFiltered
                    && self.fallback.on.contains(&FailureCode::ContentFilter);
                if !filtered {
                    return None;
                }
                (FailureCode::ContentFilter, "the provider withheld its answer")
            }
        };
        Some(self.route_step(0, code, message))
    }

    fn route_step(&self, candidate: usize, code: FailureCode, message: &str) -> RouteStep {
        RouteStep {
            model: self.model(candidate).to_string(),
            code: code.as_str().to_owned(),
            message: message.chars().take(ROUTE_MESSAGE_CHARS).collect(),
            step: self.step.clone(),
        }
    }

    /// Gives what one candidate is asked.
    fn request(&self, candidate: usize) -> Request {
        let mut request = self.request.clone();
        if candidate > 0 {
            let model = self.model(candidate).to_string();
            match &mut request {
                Request::Prompt(prompt) => prompt.model = model,
                Request::Line(line) => line.model = Some(model),
            }
        }
        request
    }
}

fn call_input<W>(steps: &Steps<W>, question: &Question, call: Call) -> GenerateTextInput {
    let Call {
        candidate,
        number,
        repair,
    } = call;
    // The first candidate's keys are those of a request without others, so that adding some changes no key.
    let step = match candidate {
        0 => format!("{}/call/{number}", question.step),
        later => format!("{}/candidate/{later}/call/{number}", question.step),
    };
    let has_next = candidate + 1 < question.candidates();
    let route = has_next.then(|| CandidateRoute {
        has_next,
        patience_seconds: i32::try_from(question.fallback.patience.as_secs()).unwrap_or(i32::MAX),
        fallback_on: question
            .fallback
            .on
            .iter()
            .map(|code| code.as_str().to_owned())
            .collect(),
    });
    GenerateTextInput {
        effect_key: steps.scope.effect_key(&step),
        request: Some(question.request(candidate)),
        stage_prefix: steps.scope.stage_prefix(),
        on_unknown: question.on_unknown.into(),
        repair,
        store_answer: question.store,
        store_name: question.store_name.clone(),
        tenant: question.tenant.clone(),
        budget: None,
        route,
        stream: question.stream.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(outcome: Outcome) -> GenerateTextOutput {
        let answer = Some(generate_text_output::Answer::Text("{".into()));
        GenerateTextOutput {
            outcome: outcome.into(),
            answer,
            ..GenerateTextOutput::default()
        }
    }

    #[test]
    fn only_an_answer_that_ended_by_itself_can_be_repaired() {
        assert!(Mismatch::of(&output(Outcome::SchemaMismatch)).is_some());
        for outcome in [Outcome::Truncated, Outcome::Completed, Outcome::ContentFiltered] {
            assert!(Mismatch::of(&output(outcome)).is_none(), "{outcome:?}");
        }
    }
}
