//! Clients that know nothing of Rust: Temporal's SDK for Python, and its command line.
//!
//! The page that shows how is held against the files that are tried here, so that what a reader copies is what ran.

use std::{fs, path::Path};

use chaos_provider::{Options, Provider, Reply, Rule, Script, When};
use serde_json::{Value, json};

use crate::stack::{SCRIPTED, Said, Stack, variable};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/start_llm_pipeline.py");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/clients.md");

async fn python(stack: &Stack, args: &[&str]) -> Said {
    stack
        .run(&variable("TAW_TEST_PYTHON"), &[&[SCRIPT], args].concat())
        .await
}

/// Gives the blocks of code of the page in one language.
fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(PAGE)).unwrap();
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```\n").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_page_shows_the_script_that_is_tested() {
    assert_eq!(blocks("python"), [fs::read_to_string(SCRIPT).unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_starts_asks_and_cancels_with_plain_dictionaries() {
    let script =
        Script::new([Rule::always(Reply::text("never").behind("never")).when(When::prompt_contains("held"))]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::scripted(&provider);
    let said = python(&stack, &["py", "Some words.", "--model", SCRIPTED]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let output = said.json();
    assert_eq!(output["outcome"], "OUTCOME_COMPLETED", "{output}");
    assert!(
        output["text"].as_str().unwrap().starts_with("summary of "),
        "{output}"
    );
    assert_eq!(
        output,
        stack.ctl_json(&["result", "py"]).await,
        "it is what the command line gives"
    );
    assert_eq!(stack.ctl_json(&["describe", "py"]).await["pipeline"], "llm");

    let said = python(
        &stack,
        &["py-cancel", "held", "--model", SCRIPTED, "--cancel", "not needed"],
    )
    .await;
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
    let status: Value = serde_json::from_str(said.err.lines().next().unwrap()).unwrap();
    assert_eq!(status["cancelReason"], "not needed", "{said:?}");

    let said = python(&stack, &["py-bad", "Words.", "--model", "no-provider"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("InvalidInput"), "{said:?}");
    assert!(said.err.contains(r#""path": "model""#), "{said:?}");

    let said = python(&stack, &["py", "Some words.", "--model", SCRIPTED]).await;
    assert_eq!(said.code, Some(1), "a used id is refused: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_work_as_they_stand() {
    let stack = Stack::local();
    let commands: Vec<String> = blocks("sh");
    let text = commands.concat().replace(
        "temporal ",
        &format!("'{}' ", variable("TAW_TEMPORAL_BIN").display()),
    );
    let script = stack.write("page.sh", &text);
    let said = stack.run(Path::new("/bin/sh"), &["-eu", &script]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let output = stack.ctl_json(&["result", "note-42"]).await;
    assert_eq!(output["outcome"], "OUTCOME_COMPLETED", "{output}");
    assert_eq!(output["usage"]["calls"], json!(1));
}
