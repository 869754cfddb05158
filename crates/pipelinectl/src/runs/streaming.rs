//! Reading along with an answer while the run goes on: `llm run --follow` and `follow`.
//!
//! The run says where its stream lies, and ends it. So there are two things to wait for at once, the text and the end of
//! the run, and the text is looked at once more after the end: what was written last is given too. Whatever the stream
//! held, the answer that the run gives has the last word, because a reviewer may have written another one.

use std::{pin::pin, time::Duration};

use temporal_client::{Run, outcome, run, run::AnyRun};
use tokio::time::sleep;
use workflow_types::{
    json,
    proto::{LlmPipelineOutput, LlmPipelineStatus, Stage, llm_pipeline_output::Answer},
    workflows::LlmPipeline,
};

use crate::{
    cli::{ResultPrintArgs, StreamArgs},
    exit::Exit,
    failure::Failure,
    llm::open_store,
    output::Printer,
    session::Session,
    stream::{Event, Follower, Screen},
    waits,
};

use super::{
    follow::{Output, Watching, over},
    report::Report,
};

/// How long to wait before the next look: short while text comes, longer while none does.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the run is asked where it is.
const ASK_EVERY: Duration = Duration::from_secs(2);
const ASK_FOR_PLACE_EVERY: Duration = Duration::from_millis(300);
/// How many looks in a row may fail.
const MOST_FAILURES: u32 = 10;
/// The largest answer that is compared with its stream as a text; larger ones lie in the store anyway.
const ANSWER_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// When to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The run has ended.
    RunEnded,
    /// The run has ended, or its text is whole and waits for a person: no other one will follow for a long time.
    TextWhole,
}

/// Reads a stream over a store that may not answer now and then.
struct Reader {
    follower: Option<Follower>,
    /// Looks in a row that failed.
    failures: u32,
}

impl Reader {
    /// Looks once. A stream that can't be read is an error to whoever wants nothing else; whoever waits for the run gets
    /// its answer in the end.
    async fn look(&mut self, until: Until, printer: Printer) -> Result<Vec<Event>, Failure> {
        let Some(follower) = self.follower.as_mut().filter(|_| self.failures <= MOST_FAILURES) else {
            return Ok(Vec::new());
        };
        match follower.look().await {
            Ok(events) => {
                self.failures = 0;
                Ok(events)
            }
            Err(failure) => {
                self.failures += 1;
                if self.failures <= MOST_FAILURES {
                    return Ok(Vec::new());
                }
                if until == Until::TextWhole {
                    return Err(failure);
                }
                printer.remark(&format!(
                    "warning: {}; the answer comes when it is whole",
                    failure.message
                ));
                Ok(Vec::new())
            }
        }
    }
}

/// How following ended.
enum Ended {
    /// The run did.
    Run(Result<Box<LlmPipelineOutput>, outcome::Error>),
    /// The text is whole; the run goes on.
    Text(Box<LlmPipelineStatus>),
}

/// Prints the answer of a run while it is generated.
pub(crate) async fn stream(args: &StreamArgs, session: &Session) -> Result<Exit, Failure> {
    let client = session.connect().await?;
    let run = match client.find_run(&args.id).await? {
        AnyRun::LlmPipeline(run) => run,
        AnyRun::LlmBatch(_) => {
            return Err(Failure::bad_input(format!(
                "{0} is a batch, whose answers can't be followed: `pipelinectl watch {0}` shows how far it is",
                args.id
            ))
            .about(&args.id));
        }
    };
    let print = ResultPrintArgs {
        store: args.store.clone(),
        ..ResultPrintArgs::default()
    };
    let watching = Watching {
        client: &client,
        print: &print,
        limit: args.wait_timeout.map(|limit| limit.0),
        progress: false,
    };
    let mut screen = Screen::new(session.printer);
    match watching
        .read_along(&run, session, Until::TextWhole, &mut screen)
        .await?
    {
        Ended::Text(status) => {
            if let Some(wait) = waits::briefly(status.awaiting.as_ref()) {
                let id = run.id();
                session.printer.remark(&format!(
                    "the run goes on, {wait}: `pipelinectl watch {id}` waits for its end"
                ));
            }
            Ok(Exit::Success)
        }
        Ended::Run(Ok(_)) => Ok(Exit::Success),
        Ended::Run(Err(error)) => Err(Failure::from(error).about(run.id())),
    }
}

impl Watching<'_> {
    /// Prints the answer while it is generated, and then what else there is to say; the exit code is the result's.
    pub(crate) async fn stream(&self, run: &Run<LlmPipeline>, session: &Session) -> Result<Exit, Failure> {
        let mut screen = Screen::new(session.printer);
        let ended = self
            .read_along(run, session, Until::RunEnded, &mut screen)
            .await?;
        let output = match ended {
            Ended::Run(Ok(output)) => output,
            Ended::Run(Err(error)) => return Err(Failure::from(error).about(run.id())),
            Ended::Text(_) => return Ok(Exit::Success),
        };
        let report = Report {
            workflow_id: run.id(),
            watching: self,
            session,
            streamed: true,
        };
        report.print(&Output::Pipeline(output)).await
    }

    async fn read_along(
        &self,
        run: &Run<LlmPipeline>,
        session: &Session,
        until: Until,
        screen: &mut Screen,
    ) -> Result<Ended, Failure> {
        let ended = tokio::select! {
            biased;
            ended = self.both(run, session, until, screen) => ended,
            () = notices(run, session.printer) => Err(Failure::internal("the notices ended")),
            () = over(self.limit) => Err(Failure::wait_over(run.id())),
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted(run.id())),
        };
        screen.end_line()?;
        ended
    }

    /// Waits for the place of the stream, then for the text and the end of the run.
    async fn both(
        &self,
        run: &Run<LlmPipeline>,
        session: &Session,
        until: Until,
        screen: &mut Screen,
    ) -> Result<Ended, Failure> {
        let mut result = pin!(async { run.result().await.map(Box::new) });
        let mut ended = None;
        let place = tokio::select! {
            biased;
            found = &mut result => {
                let place = place_of_ended(run, &found).await;
                ended = Some(found);
                place
            }
            place = place(run) => place?,
        };
        let mut reader = Reader {
            follower: None,
            failures: 0,
        };
        match &place {
            Some(place) => reader.follower = Some(self.follower(place, session)?),
            None if until == Until::TextWhole => return Err(no_stream(run.id(), ended)),
            None => {
                session
                    .printer
                    .remark("this run has no stream; its answer comes when it is whole");
            }
        }
        let mut pause = SHORTEST_PAUSE;
        loop {
            let events = reader.look(until, session.printer).await?;
            screen.show(&events)?;
            if events.is_empty() {
                if let Some(found) = ended {
                    self.close(&found, reader.follower, session, screen).await?;
                    return Ok(Ended::Run(found));
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                pause = SHORTEST_PAUSE;
            }
            if until == Until::TextWhole
                && ended.is_none()
                && reader.follower.as_ref().is_some_and(Follower::is_whole)
                && let Ok(status) = run.status().await
                && status.stage() == Stage::Review
            {
                return Ok(Ended::Text(Box::new(status)));
            }
            tokio::select! {
                biased;
                found = &mut result, if ended.is_none() => ended = Some(found),
                () = sleep(pause) => {}
            }
        }
    }

    fn follower(&self, place: &str, session: &Session) -> Result<Follower, Failure> {
        let store = open_store(&self.print.store, self.client, session)?;
        Follower::new(store, place)
    }

    /// Makes what was shown the answer that the run gave.
    async fn close(
        &self,
        found: &Result<Box<LlmPipelineOutput>, outcome::Error>,
        follower: Option<Follower>,
        session: &Session,
        screen: &mut Screen,
    ) -> Result<(), Failure> {
        let (Ok(output), Some(mut follower)) = (found, follower) else {
            // Without a stream, the report prints the answer.
            return Ok(());
        };
        let events = match &output.answer {
            None if follower.has_begun() => {
                session
                    .printer
                    .remark("the answer is withheld; what stands above is void");
                follower.close("")
            }
            None => {
                session.printer.remark("the answer is withheld");
                Vec::new()
            }
            Some(Answer::Text(answer)) => follower.close(answer),
            Some(Answer::Json(value)) => {
                let value = json::from_value(value);
                if screen.has_json(&value) {
                    Vec::new()
                } else {
                    follower.close(&pretty(&value))
                }
            }
            Some(Answer::Blob(blob)) => match &blob.sha256 {
                Some(sha256) if follower.is_whole() && follower.has_sha256(sha256) => Vec::new(),
                Some(_) | None => {
                    let store = open_store(&self.print.store, self.client, session)?;
                    let bytes = store.get(blob, ANSWER_LIMIT_BYTES).await?;
                    follower.close(&String::from_utf8_lossy(&bytes))
                }
            },
        };
        screen.show(&events)
    }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}

/// Says what the run waits for, once each time.
async fn notices(run: &Run<LlmPipeline>, printer: Printer) {
    let mut last = None;
    loop {
        sleep(ASK_EVERY).await;
        let Ok(status) = run.status().await else { continue };
        let now = waits::briefly(status.awaiting.as_ref());
        if now.is_some() && now != last {
            let words = status
                .awaiting
                .as_ref()
                .and_then(|awaiting| waits::awaiting(run.id(), awaiting));
            printer.remark(&format!("waiting for {}", words.unwrap_or_default()));
        }
        last = now;
    }
}

/// Asks the run where its stream is; `None` when it has none.
async fn place(run: &Run<LlmPipeline>) -> Result<Option<String>, Failure> {
    loop {
        match run.status().await {
            Ok(status) if status.stream.is_some() => return Ok(status.stream),
            Ok(status) if status.stage() != Stage::Unspecified => return Ok(None),
            // It has not begun, or no worker is there yet.
            Ok(_) | Err(run::Error::NoAnswer { .. }) => {}
            Err(run::Error::Server(error)) if error.is_unavailable() => {}
            Err(error) => return Err(error.into()),
        }
        sleep(ASK_FOR_PLACE_EVERY).await;
    }
}

/// Gives where the stream of a run that has ended is; one that failed tells it as long as a worker is there.
async fn place_of_ended(
    run: &Run<LlmPipeline>,
    found: &Result<Box<LlmPipelineOutput>, outcome::Error>,
) -> Option<String> {
    match found {
        Ok(output) => output.stream.clone(),
        Err(_) => run.status().await.ok().and_then(|status| status.stream),
    }
}

fn no_stream(workflow_id: &str, ended: Option<Result<Box<LlmPipelineOutput>, outcome::Error>>) -> Failure {
    if let Some(Err(error)) = ended {
        return Failure::from(error).about(workflow_id);
    }
    Failure::bad_input(format!(
        "workflow `{workflow_id}` was started without a stream: `pipelinectl result {workflow_id}` gives its answer; \
         `llm run --follow` or `--stream-flush` starts one that can be followed"
    ))
    .about(workflow_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_stream_says_what_to_do() {
        let failure = no_stream("x", None);
        assert_eq!(failure.exit, Exit::BadInput);
        for words in ["pipelinectl result x", "--follow", "--stream-flush"] {
            assert!(failure.message.contains(words), "{}", failure.message);
        }
        let failure = no_stream("x", Some(Err(outcome::Error::TimedOut)));
        assert_eq!(failure.exit, Exit::RunFailed);
    }
}
