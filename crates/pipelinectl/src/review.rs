//! `review`: answers that wait for a person.
//!
//! Which runs wait is a search attribute, so the list comes from the server alone; what they wait with is asked of each.
//! Answers are shown only to whoever asks for them, because a list ends up in logs and screens of others.

mod decide;

use futures::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::json;
use temporal_client::{
    Client, Kind, Run,
    listing::{Awaiting, Filter, Summary},
    run,
};
use workflow_types::{
    json as contract_json,
    proto::{Outcome, ReviewWait, awaiting::Reason, review_wait::Answer},
    workflows::LlmPipeline,
};

use crate::{
    cli::{ReviewCommand, ReviewListArgs, ReviewShowArgs},
    exit::Exit,
    failure::Failure,
    llm::open_store,
    moment, output,
    session::Session,
    table::{columns, header},
};

/// How many runs are asked at once.
const ASKED_AT_ONCE: usize = 8;
/// The longest first line that a list shows.
const LINE_CHARS: usize = 60;
/// The largest answer that is printed.
const ANSWER_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Runs a command of `review`.
pub(crate) async fn run(command: &ReviewCommand, session: &Session) -> Result<Exit, Failure> {
    match command {
        ReviewCommand::List(args) => list(args, session).await,
        ReviewCommand::Show(args) => show(args, session).await,
        ReviewCommand::Approve(args) => decide::approve(args, session).await,
        ReviewCommand::Reject(args) => decide::reject(args, session).await,
        ReviewCommand::Edit(args) => decide::edit(args, session).await,
    }
}

/// An answer that waits, without the answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    workflow_id: String,
    tenant: Option<String>,
    /// `None`, like all that follows, when no worker answered.
    since: Option<String>,
    until: Option<String>,
    asked: Option<String>,
    escalations: Option<i32>,
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_line: Option<String>,
}

async fn list(args: &ReviewListArgs, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let filter = Filter {
        pipeline: Some(Kind::LlmPipeline),
        tenant: args.tenant.clone(),
        awaiting: Some(Awaiting::Review),
        // Of a batch, the item waits.
        children: true,
        ..Filter::default()
    };
    let runs = client.list(&filter, args.limit).await?;
    let asked = runs
        .iter()
        .map(|summary| look(&client, summary, args.show))
        .collect::<Vec<_>>();
    let found: Vec<Option<Waiting>> = stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
    let waiting: Vec<Waiting> = found.into_iter().flatten().collect();
    session
        .printer
        .either(&waiting, |waiting| table(waiting, args.show))?;
    if waiting.iter().any(|waiting| waiting.since.is_none()) {
        session
            .printer
            .remark("warning: some runs did not answer, so no worker is there or it is busy");
    }
    if runs.len() == args.limit {
        session
            .printer
            .remark(&format!("the first {}; --limit shows more", args.limit));
    }
    Ok(Exit::Success)
}

/// Asks one run; `None` when it waits no longer, because the list is a moment old.
async fn look(client: &Client, summary: &Summary, show: bool) -> Option<Waiting> {
    let mut waiting = Waiting {
        workflow_id: summary.id.clone(),
        tenant: summary.attributes.tenant.clone(),
        since: None,
        until: None,
        asked: None,
        escalations: None,
        outcome: None,
        first_line: None,
    };
    match client.run::<LlmPipeline>(&summary.id).status().await {
        Ok(status) => {
            let awaiting = status.awaiting?;
            let Some(Reason::Review(wait)) = awaiting.reason else {
                return None;
            };
            waiting.since = Some(moment::shown_seconds(awaiting.since_unix_seconds));
            waiting.until = Some(moment::shown_seconds(wait.until_unix_seconds));
            waiting.outcome = Some(outcome_word(wait.outcome()));
            waiting.escalations = Some(wait.escalations);
            waiting.first_line = show.then(|| first_line(&wait));
            waiting.asked = Some(wait.asked).filter(|name| !name.is_empty());
            Some(waiting)
        }
        Err(_) => Some(waiting),
    }
}

fn table(waiting: &[Waiting], show: bool) -> String {
    if waiting.is_empty() {
        return "no answer waits for a review".to_owned();
    }
    let mut names = header(&["ID", "TENANT", "SINCE", "UNTIL", "ASKED", "OUTCOME"]);
    if show {
        names.push("ANSWER".to_owned());
    }
    let mut rows = vec![names];
    for run in waiting {
        let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let mut row = vec![
            run.workflow_id.clone(),
            dash(&run.tenant),
            dash(&run.since),
            dash(&run.until),
            dash(&run.asked),
            run.outcome.unwrap_or("-").to_owned(),
        ];
        if show {
            row.push(dash(&run.first_line));
        }
        rows.push(row);
    }
    columns(&rows)
}

async fn show(args: &ReviewShowArgs, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let run = find(&client, &args.id).await?;
    let status = run.status().await?;
    let awaiting = status.awaiting.unwrap_or_default();
    let Some(Reason::Review(wait)) = awaiting.reason else {
        return Err(nothing_waits(&args.id));
    };
    if session.printer.is_json() {
        output::json(&json!({
            "workflowId": args.id,
            "sinceUnixSeconds": awaiting.since_unix_seconds,
            "review": wait,
        }))?;
        return Ok(Exit::Success);
    }
    let asked = if wait.asked.is_empty() {
        String::new()
    } else {
        format!(", asked: {}", wait.asked)
    };
    session.printer.remark(&format!(
        "{}: since {}, until {}{asked}",
        outcome_word(wait.outcome()),
        moment::shown_seconds(awaiting.since_unix_seconds),
        moment::shown_seconds(wait.until_unix_seconds)
    ));
    for problem in &wait.problems {
        session
            .printer
            .remark(&format!("  {}: {}", problem.path, problem.message));
    }
    let answer = match &wait.answer {
        None => String::new(),
        Some(Answer::Text(text)) => text.clone(),
        Some(Answer::Json(value)) => format!("{:#}", contract_json::from_value(value)),
        Some(Answer::Blob(blob)) => {
            let store = open_store(&args.store, &client, session)?;
            let bytes = store.get(blob, ANSWER_LIMIT_BYTES).await?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    output::answer(&answer)?;
    session.printer.remark(&format!(
        "`pipelinectl review approve {0}`, `pipelinectl review reject {0}` or `pipelinectl review edit {0}` decides",
        args.id
    ));
    Ok(Exit::Success)
}

/// Finds a run whose answer can be reviewed.
async fn find(client: &Client, id: &str) -> Result<Run<LlmPipeline>, Failure> {
    match client.find_run(id).await? {
        run::AnyRun::LlmPipeline(run) => Ok(run),
        run::AnyRun::LlmBatch(_) => Err(Failure::bad_input(format!(
            "{id} is a batch: its items are reviewed one by one; `pipelinectl review list` shows those that wait"
        ))
        .about(id)),
    }
}

fn nothing_waits(id: &str) -> Failure {
    Failure::refused(format!(
        "no answer of `{id}` waits for a review; `pipelinectl review list` shows those that do, and `pipelinectl \
         status {id}` where the run is"
    ))
    .about(id)
}

fn first_line(wait: &ReviewWait) -> String {
    let text = match &wait.answer {
        None => return "-".to_owned(),
        Some(Answer::Text(text)) => text.clone(),
        Some(Answer::Json(value)) => contract_json::from_value(value).to_string(),
        Some(Answer::Blob(_)) => return "in the blob store".to_owned(),
    };
    let line = text.trim().lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(LINE_CHARS).collect();
    if shown.len() < text.trim().len() {
        shown.push('…');
    }
    shown
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Truncated => "truncated",
        Outcome::SchemaMismatch => "not in the form asked for",
        Outcome::ContentFiltered => "withheld by the provider",
        Outcome::Rejected => "rejected",
        Outcome::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_listed_only_when_asked_for_and_then_by_its_first_line() {
        let wait = |text: &str| ReviewWait {
            answer: Some(Answer::Text(text.into())),
            ..ReviewWait::default()
        };
        assert_eq!(first_line(&wait("one line")), "one line");
        assert_eq!(first_line(&wait("one\ntwo")), "one…");
        let long = first_line(&wait(&"ü".repeat(100)));
        assert_eq!(long.chars().count(), LINE_CHARS + 1);
        let waiting = Waiting {
            workflow_id: "x".into(),
            tenant: None,
            since: Some("1970-01-01T00:00:00Z".into()),
            until: None,
            asked: None,
            escalations: Some(0),
            outcome: Some("completed"),
            first_line: Some("secret words".into()),
        };
        assert!(!table(&[waiting], false).contains("secret"));
        assert_eq!(table(&[], true), "no answer waits for a review");
    }

    #[test]
    fn a_run_that_waits_for_nothing_says_where_to_look() {
        let failure = nothing_waits("x");
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::BadInput, "Refused"));
        assert!(
            failure.message.contains("pipelinectl review list"),
            "{}",
            failure.message
        );
    }
}
