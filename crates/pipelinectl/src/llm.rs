//! `llm run`: from flags and files to a started run, and from there to its answer.
//!
//! Everything that can be wrong on this side is found before the server hears of anything, and all of it at once: flags
//! and files become the very message that the workflow will parse, and it is parsed here by the same code. Only then is
//! a connection made, text that is too large to travel uploaded, and the run started.

mod folder;
mod lines;
mod request;
mod source;
mod spending;
mod upload;
mod written;

use temporal_client::{Client, Kind, run::AnyRun, start};
use workflow_types::{
    batch::BatchRequest,
    names,
    placement::place,
    problem::Problems,
    proto::{BlobRef, Content, LlmBatchInput, LlmPipelineInput, Placement, content},
    request::PipelineRequest,
};

use crate::{
    cli::RunArgs,
    exit::Exit,
    failure::Failure,
    out_file,
    runs::{self, Watching},
    session::Session,
};

use self::{source::Source, upload::Uploads};

pub(crate) use source::stdin;
pub(crate) use spending::tokens;
pub(crate) use upload::open_store;
pub(crate) use written::{Origin, any as read_json};

/// Runs one request or a batch.
pub(crate) async fn run(args: RunArgs, session: &Session) -> Result<Exit, Failure> {
    let work = Work::prepare(&args)?;
    let client = session.connect().await?;
    check_workers(&work, &args, &client, session).await?;
    let started = work.start(&args, &client, session).await?;
    announce(&started, &args, session)?;
    if args.wait.detach {
        return Ok(Exit::Success);
    }
    let watching = Watching {
        client: &client,
        print: &args.result,
        limit: args.wait.wait_timeout.map(|limit| limit.0),
        progress: true,
    };
    if let (AnyRun::LlmPipeline(run), true) = (&started, args.wait.follow) {
        return watching.stream(run, session).await;
    }
    watching.follow(&started, session).await
}

/// What is to be run, checked as far as it can be without a server.
enum Work {
    /// One request; its content is set unless it has to be uploaded first.
    Pipeline {
        input: Box<LlmPipelineInput>,
        source: Source,
        placement: Placement,
    },
    /// A batch; its items are uploaded first.
    Batch {
        defaults: Box<LlmPipelineInput>,
        source: Source,
    },
}

impl Work {
    fn prepare(args: &RunArgs) -> Result<Self, Failure> {
        let mut problems = Problems::new();
        if let Some(Err(found)) = args.id.as_deref().map(start::check_id) {
            for problem in found.into_vec() {
                problems.at("--id", problem.message);
            }
        }
        if let Some(Err(failure)) = args.result.out.as_deref().map(out_file::check) {
            problems.at("--out", failure.message);
        }
        let asked = request::from_flags(&args.request, &mut problems);
        upload::check_store(&args.result.store, &mut problems);
        let source = source::read(args, &asked, &mut problems)?;
        match source {
            Source::Folder(_) | Source::Lines(_) => {
                refuse_stream_flags(args, &mut problems);
                let asked = LlmPipelineInput {
                    stream: None,
                    ..asked
                };
                let probe = batch_input(stand_in(), asked.clone(), args);
                if let Err(found) = BatchRequest::parse(probe) {
                    problems.extend(found);
                }
                problems.or(Self::Batch {
                    defaults: Box::new(asked),
                    source,
                })
            }
            Source::Inline(_) | Source::Upload(_) | Source::UploadText(_) | Source::Whole(_) => {
                refuse_batch_flags(args, &mut problems);
                let mut input = with_content(asked, &source);
                if args.wait.follow {
                    input.stream.get_or_insert_default();
                }
                match PipelineRequest::parse(input.clone()) {
                    Ok(request) => problems.or(Self::Pipeline {
                        input: Box::new(input),
                        source,
                        placement: place(&request),
                    }),
                    Err(found) => {
                        problems.extend(found);
                        Err(problems)
                    }
                }
            }
        }
        .map_err(Failure::from)
    }

    /// The queues on which the run needs a worker.
    fn queues(&self) -> &'static [&'static str] {
        match self {
            Self::Pipeline {
                placement: Placement::AiWorker,
                ..
            } => &[names::AI_QUEUE],
            Self::Pipeline { .. } | Self::Batch { .. } => &[names::AI_QUEUE, names::DATA_QUEUE],
        }
    }

    async fn start(self, args: &RunArgs, client: &Client, session: &Session) -> Result<AnyRun, Failure> {
        let kind = match &self {
            Self::Pipeline { .. } => Kind::LlmPipeline,
            Self::Batch { .. } => Kind::LlmBatch,
        };
        let workflow_id = args.id.clone().unwrap_or_else(|| start::new_id(kind));
        let uploads = || -> Result<Uploads, Failure> {
            let store = open_store(&args.result.store, client, session)?;
            Ok(Uploads::new(store, &workflow_id))
        };
        let options = start::Options {
            workflow_id: Some(workflow_id.clone()),
            duplicate: if args.use_existing {
                start::Duplicate::UseExisting
            } else {
                start::Duplicate::Reject
            },
            ..start::Options::default()
        };
        match self {
            Self::Pipeline {
                mut input, source, ..
            } => {
                match source {
                    Source::Upload(path) => {
                        input.content = Some(by_reference(uploads()?.file(&path, TEXT).await?));
                    }
                    Source::UploadText(text) => {
                        input.content = Some(by_reference(uploads()?.bytes(text.as_bytes(), TEXT).await?));
                    }
                    Source::Inline(_) | Source::Whole(_) | Source::Folder(_) | Source::Lines(_) => {}
                }
                Ok(AnyRun::LlmPipeline(
                    client.start_llm_pipeline(*input, &options).await?,
                ))
            }
            Self::Batch { defaults, source } => {
                let items = match source {
                    Source::Folder(documents) => folder::upload(&documents, &uploads()?).await?,
                    Source::Lines(path) => uploads()?.file(&path, lines::MEDIA_TYPE).await?,
                    Source::Inline(_) | Source::Upload(_) | Source::UploadText(_) | Source::Whole(_) => {
                        stand_in()
                    }
                };
                let input = batch_input(items, *defaults, args);
                Ok(AnyRun::LlmBatch(client.start_llm_batch(input, &options).await?))
            }
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn with_content(mut input: LlmPipelineInput, source: &Source) -> LlmPipelineInput {
    match source {
        Source::Inline(text) => {
            input.content = Some(Content {
                source: Some(content::Source::Text(text.clone())),
            });
        }
        // Checked with a reference in the place of the one that uploading will give.
        Source::Upload(_) | Source::UploadText(_) => input.content = Some(by_reference(stand_in())),
        Source::Whole(whole) => return (**whole).clone(),
        Source::Folder(_) | Source::Lines(_) => {}
    }
    input
}

fn batch_input(items: BlobRef, mut defaults: LlmPipelineInput, args: &RunArgs) -> LlmBatchInput {
    LlmBatchInput {
        items: Some(items),
        window: args.window,
        page_items: args.page_items,
        // For a batch, `--deadline` is that of the whole file; an item keeps the default.
        deadline_seconds: defaults.deadline_seconds.take(),
        // So is the budget, which the items share.
        budget: defaults.budget.take(),
        defaults: Some(defaults),
        progress: None,
    }
}

/// Gives what the flags say for every item; nothing where that can't be used, which is told once and not line by line.
fn item_defaults(asked: &LlmPipelineInput, args: &RunArgs) -> LlmPipelineInput {
    let asked = LlmPipelineInput {
        stream: None,
        ..asked.clone()
    };
    let probe = LlmBatchInput {
        window: None,
        page_items: None,
        ..batch_input(stand_in(), asked, args)
    };
    BatchRequest::parse(probe)
        .map(|batch| batch.defaults)
        .unwrap_or_default()
}

fn refuse_batch_flags(args: &RunArgs, problems: &mut Problems) {
    for (flag, given) in [("--window", args.window), ("--page-items", args.page_items)] {
        if given.is_some() {
            problems.at(flag, "is for a batch; use it with --dir or --jsonl");
        }
    }
}

fn refuse_stream_flags(args: &RunArgs, problems: &mut Problems) {
    let flush = args.request.spending.stream_flush.is_some();
    for (flag, given) in [("--follow", args.wait.follow), ("--stream-flush", flush)] {
        if given {
            problems.at(
                flag,
                "is for one request; the answers of a batch can't be followed, `pipelinectl watch` shows how far it is",
            );
        }
    }
}

fn by_reference(blob: BlobRef) -> Content {
    Content {
        source: Some(content::Source::Blob(blob)),
    }
}

fn stand_in() -> BlobRef {
    BlobRef {
        uri: "blob:to-be-uploaded".into(),
        ..BlobRef::default()
    }
}

async fn check_workers(
    work: &Work,
    args: &RunArgs,
    client: &Client,
    session: &Session,
) -> Result<(), Failure> {
    for queue in work.queues() {
        if !client.pollers(queue).await?.is_empty() {
            continue;
        }
        let binary = if *queue == names::AI_QUEUE {
            "ai-worker"
        } else {
            "data-worker"
        };
        let advice = format!(
            "no worker polls `{queue}`: start one with `{binary}`, or everything with `pipelinectl dev`"
        );
        if args.require_worker {
            return Err(Failure::no_worker(advice));
        }
        session.printer.remark(&format!(
            "warning: {advice}; the run waits for it until its deadline"
        ));
    }
    Ok(())
}

fn announce(started: &AnyRun, args: &RunArgs, session: &Session) -> Result<(), Failure> {
    let (id, run_id, attached) = runs::identity(started);
    let word = if attached { "attached to" } else { "started" };
    if args.wait.detach {
        let json = serde_json::json!({ "workflowId": id, "runId": run_id, "attached": attached });
        return session.printer.either(&json, |_| id.to_owned());
    }
    session.printer.remark(&format!("{word} {id}"));
    Ok(())
}

#[cfg(test)]
mod tests;
