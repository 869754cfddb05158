//! One answer from a model: the call, and at most one repair.
//!
//! The activity makes one call and says what came of it; whether to ask again is decided here, where it is visible in
//! history and where each call has a key of its own. Only a [`Mismatch`] can be repaired, and only an answer that ended
//! by itself becomes one: a truncated answer has no way to the repair, so it can't be paid for twice.

use std::time::Duration;

use workflow_types::{
    activities::LlmDeclarations,
    proto::{
        Content, GenerateTextInput, GenerateTextOutput, OnUnknown, Outcome, Problem, Repair, StepTiming,
        TooLong, Usage, content, generate_text_input::Request, generate_text_output,
    },
};

use crate::{failures::StepError, policy, steps::Steps, usage};

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
    /// How long it may take in all.
    pub within: Duration,
}

/// An answer with what it took.
#[derive(Debug, Default)]
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

/// Asks a model, and once more when the answer does not match its schema.
pub(crate) async fn ask<W>(steps: &Steps<W>, question: Question) -> Result<Reply, StepError> {
    let mut answer = Answer::default();
    let mut repair = None;
    loop {
        let input = call_input(steps, &question, answer.repairs, repair.take());
        let output: GenerateTextOutput = steps
            .call(
                LlmDeclarations::generate_text,
                input,
                policy::GENERATE,
                Some(question.within),
            )
            .await?;
        if let Some(too_long) = output.too_long {
            if answer.repairs == 0 {
                return Ok(Reply::TooLong(Box::new(too_long)));
            }
            // The answer and its problems don't fit beside the prompt: the answer stands as it is.
            answer.repairs -= 1;
            return Ok(Reply::Answer(Box::new(answer)));
        }
        usage::add(&mut answer.usage, &output.usage.unwrap_or_default());
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
            Some(_) | None => return Ok(Reply::Answer(Box::new(answer))),
        }
    }
}

fn call_input<W>(
    steps: &Steps<W>,
    question: &Question,
    call: i32,
    repair: Option<Repair>,
) -> GenerateTextInput {
    GenerateTextInput {
        effect_key: steps.scope.effect_key(&format!("{}/call/{call}", question.step)),
        request: Some(question.request.clone()),
        stage_prefix: steps.scope.stage_prefix(),
        on_unknown: question.on_unknown.into(),
        repair,
        store_answer: question.store,
        store_name: question.store_name.clone(),
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
