//! Every name that crosses the wire, written out once.
//!
//! Workflow types, activities, signals, queries and search attributes are contracts with running workflows and with
//! other languages: none is derived from a Rust identifier, so renaming code can't rename them.

/// The task queue of workflows, model calls and training.
pub const AI_QUEUE: &str = "ai-processing";
/// The task queue of documents and stores.
pub const DATA_QUEUE: &str = "data-processing";

/// One request to a model.
pub const LLM_PIPELINE: &str = "LlmPipelineWorkflow";
/// A JSONL file of requests.
pub const LLM_BATCH: &str = "LlmBatchWorkflow";
/// What a run left behind, removed after it.
pub const DISCARD_STAGED_LATER: &str = "DiscardStagedWorkflow";

/// The signal that stops a run and cleans up after it.
pub const CANCEL: &str = "cancel";
/// The signal by which a batch tells its items of a raised budget.
pub const BUDGET_RAISED: &str = "budgetRaised";
/// The update that gives a run more money, tokens or time.
pub const RAISE_BUDGET: &str = "raiseBudget";
/// The update that brings a person's decision about an answer.
pub const REVIEW: &str = "review";
/// The query that says where a run is.
pub const STATUS: &str = "status";
/// The query that says what a run used, in tokens and money.
pub const USAGE: &str = "usage";

/// One model call through the effect journal.
pub const GENERATE_TEXT: &str = "generateText";
/// Whether data can be read, and what it is.
pub const VALIDATE_DATA: &str = "validateData";
/// Normalise, count and cut text.
pub const PREPROCESS_DATA: &str = "preprocessData";
/// One page of a JSONL file.
pub const BUILD_MANIFEST: &str = "buildManifest";
/// Results as JSONL.
pub const WRITE_RESULTS: &str = "writeResults";
/// Remove what a run staged.
pub const DISCARD_STAGED: &str = "discardStaged";

/// What the worker of a task queue must have registered, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueContract {
    /// The task queue.
    pub queue: &'static str,
    /// Its workflow types.
    pub workflows: &'static [&'static str],
    /// Its activity types.
    pub activities: &'static [&'static str],
}

/// The contract of [`AI_QUEUE`].
pub const AI_CONTRACT: QueueContract = QueueContract {
    queue: AI_QUEUE,
    workflows: &[DISCARD_STAGED_LATER, LLM_BATCH, LLM_PIPELINE],
    activities: &[GENERATE_TEXT],
};

/// The contract of [`DATA_QUEUE`].
pub const DATA_CONTRACT: QueueContract = QueueContract {
    queue: DATA_QUEUE,
    workflows: &[],
    activities: &[
        BUILD_MANIFEST,
        DISCARD_STAGED,
        PREPROCESS_DATA,
        VALIDATE_DATA,
        WRITE_RESULTS,
    ],
};

/// Custom search attributes, all of native types and without content.
pub mod search_attribute {
    /// The pipeline: `llm` or `llm-batch` (keyword).
    pub const PIPELINE: &str = "AiPipeline";
    /// Whom the run is for (keyword).
    pub const TENANT: &str = "AiTenant";
    /// The model asked for (keyword).
    pub const MODEL: &str = "AiModel";
    /// Where the run is (keyword).
    pub const STAGE: &str = "AiStage";
    /// What the run waits for: review, budget, approval (keyword).
    pub const AWAITING: &str = "AiAwaiting";
    /// What the run has spent, in millionths of the currency unit (int).
    pub const SPEND_MICROS: &str = "AiSpendMicros";

    /// Every attribute of type keyword.
    pub const KEYWORDS: [&str; 5] = [PIPELINE, TENANT, MODEL, STAGE, AWAITING];
    /// Every attribute of type int.
    pub const INTS: [&str; 1] = [SPEND_MICROS];
}
