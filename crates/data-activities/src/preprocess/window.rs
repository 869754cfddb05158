//! How many tokens of content fit into one prompt.
//!
//! The chat template is the model worker's: it alone renders a prompt and has the last word on whether it fits. Here a
//! fixed allowance stands in for the template, larger than those of the common ones, so that what is cut here is not
//! refused there; and what a repair of a JSON answer adds is not foreseen, because a repair that doesn't fit is only
//! not tried.

use documents::{
    chunk::{LEAST_MAX_TOKENS, Limits},
    tokens::TokenCounter,
};
use workflow_types::{problem::Problems, request::Preparation};

/// Tokens set aside for a chat template's beginning, which may be a system prompt of its own, the opening of the answer,
/// and the words that ask for JSON. More than the model worker sets aside, so that what is cut here fits there.
pub(crate) const TEMPLATE_TOKENS: usize = 96;
/// Tokens set aside for a message's marks: role, separators, and the blank line between instruction and content.
pub(crate) const MESSAGE_TOKENS: usize = 8;

/// What shares the model's window with the content.
#[derive(Debug, Clone)]
pub(crate) struct Prompt {
    pub(crate) context_window: u32,
    pub(crate) max_output_tokens: u32,
    pub(crate) system: Option<String>,
    pub(crate) instruction: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) preparation: Preparation,
}

impl Prompt {
    /// Gives the tokens that are left for content.
    pub(crate) fn window(&self, counter: &TokenCounter) -> Result<usize, Problems> {
        let tokens = |text: &Option<String>| text.as_deref().map_or(0, |text| counter.count(text));
        let messages = if self.system.is_some() { 2 } else { 1 };
        let taken = [
            self.max_output_tokens as usize,
            tokens(&self.system),
            tokens(&self.instruction).max(tokens(&self.preparation.reduce_instruction)),
            tokens(&self.schema),
            TEMPLATE_TOKENS + messages * MESSAGE_TOKENS,
        ];
        let taken: usize = taken.iter().sum();
        let window = self.context_window as usize;
        window.checked_sub(taken).filter(|left| *left >= LEAST_MAX_TOKENS).ok_or_else(|| {
            let message = format!(
                "leaves no room for content: the answer, the system prompt, the instruction and the schema take {taken} of the \
                 model's {window} tokens; lower it, shorten them or choose another model"
            );
            Problems::one("parameters.maxOutputTokens", message)
        })
    }

    /// Gives how large chunks may be in that window.
    pub(crate) fn limits(&self, window: usize) -> Result<Limits, Problems> {
        let max_tokens = self
            .preparation
            .chunk_tokens
            .map_or(window, |tokens| window.min(tokens as usize));
        let overlap_tokens = self.preparation.chunk_overlap_tokens as usize;
        if overlap_tokens > max_tokens / 2 {
            let message =
                format!("must be at most half of what a chunk may hold, which is {max_tokens} tokens here");
            return Err(Problems::one("preprocessing.chunkOverlapTokens", message));
        }
        Ok(Limits {
            max_tokens,
            overlap_tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use workflow_types::proto::Preprocessing;

    use super::*;

    fn prompt(context_window: u32, max_output_tokens: u32, preprocessing: Preprocessing) -> Prompt {
        Prompt {
            context_window,
            max_output_tokens,
            system: Some("Be brief.".into()),
            instruction: Some("Summarize.".into()),
            schema: None,
            preparation: Preparation::parse(preprocessing).unwrap(),
        }
    }

    #[test]
    fn all_that_shares_the_window_is_counted() {
        let counter = TokenCounter::estimate();
        let fixed =
            counter.count("Be brief.") + counter.count("Summarize.") + TEMPLATE_TOKENS + 2 * MESSAGE_TOKENS;
        let with_system = prompt(1000, 100, Preprocessing::default());
        assert_eq!(with_system.window(&counter).unwrap(), 900 - fixed);
        let longer = Prompt {
            schema: Some("{}".into()),
            preparation: Preparation {
                reduce_instruction: Some("Join what follows into one summary.".into()),
                ..with_system.preparation.clone()
            },
            ..with_system.clone()
        };
        let more = counter.count("Join what follows into one summary.") - counter.count("Summarize.");
        assert_eq!(
            longer.window(&counter).unwrap(),
            900 - fixed - more - counter.count("{}")
        );
        let alone = Prompt {
            system: None,
            instruction: None,
            ..with_system
        };
        assert_eq!(
            alone.window(&counter).unwrap(),
            900 - TEMPLATE_TOKENS - MESSAGE_TOKENS
        );
    }

    #[test]
    fn a_window_that_is_used_up_says_by_what() {
        for max_output_tokens in [880, 1000, u32::MAX] {
            let problems = prompt(1000, max_output_tokens, Preprocessing::default())
                .window(&TokenCounter::estimate())
                .unwrap_err()
                .into_vec();
            assert_eq!(problems[0].path, "parameters.maxOutputTokens");
            assert!(problems[0].message.contains("1000 tokens"), "{problems:?}");
        }
    }

    #[test]
    fn chunks_are_as_large_as_asked_for_where_that_fits() {
        let limits = |chunk_tokens, overlap| {
            let preprocessing = Preprocessing {
                chunk_tokens,
                chunk_overlap_tokens: Some(overlap),
                ..Preprocessing::default()
            };
            prompt(1000, 100, preprocessing).limits(500)
        };
        assert_eq!(
            limits(Some(64), 8).unwrap(),
            Limits {
                max_tokens: 64,
                overlap_tokens: 8
            }
        );
        assert_eq!(limits(Some(900), 0).unwrap().max_tokens, 500);
        assert_eq!(limits(None, 250).unwrap().overlap_tokens, 250);
        let problems = limits(None, 251).unwrap_err().into_vec();
        assert_eq!(problems[0].path, "preprocessing.chunkOverlapTokens");
    }
}
