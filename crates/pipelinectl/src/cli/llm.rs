//! The flags of `llm run`.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

use super::{ResultPrintArgs, SpendingArgs};

/// What to run, and how.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pipelinectl llm run 'Some words.' --instruction 'Give a title.'\n  \
    pipelinectl llm run --file report.txt --instruction 'Summarize in one sentence.'\n  \
    cat report.txt | pipelinectl llm run - --schema title.schema.json\n  \
    pipelinectl llm run --dir docs --instruction 'Give a title.' --out titles.jsonl\n  \
    pipelinectl llm run --jsonl requests.jsonl --window 32 --detach")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) result: ResultPrintArgs,
    /// The workflow id; default a new one.
    #[arg(long, help_heading = "Run")]
    pub(crate) id: Option<String>,
    /// Attaches to the run that has the id, running or ended, instead of failing.
    #[arg(long, requires = "id", help_heading = "Run")]
    pub(crate) use_existing: bool,
    /// Ends with 69 before anything starts when no worker polls the task queues.
    #[arg(long, help_heading = "Run")]
    pub(crate) require_worker: bool,
    /// Leaves out files of a folder that are no UTF-8 text, instead of failing.
    #[arg(long, conflicts_with_all = ["text", "file", "jsonl", "whole"], help_heading = "Batch")]
    pub(crate) skip_unreadable: bool,
    /// Items of a batch in flight at once, 1 to 200.
    #[arg(long, help_heading = "Batch")]
    pub(crate) window: Option<i32>,
    /// Items of a batch that one page of work holds, 1 to 500.
    #[arg(long, help_heading = "Batch")]
    pub(crate) page_items: Option<i32>,
}

/// What to work on: exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Input {
    /// The text; `-` reads it from standard input.
    pub(crate) text: Option<String>,
    /// A file of text.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A folder: every file in it and below is one item of a batch.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// A JSONL file: every line is one item of a batch.
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: Option<PathBuf>,
    /// A whole `LlmPipelineInput` as JSON; `-` reads it from standard input.
    #[arg(long = "input-json", value_name = "FILE")]
    pub(crate) whole: Option<PathBuf>,
}

/// How the model is asked; for a batch, what its items don't say themselves.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestArgs {
    /// What to do with the text, for example `Summarize in one sentence.`
    #[arg(long)]
    pub(crate) instruction: Option<String>,
    /// System prompt.
    #[arg(long)]
    pub(crate) system: Option<String>,
    /// `provider/model`.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// The most tokens of an answer.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_output_tokens: Option<i32>,
    /// 0 (greedy) to 2.
    #[arg(long)]
    pub(crate) temperature: Option<f64>,
    /// Nucleus sampling, above 0 to 1.
    #[arg(long)]
    pub(crate) top_p: Option<f64>,
    /// Makes sampling repeatable where the provider supports it.
    #[arg(long)]
    pub(crate) seed: Option<i32>,
    /// A text that ends the answer; up to four times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// A JSON Schema: the answer is JSON that matches it.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// How often an answer that doesn't match the schema is sent back: 0 or 1.
    #[arg(long, requires = "schema", value_name = "TIMES")]
    pub(crate) max_repairs: Option<i32>,
    /// Stores the answer in the blob store whatever its size.
    #[arg(long)]
    pub(crate) store: bool,
    /// Tokens a chunk may hold; default what the model's context window leaves.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) chunk_tokens: Option<i32>,
    /// Tokens that neighbouring chunks share.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) chunk_overlap_tokens: Option<i32>,
    /// Chunks in flight at once, 1 to 64.
    #[arg(long, value_name = "CHUNKS")]
    pub(crate) max_concurrent_chunks: Option<i32>,
    /// What to do with the joined answers of the chunks.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reduce_instruction: Option<String>,
    /// Leaves Unicode, line ends and control characters as they are.
    #[arg(long)]
    pub(crate) no_normalize: bool,
    /// Where the steps run.
    #[arg(long, value_enum)]
    pub(crate) placement: Option<PlacementArg>,
    /// Whom the request is for; a search attribute, so no secret.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// What to do when a call's outcome could not be learned.
    #[arg(long, value_enum)]
    pub(crate) on_unknown: Option<OnUnknownArg>,
    /// When the run gives up, for example 90s, 10m, 2h.
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<DurationArg>,
    #[command(flatten)]
    pub(crate) spending: SpendingArgs,
}

/// Whether to wait for the result.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub(crate) struct WaitArgs {
    /// Waits for the result; the default.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) wait: bool,
    /// Prints the workflow id and ends at once.
    #[arg(long, conflicts_with_all = ["out", "strict"])]
    pub(crate) detach: bool,
    /// Gives up waiting after this time, for example 90s, 10m, 2h; the run goes on.
    #[arg(long, value_name = "TIME", conflicts_with = "detach")]
    pub(crate) wait_timeout: Option<DurationArg>,
    /// Prints the answer while it is generated.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) follow: bool,
}

/// Which blob store: that of the workers.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BlobStoreArgs {
    /// The blob store of the workers; found by itself beside a running `pipelinectl dev`.
    #[arg(long, env = "PIPELINECTL__BLOB_STORE__URL", value_name = "URL")]
    pub(crate) blob_store: Option<String>,
    /// An option of the store's provider; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) blob_store_option: Vec<String>,
}

/// Where the steps of a request run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlacementArg {
    /// Small text on the ai-worker, everything else through the data-worker.
    Auto,
    /// Every step on the ai-worker.
    AiWorker,
    /// Validation and preprocessing on the data-worker.
    DataWorker,
}

/// What to do when a call's outcome could not be learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnUnknownArg {
    /// Call again.
    Repeat,
    /// Fail.
    Fail,
}

/// A time span such as `90s`, `10m`, `2h`, `1d`; a plain number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DurationArg(pub(crate) Duration);

impl FromStr for DurationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
            Some(at) => text.split_at(at),
            None => (text, "s"),
        };
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => 0,
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| {
                "give a whole number above 0 and a unit, for example 90s, 10m, 2h or 1d".to_owned()
            })
    }
}

impl DurationArg {
    /// Gives whole seconds, as the contracts take them.
    pub(crate) fn seconds(self) -> i32 {
        i32::try_from(self.0.as_secs()).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for DurationArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}
