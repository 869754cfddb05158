//! What a pipeline is asked to do, with only valid values.
//!
//! Parsing **is** the validation: a [`PipelineRequest`] that exists is one that can be run, and no later step asks again
//! whether a temperature is in range. Every wrong value is reported in one go, by its path.

use std::{fmt, time::Duration};

use crate::{
    problem::Problems,
    proto::{LlmPipelineInput, OnUnknown, Placement, Preprocessing},
};

mod content;
mod output;
mod parameters;

pub use content::{ContentSource, INLINE_LIMIT_BYTES, parse_blob, parse_content};
pub use output::{Format, JsonFormat, Output, SCHEMA_LIMIT_BYTES};
pub use parameters::Parameters;

/// The model that is used when a request names none.
pub const DEFAULT_MODEL: &str = "local/smollm2-135m-instruct";
/// The longest an instruction or a system prompt may be, in bytes.
pub const INSTRUCTION_LIMIT_BYTES: usize = 16 * 1024;
/// The longest a tenant's name may be.
pub const TENANT_LIMIT_BYTES: usize = 64;

const DEFAULT_DEADLINE_SECONDS: i32 = 3_600;
const LONGEST_DEADLINE_SECONDS: i32 = 86_400;

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
}

impl PipelineRequest {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(input: LlmPipelineInput) -> Result<Self, Problems> {
        let mut problems = Problems::new();
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
        let (Some(content), Some(model), Some(parameters), Some(output), Some(preprocessing)) =
            (content, model, parameters, output, preprocessing)
        else {
            return Err(problems);
        };
        if placement == Placement::AiWorker && content.is_reference() {
            problems.at(
                "placement",
                "content by reference runs on the data-worker; leave placement out or send the text inline",
            );
        }
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

/// What happens to the text before the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preparation {
    /// Whether to normalise.
    pub normalize: bool,
    /// Tokens a chunk may hold, when less than the window.
    pub chunk_tokens: Option<u32>,
    /// Tokens that neighbouring chunks share.
    pub chunk_overlap_tokens: u32,
    /// Chunks in flight at once.
    pub max_concurrent_chunks: usize,
    /// What to do with the joined answers.
    pub reduce_instruction: Option<String>,
}

impl Preparation {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path.
    pub fn parse(input: Preprocessing) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let chunk_tokens = input.chunk_tokens.map(|tokens| {
            u32::try_from(tokens)
                .ok()
                .filter(|tokens| *tokens >= 16)
                .unwrap_or_else(|| {
                    problems.at("chunkTokens", "must be at least 16");
                    16
                })
        });
        let overlap = input.chunk_overlap_tokens.unwrap_or(0);
        let chunk_overlap_tokens = u32::try_from(overlap).unwrap_or_else(|_| {
            problems.at("chunkOverlapTokens", "must not be negative");
            0
        });
        if chunk_tokens.is_some_and(|tokens| chunk_overlap_tokens > tokens / 2) {
            problems.at("chunkOverlapTokens", "must be at most half of chunkTokens");
        }
        let wanted = input.max_concurrent_chunks.unwrap_or(4);
        let max_concurrent_chunks = usize::try_from(wanted)
            .ok()
            .filter(|count| (1..=64).contains(count))
            .unwrap_or_else(|| {
                problems.at("maxConcurrentChunks", "must be 1 to 64");
                1
            });
        let reduce_instruction = bounded_text("reduceInstruction", input.reduce_instruction, &mut problems);
        problems.or(Self {
            normalize: input.normalize.unwrap_or(true),
            chunk_tokens,
            chunk_overlap_tokens,
            max_concurrent_chunks,
            reduce_instruction,
        })
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
