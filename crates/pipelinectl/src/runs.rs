//! Commands on runs that exist: `status`, `watch`, `follow`, `result`, `cancel`, `list`, `describe`.

mod failed_items;
mod follow;
mod progress;
mod report;
mod streaming;
mod tables;

use serde_json::json;
use temporal_client::{
    Kind,
    listing::{Awaiting, Filter, Status},
    run::{AnyRun, CancelBy},
};

use crate::{
    cli::{AwaitingArg, CancelArgs, DescribeArgs, FollowArgs, ListArgs, PipelineArg, ResultArgs, StatusArg},
    exit::Exit,
    failure::Failure,
    out_file,
    session::Session,
};

pub(crate) use follow::{Watching, identity};
pub(crate) use streaming::stream;

/// Shows where a run is and what it used.
pub(crate) async fn status(id: &str, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let (answer, text) = match client.find_run(id).await? {
        AnyRun::LlmPipeline(run) => {
            let (status, usage) = (run.status().await?, run.usage().await?);
            let text = tables::pipeline_status(id, &status, &usage);
            let kind = Kind::LlmPipeline.workflow_type();
            (
                json!({"workflowId": id, "workflowType": kind, "status": status, "usage": usage}),
                text,
            )
        }
        AnyRun::LlmBatch(run) => {
            let (status, usage) = (run.status().await?, run.usage().await?);
            let text = tables::batch_status(id, &status, &usage);
            let kind = Kind::LlmBatch.workflow_type();
            (
                json!({"workflowId": id, "workflowType": kind, "status": status, "usage": usage}),
                text,
            )
        }
    };
    session.printer.either(&answer, |_| text)?;
    Ok(Exit::Success)
}

/// Follows a run until it ends and prints its result.
pub(crate) async fn watch(args: &FollowArgs, session: &Session) -> Result<Exit, Failure> {
    follow_by_id(args, session, true).await
}

/// Prints the result of a run, waiting for it in silence if necessary.
pub(crate) async fn result(args: &ResultArgs, session: &Session) -> Result<Exit, Failure> {
    if args.no_wait {
        let client = session.connect().await?;
        let description = client.describe(&args.follow.id, None).await?;
        if description.is_open() {
            return Err(Failure::not_ended(&args.follow.id));
        }
    }
    follow_by_id(&args.follow, session, false).await
}

async fn follow_by_id(args: &FollowArgs, session: &Session, progress: bool) -> Result<Exit, Failure> {
    if let Some(path) = &args.result.out {
        out_file::check(path)?;
    }
    let client = session.connect().await?;
    let run = client.find_run(&args.id).await?;
    let watching = Watching {
        client: &client,
        print: &args.result,
        limit: args.wait_timeout.map(|limit| limit.0),
        progress,
    };
    watching.follow(&run, session).await
}

/// Asks a run to stop.
pub(crate) async fn cancel(args: &CancelArgs, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let by = if args.native {
        CancelBy::Temporal
    } else {
        CancelBy::Signal
    };
    client.cancel(&args.id, args.reason.as_deref(), by).await?;
    let answer = json!({"workflowId": args.id, "cancelRequested": true});
    session.printer.either(&answer, |_| {
        format!(
            "asked {} to stop; it cleans up first: `pipelinectl watch {}` waits for its end",
            args.id, args.id
        )
    })?;
    Ok(Exit::Success)
}

/// Lists runs.
pub(crate) async fn list(args: &ListArgs, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let runs = client.list(&filter(args), args.limit).await?;
    session.printer.either(&runs, |runs| tables::list(runs))?;
    if runs.len() == args.limit {
        session
            .printer
            .remark(&format!("the first {}; --limit shows more", args.limit));
    }
    Ok(Exit::Success)
}

fn filter(args: &ListArgs) -> Filter {
    Filter {
        pipeline: args.pipeline.map(|pipeline| match pipeline {
            PipelineArg::Llm => Kind::LlmPipeline,
            PipelineArg::LlmBatch => Kind::LlmBatch,
        }),
        status: args.status.map(|status| match status {
            StatusArg::Running => Status::Running,
            StatusArg::Completed => Status::Completed,
            StatusArg::Failed => Status::Failed,
            StatusArg::Canceled => Status::Canceled,
            StatusArg::Terminated => Status::Terminated,
            StatusArg::TimedOut => Status::TimedOut,
        }),
        tenant: args.tenant.clone(),
        awaiting: args.awaiting.map(|awaiting| match awaiting {
            AwaitingArg::Budget => Awaiting::Budget,
            AwaitingArg::Review => Awaiting::Review,
        }),
        children: args.children,
    }
}

/// Shows what the server knows of a run.
pub(crate) async fn describe(args: &DescribeArgs, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let description = client.describe(&args.id, args.run_id.as_deref()).await?;
    session.printer.either(&description, tables::description)?;
    Ok(Exit::Success)
}
