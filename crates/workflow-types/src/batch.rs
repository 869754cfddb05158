//! A file of requests: its input parsed, and how an item and the defaults make one request.

use std::time::Duration;

use crate::{
    problem::Problems,
    proto::{
        BlobRef, Content, GenerationParameters, LlmBatchInput, LlmBatchItem, LlmBatchProgress,
        LlmPipelineInput, content::Source,
    },
    request::{Budget, Fallback, ModelRef, PipelineRequest, collect, parse_blob, parse_deadline},
};

const DEFAULT_DEADLINE_SECONDS: i32 = 86_400;
const LONGEST_DEADLINE_SECONDS: i32 = 2_592_000;

/// A file of requests, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchRequest {
    /// The file.
    pub items: BlobRef,
    /// What items don't say themselves.
    pub defaults: LlmPipelineInput,
    /// Items in flight at once.
    pub window: usize,
    /// Items a page holds.
    pub page_items: i32,
    /// When to give up.
    pub deadline: Duration,
    /// What the whole file may spend.
    pub budget: Budget,
    /// The model that items ask first.
    pub model: ModelRef,
    /// Which models follow when one fails.
    pub fallback: Fallback,
    /// What an earlier run handed on.
    pub progress: Option<LlmBatchProgress>,
}

impl BatchRequest {
    /// Parses what a caller sent.
    ///
    /// # Errors
    ///
    /// Every value that can't be used, by its path, those of the defaults included.
    pub fn parse(input: LlmBatchInput) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let items = if let Some(blob) = input.items {
            collect("items", parse_blob(blob), &mut problems)
        } else {
            problems.at("items", "is missing; set it to a reference to a JSONL file");
            None
        };
        let defaults = input.defaults.unwrap_or_default();
        let probed = check_defaults(&defaults, &mut problems);
        let window = in_range("window", input.window, 16, 200, &mut problems);
        let page_items = in_range("pageItems", input.page_items, 100, 500, &mut problems);
        let deadline = parse_deadline(
            input.deadline_seconds,
            DEFAULT_DEADLINE_SECONDS,
            LONGEST_DEADLINE_SECONDS,
            &mut problems,
        );
        let budget = collect(
            "budget",
            Budget::parse(input.budget.unwrap_or_default()),
            &mut problems,
        );
        let (Some(items), Some(budget), Some(probed)) = (items, budget, probed) else {
            return Err(problems);
        };
        problems.or(Self {
            items,
            defaults,
            window: usize::try_from(window).unwrap_or(1),
            page_items,
            deadline,
            budget,
            model: probed.model,
            fallback: probed.fallback,
            progress: input.progress,
        })
    }
}

/// Makes one request of an item and the defaults; what the item says wins, parameter by parameter.
pub fn resolve(defaults: &LlmPipelineInput, item: LlmBatchItem) -> LlmPipelineInput {
    let shorthand = item.text.map(|text| Content {
        source: Some(Source::Text(text)),
    });
    LlmPipelineInput {
        instruction: item.instruction.or_else(|| defaults.instruction.clone()),
        content: item.content.or(shorthand),
        system: item.system.or_else(|| defaults.system.clone()),
        parameters: merge_parameters(defaults.parameters.clone(), item.parameters),
        output: item.output.or_else(|| defaults.output.clone()),
        ..defaults.clone()
    }
}

fn merge_parameters(
    defaults: Option<GenerationParameters>,
    item: Option<GenerationParameters>,
) -> Option<GenerationParameters> {
    let Some(item) = item else { return defaults };
    let defaults = defaults.unwrap_or_default();
    Some(GenerationParameters {
        max_output_tokens: item.max_output_tokens.or(defaults.max_output_tokens),
        temperature: item.temperature.or(defaults.temperature),
        top_p: item.top_p.or(defaults.top_p),
        seed: item.seed.or(defaults.seed),
        stop: if item.stop.is_empty() {
            defaults.stop
        } else {
            item.stop
        },
    })
}

/// The defaults have no content of their own; with a stand-in for it they have to be a request that can run.
fn check_defaults(defaults: &LlmPipelineInput, problems: &mut Problems) -> Option<PipelineRequest> {
    if defaults.content.is_some() {
        problems.at("defaults.content", "must be unset; each item brings its own");
    }
    if defaults.budget.is_some() {
        problems.at(
            "defaults.budget",
            "must be unset; set budget, which the items share",
        );
    }
    if defaults.stream.is_some() {
        problems.at(
            "defaults.stream",
            "must be unset; the answers of a batch can't be followed",
        );
    }
    if defaults.account.is_some() {
        problems.at(
            "defaults.account",
            "must be unset; the items' account is the batch",
        );
    }
    let stand_in = Content {
        source: Some(Source::Text("x".into())),
    };
    let probe = LlmPipelineInput {
        content: Some(stand_in),
        ..defaults.clone()
    };
    collect("defaults", PipelineRequest::parse(probe), problems)
}

fn in_range(name: &str, value: Option<i32>, default: i32, most: i32, problems: &mut Problems) -> i32 {
    let value = value.unwrap_or(default);
    if !(1..=most).contains(&value) {
        problems.at(name, format!("must be 1 to {most}"));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse_json_strictly;

    fn paths(json: &str) -> Vec<String> {
        let input = parse_json_strictly(json.as_bytes()).unwrap();
        BatchRequest::parse(input)
            .unwrap_err()
            .into_vec()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    }

    #[test]
    fn mistakes_of_the_file_and_of_the_defaults_come_together() {
        assert_eq!(
            paths(
                r#"{"window":0,"pageItems":501,"defaults":{"content":{"text":"a"},"parameters":{"topP":2}}}"#
            ),
            [
                "items",
                "defaults.content",
                "defaults.parameters.topP",
                "window",
                "pageItems"
            ]
        );
    }

    #[test]
    fn what_an_item_says_wins_field_by_field() {
        let defaults: LlmPipelineInput = parse_json_strictly(
            br#"{"instruction":"Summarize.","tenant":"acme","parameters":{"maxOutputTokens":10,"temperature":1}}"#,
        )
        .unwrap();
        let item =
            parse_json_strictly(br#"{"id":"a","text":"words","parameters":{"temperature":0}}"#).unwrap();
        let request = PipelineRequest::parse(resolve(&defaults, item)).unwrap();
        assert_eq!(request.instruction.as_deref(), Some("Summarize."));
        assert_eq!(request.tenant.as_deref(), Some("acme"));
        assert_eq!(request.parameters.max_output_tokens, 10);
        assert!(request.parameters.temperature.abs() < f64::EPSILON);
    }
}
