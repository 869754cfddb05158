//! `pipelinectl` at the edges: what it says and with which code it ends, when something is not as it should be.

use chaos_provider::{Options, Provider};
use serde_json::json;
use temporalio_client::WorkflowHistory;

use crate::stack::{Plan, SCRIPTED, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_it_says_how_to_start_one() {
    let stack = Stack::start(&Plan {
        no_workers: true,
        ..Plan::default()
    });
    // Port 1 is reserved, and nothing listens there.
    let said = stack.ctl(&["list", "--address", "127.0.0.1:1"]).await;
    assert_eq!(said.code, Some(69), "{said:?}");
    assert!(
        said.err
            .starts_with("error: no Temporal server at 127.0.0.1:1: start one with `pipelinectl dev`"),
        "{said:?}"
    );
    assert_eq!(said.out, "");
    let said = stack
        .ctl(&["list", "--address", "127.0.0.1:1", "--output", "json"])
        .await;
    assert_eq!(
        (said.code, said.error()["code"].as_str()),
        (Some(69), Some("ServerUnavailable")),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_nothing_starts_if_one_is_required_and_otherwise_the_run_waits() {
    let stack = Stack::start(&Plan {
        no_workers: true,
        ..Plan::default()
    });
    let run = ["llm", "run", "Words.", "--id", "waiting", "--output", "json"];
    let said = stack.ctl(&[&run[..], &["--require-worker"]].concat()).await;
    assert_eq!(
        (said.code, said.error()["code"].as_str()),
        (Some(69), Some("NoWorker")),
        "{said:?}"
    );
    let missing = stack.ctl(&["describe", "waiting", "--output", "json"]).await;
    assert_eq!(missing.error()["code"], "NotFound", "{missing:?}");

    let said = stack
        .ctl(&["llm", "run", "Words.", "--id", "waiting", "--wait-timeout", "1s"])
        .await;
    assert_eq!(said.code, Some(75), "{said:?}");
    assert!(said.err.contains("no worker polls"), "{said:?}");
    assert_eq!(
        stack.ctl_json(&["describe", "waiting"]).await["status"],
        "running"
    );
    let said = stack.ctl(&["status", "waiting", "--output", "json"]).await;
    assert_eq!(
        (said.code, said.error()["code"].as_str()),
        (Some(69), Some("NoWorker")),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_by_path_before_anything_starts() {
    let stack = Stack::start(&Plan {
        no_workers: true,
        ..Plan::default()
    });
    let text = r#"{"content": {"text": "a"}, "parameters": {"temprature": 1}}"#;
    let file = stack.write("request.json", text);
    let said = stack
        .ctl(&["llm", "run", "--input-json", &file, "--output", "json"])
        .await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert_eq!(
        said.complaint(),
        ("BadInput".into(), vec!["parameters.temprature".into()])
    );

    let file = stack.write(
        "items.jsonl",
        "{\"text\": \"a\"}\n{oops\n{\"text\": \"a\", \"colour\": 1}\n",
    );
    let said = stack
        .ctl(&["llm", "run", "--jsonl", &file, "--output", "json"])
        .await;
    assert_eq!(
        said.complaint(),
        ("BadInput".into(), vec!["line 2.$".into(), "line 3.colour".into()])
    );

    let said = stack
        .ctl(&[
            "llm",
            "run",
            "a",
            "--temperature",
            "9",
            "--model",
            "x",
            "--output",
            "json",
        ])
        .await;
    let (code, mut paths) = said.complaint();
    paths.sort();
    assert_eq!(
        (code.as_str(), paths.len(), said.code),
        ("BadInput", 2, Some(64)),
        "{said:?}"
    );
    let listed = stack.ctl_json(&["list", "--children"]).await;
    assert_eq!(listed, json!([]), "nothing was started");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_is_not_found_by_any_command() {
    let stack = Stack::start(&Plan {
        no_workers: true,
        ..Plan::default()
    });
    let commands: &[&[&str]] = &[
        &["status", "smmary"],
        &["watch", "smmary"],
        &["result", "smmary"],
        &["cancel", "smmary"],
        &["describe", "smmary"],
        &["history", "export", "smmary"],
    ];
    for command in commands {
        let said = stack.ctl(&[command, &["--output", "json"][..]].concat()).await;
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(64), ""),
            "{command:?}: {said:?}"
        );
        let error = said.error();
        assert_eq!(
            (error["code"].as_str(), error["workflowId"].as_str()),
            (Some("NotFound"), Some("smmary"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_names_one_piece_of_work() {
    let provider = Provider::start(Options::default()).await.unwrap();
    let stack = Stack::scripted(&provider);
    let run = ["llm", "run", "Words.", "--model", SCRIPTED, "--id", "once"];
    let first = stack.ctl_json(&run).await;
    let again = stack.ctl(&[&run[..], &["--output", "json"]].concat()).await;
    assert_eq!(again.code, Some(64), "{again:?}");
    assert_eq!(again.error()["code"], "IdTaken", "also after the first run ended");
    let attached = stack.ctl_json(&[&run[..], &["--use-existing"]].concat()).await;
    assert_eq!(attached, first);
    assert_eq!(provider.requests().len(), 1, "the model was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_history_can_be_read_for_replay() {
    let provider = Provider::start(Options::default()).await.unwrap();
    let stack = Stack::scripted(&provider);
    stack
        .ctl_json(&["llm", "run", "Words.", "--model", SCRIPTED, "--id", "export"])
        .await;
    let out = stack.folder().join("export.json");
    let said = stack
        .ctl(&["history", "export", "export", "--out", out.to_str().unwrap()])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let history = WorkflowHistory::from_json(&std::fs::read(out).unwrap()).unwrap();
    let events = history.into_events().await.unwrap();
    assert_eq!(events.len(), stack.events("export", None).await.len());
    assert!(events.len() > 10, "{}", events.len());
}
