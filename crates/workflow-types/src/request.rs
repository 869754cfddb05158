//! What a pipeline is asked to do, with only valid values.
//!
//! Parsing **is** the validation: a [`PipelineRequest`] that exists is one that can be run, and no later step asks again
//! whether a temperature is in range. Every wrong value is reported in one go, by its path.

use std::{fmt, time::Duration};

use crate::{
    problem::Problems,
    proto::{LlmPipelineInput, OnUnknown, Placement, StreamSpec},
};

mod budget;
mod content;
mod output;
mod parameters;
mod preparation;
mod review;
mod route;

pub use budget::{Allowed, Budget, LARGEST_AMOUNT, from_double, to_double};
pub use content::{ContentSource, INLINE_LIMIT_BYTES, parse_blob, parse_content};
pub use output::{Format, JsonFormat, Output, SCHEMA_LIMIT_BYTES};
pub use parameters::Parameters;
pub use preparation::Preparation;
pub use review::{Decision, Review};
pub use route::{Fallback, MOST_FALLBACKS};

/// The model that is used when a request names none.
pub const DEFAULT_MODEL: &str = "local/smollm2-135m-instruct";
/// The longest an instruction or a system prompt may be, in bytes.
pub const INSTRUCTION_LIMIT_BYTES: usize = 16 * 1024;
/// The longest a tenant's name may be.
pub const TENANT_LIMIT_BYTES: usize = 64;
/// The longest a person's or a decision's name may be, in bytes.
pub const NAME_LIMIT_BYTES: usize = 128;
/// The longest a reason or a comment may be, in bytes.
pub const REASON_LIMIT_BYTES: usize = 1024;

const DEFAULT_DEADLINE_SECONDS: i32 = 3_600;
const LONGEST_DEADLINE_SECONDS: i32 = 86_400;
const DEFAULT_FLUSH_MILLISECONDS: i32 = 250;

/// One request to a model, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRequest {
    /// What to do with the content.
    pub instruction: Option<String>,
    /// System prompt.
    pub system: Option<String>,
    /// The text to work on.
    pub content: ContentSource,
    /// Which model is asked.
    pub model: ModelRef,
    /// How the model answers.
    pub parameters: Parameters,
    /// What form the answer has.
    pub output: Output,
    /// What happens to the text before.
    pub preprocessing: Preparation,
    /// Where the caller wants the steps to run.
    pub placement: Placement,
    /// Whom the request is for.
    pub tenant: Option<String>,
    /// What to do when a call's outcome could not be learned.
    pub on_unknown: OnUnknown,
    /// When to give up.
    pub deadline: Duration,
    /// What may be spent.
    pub budget: Budget,
    /// The run whose budget pays, when it is not this one.
    pub account: Option<String>,
    /// Which models follow when one fails.
    pub fallback: Fallback,
    /// Whether a person looks at the answer.
    pub review: Option<Review>,
    /// How often a part of the answer is made readable while it is generated; never unless asked for.
    pub stream_flush: Option<Duration>,
}

impl PipelineRequest {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(mut input: LlmPipelineInput) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let spending = Spending::take(&mut input);
        let instruction = bounded_text("instruction", input.instruction, &mut problems);
        let system = bounded_text("system", input.system, &mut problems);
        let content = collect("content", parse_content(input.content), &mut problems);
        let model = parse_model(input.model.as_deref(), &mut problems);
        let parameters = collect(
            "parameters",
            Parameters::parse(input.parameters.unwrap_or_default()),
            &mut problems,
        );
        let output = collect(
            "output",
            Output::parse(input.output.unwrap_or_default()),
            &mut problems,
        );
        let preprocessing = collect(
            "preprocessing",
            Preparation::parse(input.preprocessing.unwrap_or_default()),
            &mut problems,
        );
        let placement = known("placement", input.placement, Placement::Auto, &mut problems);
        let on_unknown = known("onUnknown", input.on_unknown, OnUnknown::Repeat, &mut problems);
        let tenant = parse_tenant(input.tenant, &mut problems);
        let deadline = parse_deadline(
            input.deadline_seconds,
            DEFAULT_DEADLINE_SECONDS,
            LONGEST_DEADLINE_SECONDS,
            &mut problems,
        );
        let spending = spending.parse(model.as_ref(), &mut problems);
        let (Some(content), Some(model), Some(parameters), Some(output), Some(preprocessing), Some(spending)) =
            (content, model, parameters, output, preprocessing, spending)
        else {
            return Err(problems);
        };
        check_placement(placement, &content, &mut problems);
        problems.or(Self {
            instruction,
            system,
            content,
            model,
            parameters,
            output,
            preprocessing,
            placement,
            tenant,
            on_unknown,
            deadline,
            budget: spending.budget,
            account: input.account.filter(|account| !account.is_empty()),
            fallback: spending.fallback,
            review: spending.review,
            stream_flush: spending.stream_flush,
        })
    }
}

/// A model by its provider and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRef {
    provider: String,
    name: String,
}

impl ModelRef {
    /// Parses `provider/model`; the name may hold further slashes.
    ///
    /// # Errors
    ///
    /// What is wrong with the reference.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let parts = text.split_once('/').filter(|(provider, name)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !provider.is_empty()
                && !name.is_empty()
                && provider.chars().all(plain)
                && name.len() <= 200
                && name.chars().all(|c| plain(c) || "/:@+".contains(c))
        });
        let Some((provider, name)) = parts else {
            return Err(Problems::one(
                "model",
                format!("must be provider/model, for example {DEFAULT_MODEL}"),
            ));
        };
        Ok(Self {
            provider: provider.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Gives the provider's name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Gives the model's name at the provider.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.name)
    }
}

/// What a request may cost and who stands in, as it was sent.
struct Spending {
    budget: Option<crate::proto::Budget>,
    fallback_models: Vec<String>,
    fallback_on: Vec<String>,
    fallback_patience_seconds: Option<i32>,
    review: Option<crate::proto::ReviewSpec>,
    stream: Option<StreamSpec>,
}

/// The same with valid values only.
struct ParsedSpending {
    budget: Budget,
    fallback: Fallback,
    review: Option<Review>,
    stream_flush: Option<Duration>,
}

impl Spending {
    fn take(input: &mut LlmPipelineInput) -> Self {
        Self {
            budget: input.budget.take(),
            fallback_models: std::mem::take(&mut input.fallback_models),
            fallback_on: std::mem::take(&mut input.fallback_on),
            fallback_patience_seconds: input.fallback_patience_seconds,
            review: input.review.take(),
            stream: input.stream.take(),
        }
    }

    fn parse(self, model: Option<&ModelRef>, problems: &mut Problems) -> Option<ParsedSpending> {
        let budget = collect("budget", Budget::parse(self.budget.unwrap_or_default()), problems);
        let fallback = Fallback::parse(
            model,
            &self.fallback_models,
            &self.fallback_on,
            self.fallback_patience_seconds,
        );
        let fallback = fallback.map_err(|found| problems.extend(found)).ok();
        let review = self
            .review
            .and_then(|spec| collect("review", Review::parse(spec), problems));
        let stream_flush = self.stream.map(|spec| parse_flush(spec, problems));
        Some(ParsedSpending {
            budget: budget?,
            fallback: fallback?,
            review,
            stream_flush,
        })
    }
}

fn parse_flush(spec: StreamSpec, problems: &mut Problems) -> Duration {
    let milliseconds = spec.flush_milliseconds.unwrap_or(DEFAULT_FLUSH_MILLISECONDS);
    if !(100..=5_000).contains(&milliseconds) {
        problems.at("stream.flushMilliseconds", "must be 100 to 5,000");
    }
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

/// Checks who acts: a name, so that what was done has one.
pub(crate) fn parse_actor(actor: &str, problems: &mut Problems) {
    if actor.trim().is_empty() || actor.len() > NAME_LIMIT_BYTES || actor.chars().any(char::is_control) {
        problems.at(
            "actor",
            format!("must say who acts, in 1 to {NAME_LIMIT_BYTES} bytes"),
        );
    }
}

/// Checks a reason that is kept.
pub(crate) fn bounded_reason(name: &str, text: Option<&str>, problems: &mut Problems) {
    if text.is_some_and(|text| text.len() > REASON_LIMIT_BYTES) {
        problems.at(name, format!("is longer than {REASON_LIMIT_BYTES} bytes"));
    }
}

/// Parses a deadline in whole seconds.
pub(crate) fn parse_deadline(
    seconds: Option<i32>,
    default: i32,
    longest: i32,
    problems: &mut Problems,
) -> Duration {
    let seconds = seconds.unwrap_or(default);
    if !(1..=longest).contains(&seconds) {
        problems.at("deadlineSeconds", format!("must be 1 to {longest}"));
    }
    Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
}

/// Takes over a part, or its problems below the part's name.
pub(crate) fn collect<T>(name: &str, part: Result<T, Problems>, problems: &mut Problems) -> Option<T> {
    part.map_err(|found| problems.extend_below(name, found)).ok()
}

/// Parses a number of an enum; unset and unspecified mean `default`.
pub(crate) fn known<E: TryFrom<i32>>(
    name: &str,
    number: Option<i32>,
    default: E,
    problems: &mut Problems,
) -> E {
    match number {
        None | Some(0) => default,
        Some(number) => E::try_from(number).unwrap_or_else(|_| {
            problems.at(name, format!("{number} is not one of its values"));
            default
        }),
    }
}

fn bounded_text(name: &str, text: Option<String>, problems: &mut Problems) -> Option<String> {
    let text = text.filter(|text| !text.trim().is_empty())?;
    if text.len() > INSTRUCTION_LIMIT_BYTES {
        problems.at(
            name,
            format!(
                "is {} bytes; at most {INSTRUCTION_LIMIT_BYTES} are taken",
                text.len()
            ),
        );
    }
    Some(text)
}

fn check_placement(placement: Placement, content: &ContentSource, problems: &mut Problems) {
    if placement == Placement::AiWorker && content.is_reference() {
        problems.at(
            "placement",
            "content by reference runs on the data-worker; leave placement out or send the text inline",
        );
    }
}

fn parse_model(text: Option<&str>, problems: &mut Problems) -> Option<ModelRef> {
    match ModelRef::parse(text.unwrap_or(DEFAULT_MODEL)) {
        Ok(model) => Some(model),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

fn parse_tenant(tenant: Option<String>, problems: &mut Problems) -> Option<String> {
    let tenant = tenant?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if tenant.is_empty() || tenant.len() > TENANT_LIMIT_BYTES || !tenant.chars().all(plain) {
        problems.at(
            "tenant",
            format!("must be 1 to {TENANT_LIMIT_BYTES} letters, digits or ._-"),
        );
    }
    Some(tenant)
}

#[cfg(test)]
mod tests;
