//! `review approve`, `reject` and `edit`: a decision, sent so that it can be sent again.
//!
//! Whoever gets no answer to a decision cannot know whether it counts. The same command with the same `--decision-id` is
//! answered with what was recorded the first time, so the name that was used is always told.

use std::{fs, path::Path};

use serde_json::json;
use temporal_client::{run, update};
use workflow_types::{
    json as contract_json,
    proto::{Problem, ReviewDecision, ReviewReceipt, ReviewVerdict, review_decision::Edited},
};

use crate::{
    cli::{DecisionArgs, EditArgs},
    exit::Exit,
    failure::Failure,
    llm::{Origin, read_json, stdin},
    session::Session,
    waits,
};

/// Gives the answer.
pub(super) async fn approve(args: &DecisionArgs, session: &Session) -> Result<Exit, Failure> {
    decide(args, ReviewVerdict::Approve, None, session).await
}

/// Withholds the answer.
pub(super) async fn reject(args: &DecisionArgs, session: &Session) -> Result<Exit, Failure> {
    decide(args, ReviewVerdict::Reject, None, session).await
}

/// Gives another answer instead.
pub(super) async fn edit(args: &EditArgs, session: &Session) -> Result<Exit, Failure> {
    let edited = edited(args)?;
    decide(&args.decision, ReviewVerdict::Edit, Some(edited), session).await
}

async fn decide(
    args: &DecisionArgs,
    verdict: ReviewVerdict,
    edited: Option<Edited>,
    session: &Session,
) -> Result<Exit, Failure> {
    let decision = ReviewDecision {
        decision_id: args.decision_id.clone().unwrap_or_else(update::new_decision_id),
        verdict: verdict.into(),
        edited,
        actor: session.actor(args.actor.as_deref())?,
        comment: args.comment.clone(),
    };
    let client = session.connect().await?;
    let run = super::find(&client, &args.id).await?;
    let name = decision.decision_id.clone();
    let receipt = run.review(decision).await.map_err(|error| again(error, &name))?;
    if !receipt.applied {
        return Err(not_applied(&args.id, receipt));
    }
    let answer = json!({"workflowId": args.id, "decisionId": name, "receipt": receipt});
    session.printer.either(&answer, |_| {
        let record = receipt.record.clone().unwrap_or_default();
        format!("{} is {}", args.id, waits::review(&record))
    })?;
    Ok(Exit::Success)
}

/// Says, where it is not known whether a decision counts, how to find out.
fn again(error: update::Error, name: &str) -> Failure {
    let unsure = match &error {
        update::Error::Pending { .. } => true,
        update::Error::Run(error) => match error {
            run::Error::NoAnswer { .. } | run::Error::Server(_) => true,
            run::Error::NotFound { .. }
            | run::Error::Foreign { .. }
            | run::Error::Ended { .. }
            | run::Error::Answer { .. } => false,
        },
        update::Error::Input(_) | update::Error::Refused { .. } | update::Error::NoRoom { .. } => false,
    };
    let failure = Failure::from(error);
    if !unsure {
        return failure;
    }
    let message = format!(
        "{}; the same command with --decision-id {name} decides once, however often it is sent",
        failure.message
    );
    Failure { message, ..failure }
}

fn not_applied(id: &str, receipt: ReviewReceipt) -> Failure {
    Failure {
        problems: receipt.problems,
        ..Failure::refused("the edited answer is not in the form that was asked for; the answer waits on")
    }
    .about(id)
}

fn edited(args: &EditArgs) -> Result<Edited, Failure> {
    if let Some(text) = &args.text {
        return Ok(Edited::Text(if text == "-" {
            utf8(stdin()?, "standard input")?
        } else {
            text.clone()
        }));
    }
    if let Some(path) = &args.text_file {
        return Ok(Edited::Text(utf8(read(path)?, &path.display().to_string())?));
    }
    let path = args.json_file.as_deref().unwrap_or(Path::new("-"));
    let bytes = if path == Path::new("-") {
        stdin()?
    } else {
        read(path)?
    };
    let value = read_json(&bytes, &Origin::file(path)).map_err(|message| Failure {
        problems: vec![Problem {
            path: "--json-file".into(),
            message,
        }],
        ..Failure::bad_input("the answer cannot be used; nothing was sent")
    })?;
    Ok(Edited::Json(contract_json::to_value(&value)))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::file("read", path, &error))
}

fn utf8(bytes: Vec<u8>, origin: &str) -> Result<String, Failure> {
    String::from_utf8(bytes)
        .map_err(|_| Failure::bad_input(format!("{origin} is no UTF-8 text; save it as UTF-8")))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn args() -> EditArgs {
        EditArgs {
            decision: DecisionArgs {
                id: "x".into(),
                comment: None,
                decision_id: None,
                actor: None,
            },
            text: None,
            text_file: None,
            json_file: None,
        }
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn an_edit_is_text_or_json_and_is_read_before_anything_is_sent() {
        let text = EditArgs {
            text: Some("better".into()),
            ..args()
        };
        assert_eq!(edited(&text).unwrap(), Edited::Text("better".into()));
        let good = file(br#"{"n": 1}"#);
        let json = EditArgs {
            json_file: Some(good.path().to_owned()),
            ..args()
        };
        assert!(matches!(edited(&json).unwrap(), Edited::Json(_)));
        let bad = file(b"{oops");
        let json = EditArgs {
            json_file: Some(bad.path().to_owned()),
            ..args()
        };
        let failure = edited(&json).unwrap_err();
        assert!(
            failure.problems[0].message.contains("line 1, column 2"),
            "{failure:?}"
        );
        let latin = file(&[0xfc]);
        let text = EditArgs {
            text_file: Some(latin.path().to_owned()),
            ..args()
        };
        assert!(edited(&text).unwrap_err().message.contains("UTF-8"));
    }

    #[test]
    fn a_decision_without_an_answer_can_be_sent_again() {
        let silent = update::Error::Pending {
            workflow_id: "x".into(),
        };
        let failure = again(silent, "d-1");
        assert!(
            failure.message.contains("--decision-id d-1"),
            "{}",
            failure.message
        );
        let refused = update::Error::Refused {
            workflow_id: "x".into(),
            reason: "no answer waits".into(),
        };
        assert!(!again(refused, "d-1").message.contains("--decision-id"));
    }

    #[test]
    fn an_edit_that_does_not_match_names_its_places() {
        let receipt = ReviewReceipt {
            applied: false,
            problems: vec![Problem {
                path: "/title".into(),
                message: "is missing".into(),
            }],
            record: None,
        };
        let failure = not_applied("x", receipt);
        assert_eq!((failure.exit, failure.problems.len()), (Exit::BadInput, 1));
    }
}
