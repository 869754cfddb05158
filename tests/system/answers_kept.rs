//! What is checked before anything is paid for, and that what was paid for is not lost when it can't be put away.

use std::{fs, path::Path, process::Stdio, time::Duration};

use chaos_provider::{Options, Provider, Reply, Rule, Script};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::stack::{Plan, SCRIPTED, Said, Stack, program, temporal_variables};

const PATIENCE: Duration = Duration::from_mins(1);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_told_before_anything_is_uploaded_or_started() {
    let stack = Stack::start(&Plan {
        no_workers: true,
        ..Plan::default()
    });
    let absent = stack.folder().join("absent/answer.txt");
    let folder = stack.folder().to_owned();
    let twice = stack.write(
        "twice.jsonl",
        "{\"id\": \"a\", \"text\": \"x\"}\n\n{\"id\": \"a\", \"text\": \"y\"}\n",
    );
    let null = stack.write(
        "null.jsonl",
        "{\"text\": \"x\", \"parameters\": {\"stop\": null}}\n",
    );
    let schema = stack.write("bad.schema.json", r#"{"properties": {"n": {"type": "intger"}}}"#);
    let cases: [(&[&str], &str, &str); 6] = [
        (&["a", "--out", text(&absent)], "--out", "there is no folder"),
        (&["a", "--out", text(&folder)], "--out", "is a folder"),
        (
            &["--jsonl", &twice],
            "line 3.id",
            "`a` is the id of line 1 already",
        ),
        (
            &["--jsonl", &null],
            "line 1.parameters.stop",
            "null.jsonl, line 1, column ",
        ),
        (&["a", "--schema", &schema], "--schema", "/properties/n/type"),
        (&["a", "--id", &"x".repeat(201)], "--id", "200 bytes"),
    ];
    for (args, path, words) in cases {
        let said = stack
            .ctl(&[&["llm", "run", "--output", "json"], args].concat())
            .await;
        assert_eq!(said.code, Some(64), "{args:?}: {said:?}");
        let problem = said.error()["problems"][0].clone();
        assert_eq!(problem["path"], path, "{said:?}");
        assert!(problem["message"].as_str().unwrap().contains(words), "{said:?}");
    }
    assert_eq!(stack.ctl_json(&["list"]).await, json!([]), "nothing was started");
    assert!(
        !stack.folder().join(".dev/blobs/runs").exists(),
        "nothing was uploaded"
    );

    stack
        .ctl(&["llm", "run", "Words.", "--id", "open", "--detach"])
        .await;
    for command in ["watch", "result"] {
        let said = stack.ctl(&[command, "open", "--out", text(&absent)]).await;
        assert_eq!(said.code, Some(64), "without waiting: {said:?}");
    }
}

/// Runs a request whose file goes away while the model is at work.
async fn lost_file(stack: &Stack, provider: &Provider, id: &str, more: &[&str]) -> Said {
    let below = stack.folder().join(id);
    fs::create_dir(&below).unwrap();
    let out = below.join("answer.txt");
    let asked = provider.requests().len();
    let run = [
        "llm",
        "run",
        "Words.",
        "--model",
        SCRIPTED,
        "--id",
        id,
        "--out",
        text(&out),
    ];
    let run = [&run[..], more].concat();
    let (said, ()) = tokio::join!(stack.ctl(&run), async {
        provider.wait_for(asked + 1).await;
        assert_eq!(
            fs::read_dir(&below).unwrap().count(),
            0,
            "nothing lies about meanwhile"
        );
        fs::remove_dir(&below).unwrap();
        provider.open_gate(id);
    });
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_written_is_printed_and_can_be_fetched_again() {
    let answer = |id: &str| Rule::once(Reply::text("The answer.").behind(id));
    let script = Script::new([answer("for-people"), answer("for-programs")]);
    let options = Options {
        script,
        ..Options::default()
    };
    let provider = Provider::start(options).await.unwrap();
    let stack = Stack::scripted(&provider);

    let said = lost_file(&stack, &provider, "for-people", &[]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(70), "The answer.\n"),
        "{said:?}"
    );
    assert!(said.err.contains("the answer is on standard output"), "{said:?}");
    assert!(
        said.err.contains("`pipelinectl result for-people --out FILE`"),
        "{said:?}"
    );
    let said = lost_file(&stack, &provider, "for-programs", &["--output", "json"]).await;
    assert_eq!(said.json()["text"], "The answer.");
    let error = said.error();
    assert_eq!(
        (said.code, error["code"].as_str(), error["workflowId"].as_str()),
        (Some(70), Some("NotSaved"), Some("for-programs"))
    );

    let out = stack.folder().join("answer.txt");
    let said = stack.ctl(&["result", "for-people", "--out", text(&out)]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read_to_string(out).unwrap().trim_end(), "The answer.");
    assert_eq!(provider.requests().len(), 2, "nothing was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_too_long_for_a_folder_and_a_model_that_nobody_has() {
    let provider = Provider::start(Options::default()).await.unwrap();
    let stack = Stack::start(&Plan {
        provider: Some(provider.base_url()),
        context_window: Some(100_000),
        ..Plan::default()
    });
    // 200 bytes, the most that is taken here, and 600 once percent-encoded.
    let id = "ü".repeat(100);
    let large = stack.write("large.txt", &"Many words. ".repeat(7_000));
    let out = stack.folder().join("answer.txt");
    let run = [
        "llm", "run", "--file", &large, "--model", SCRIPTED, "--id", &id, "--store",
    ];
    let said = stack.ctl(&[&run[..], &["--out", text(&out)]].concat()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(fs::read_to_string(out).unwrap().starts_with("summary of "));
    let runs: Vec<_> = fs::read_dir(stack.folder().join(".dev/blobs/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(runs.len() == 1 && runs[0].starts_with("sha256-"), "{runs:?}");

    // Other clients may take all that Temporal takes.
    let id = "é".repeat(400);
    let input = json!({"model": SCRIPTED, "content": {"text": "a"}, "placement": "PLACEMENT_DATA_WORKER"});
    let input = ["--input", &input.to_string()];
    stack.start_raw("LlmPipelineWorkflow", &id, &input).await;
    assert_eq!(
        stack.ctl_json(&["result", &id]).await["outcome"],
        "OUTCOME_COMPLETED"
    );

    let said = stack
        .ctl(&[
            "llm",
            "run",
            "Words.",
            "--model",
            "openai/none",
            "--output",
            "json",
        ])
        .await;
    let error = said.error();
    assert_eq!(
        (said.code, error["code"].as_str()),
        (Some(1), Some("ModelGone")),
        "{said:?}"
    );
    let message = error["message"].as_str().unwrap();
    for words in [
        "`openai/none`",
        "chaos, local",
        "models.openai",
        "documents.models",
    ] {
        assert!(message.contains(words), "{message}");
    }
}

/// Makes a command that knows no other server than the one it is told of.
fn unled(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for name in temporal_variables() {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Gives the lines that `dev` says to try, when it is ready.
async fn lines_to_try(dev: &mut Child) -> Vec<String> {
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut found = Vec::new();
    loop {
        let line = timeout(PATIENCE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        if line == "Ctrl-C stops everything." {
            return found;
        }
        found.extend(line.strip_prefix("  ").map(str::to_owned));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_dev_says_to_try_work_when_copied() {
    let folder = tempfile::tempdir().unwrap();
    let pipelinectl = program("pipelinectl");
    let mut dev = unled(&pipelinectl, folder.path())
        .args(["dev", "--no-workers", "--port", "0", "--headless"])
        .args(["--state-dir", "it's elsewhere"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut script = lines_to_try(&mut dev).await;
    assert_eq!(
        script.len(),
        3,
        "the server, the store, and a command: {script:?}"
    );
    // Too large to travel with the request, so that the blob store is needed.
    fs::write(folder.path().join("large.txt"), "Many words. ".repeat(7_000)).unwrap();
    let run = "llm run --file large.txt --id tried --detach";
    script.push(format!("'{}' {run}", pipelinectl.display()));
    let script = script.join(" &&\n");
    let mut shell = unled(Path::new("/bin/sh"), folder.path());
    let tried = timeout(PATIENCE, shell.args(["-c", &script]).output());
    let tried = tried.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(tried.status.success(), "{script}\n{said}");
    let said = String::from_utf8_lossy(&tried.stdout);
    assert_eq!(said.lines().last(), Some("tried"), "{script}");
    let uploads = folder.path().join("it's elsewhere/blobs/runs/tried/uploads");
    assert!(uploads.is_dir());

    let pid = Pid::from_raw(i32::try_from(dev.id().unwrap()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let status = timeout(PATIENCE, dev.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}
