#![doc = include_str!("../README.md")]

mod clean_up;
mod discard_staged;
mod failures;
mod inference;
mod lanes;
mod llm_batch;
mod llm_pipeline;
pub mod plan;
pub mod policy;
mod review;
mod saga;
mod signals;
mod spending;
mod steps;
mod supervision;
mod usage;
mod waiting;

pub use discard_staged::DiscardStagedWorkflow;
pub use llm_batch::LlmBatchWorkflow;
pub use llm_pipeline::LlmPipelineWorkflow;
