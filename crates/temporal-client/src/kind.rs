//! Which pipeline a run belongs to.
//!
//! One enum ties the three spellings of a pipeline together (workflow type, search attribute, prefix of generated ids),
//! so that a filter, a start and a handle can't disagree.

use serde::Serialize;
use workflow_types::names;

/// A pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One request to a model.
    LlmPipeline,
    /// A JSONL file of requests.
    LlmBatch,
}

impl Kind {
    /// Every pipeline.
    pub const ALL: [Self; 2] = [Self::LlmPipeline, Self::LlmBatch];

    /// Gives the workflow type.
    pub const fn workflow_type(self) -> &'static str {
        match self {
            Self::LlmPipeline => names::LLM_PIPELINE,
            Self::LlmBatch => names::LLM_BATCH,
        }
    }

    /// Gives the value of the search attribute `AiPipeline`, which is also the prefix of generated workflow ids.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LlmPipeline => "llm",
            Self::LlmBatch => "llm-batch",
        }
    }

    /// Finds the pipeline of a workflow type; `None` for a workflow that is not ours.
    pub fn of_workflow_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.workflow_type() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_workflow_type_and_by_nothing_else() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_workflow_type(kind.workflow_type()), Some(kind));
        }
        assert_eq!(Kind::of_workflow_type("llm"), None);
    }
}
