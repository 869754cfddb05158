//! How a model answers, with the ranges that every provider takes.

use crate::{problem::Problems, proto::GenerationParameters};

const DEFAULT_OUTPUT_TOKENS: i32 = 256;
const MOST_OUTPUT_TOKENS: i32 = 131_072;
const MOST_STOPS: usize = 4;
const STOP_LIMIT_BYTES: usize = 256;

/// How a model answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// The most tokens one call may answer with.
    pub max_output_tokens: u32,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Makes sampling repeatable where supported.
    pub seed: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
}

impl Parameters {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value out of its range, by its path.
    pub fn parse(input: GenerationParameters) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let tokens = input.max_output_tokens.unwrap_or(DEFAULT_OUTPUT_TOKENS);
        if !(1..=MOST_OUTPUT_TOKENS).contains(&tokens) {
            problems.at("maxOutputTokens", format!("must be 1 to {MOST_OUTPUT_TOKENS}"));
        }
        let temperature = input.temperature.unwrap_or(0.0);
        if !(0.0..=2.0).contains(&temperature) {
            problems.at("temperature", "must be 0 to 2");
        }
        if input.top_p.is_some_and(|top_p| !(top_p > 0.0 && top_p <= 1.0)) {
            problems.at("topP", "must be above 0 and at most 1");
        }
        let seed = input.seed.map(|seed| {
            u32::try_from(seed).unwrap_or_else(|_| {
                problems.at("seed", "must not be negative");
                0
            })
        });
        if input.stop.len() > MOST_STOPS {
            problems.at("stop", format!("at most {MOST_STOPS} texts are taken"));
        }
        for (index, stop) in input.stop.iter().enumerate() {
            if stop.is_empty() || stop.len() > STOP_LIMIT_BYTES {
                problems.at(
                    format!("stop[{index}]"),
                    format!("must be 1 to {STOP_LIMIT_BYTES} bytes"),
                );
            }
        }
        problems.or(Self {
            max_output_tokens: tokens.unsigned_abs(),
            temperature,
            top_p: input.top_p,
            seed,
            stop: input.stop,
        })
    }
}

impl From<Parameters> for GenerationParameters {
    fn from(parameters: Parameters) -> Self {
        Self {
            max_output_tokens: i32::try_from(parameters.max_output_tokens).ok(),
            temperature: Some(parameters.temperature),
            top_p: parameters.top_p,
            seed: parameters.seed.and_then(|seed| i32::try_from(seed).ok()),
            stop: parameters.stop,
        }
    }
}
