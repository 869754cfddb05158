//! Each way in which a command can end, as a script sees it: the exit code and the one word for it.
//!
//! 0, 3 and 69 are looked at where a run is finished, cancelled, or has nobody to run it; the rest is here.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::stack::{Plan, Stack, program, temporal_variables};

const PATIENCE: Duration = Duration::from_mins(1);

fn without_workers() -> Stack {
    Stack::start(&Plan {
        no_workers: true,
        ..Plan::default()
    })
}

/// Runs a command as a program would, and gives the exit code and the word.
async fn ended(stack: &Stack, args: &[&str]) -> (Option<i32>, String) {
    let said = stack.ctl(&[args, &["--output", "json"]].concat()).await;
    let word = said.error()["code"].as_str().unwrap().to_owned();
    (said.code, word)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_ends_no_command_as_if_it_had_ended() {
    let stack = without_workers();
    let id = stack
        .ctl(&["llm", "run", "Words.", "--id", "open", "--detach"])
        .await;
    assert_eq!((id.code, id.out.as_str()), (Some(0), "open\n"), "{id:?}");
    for command in [
        &["result", "open", "--no-wait"][..],
        &["result", "open", "--wait-timeout", "1s"],
        &["watch", "open", "--wait-timeout", "1s"],
    ] {
        assert_eq!(
            ended(&stack, command).await,
            (Some(75), "WaitOver".into()),
            "{command:?}"
        );
    }

    let mut watch = Command::new(program("pipelinectl"));
    watch
        .args(["watch", "open", "--address", &stack.address])
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = watch.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = timeout(PATIENCE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(first, "waiting for a worker to answer");
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    let last = lines.next_line().await.unwrap().unwrap();
    assert!(last.contains("stopped waiting; the run goes on"), "{last}");
    assert_eq!(stack.ctl_json(&["describe", "open"]).await["status"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_cannot_be_cancelled_either_way_and_says_how_it_ended() {
    let stack = without_workers();
    stack
        .ctl(&["llm", "run", "Words.", "--id", "gone", "--detach"])
        .await;
    stack
        .temporal(&["workflow", "terminate", "--workflow-id", "gone"])
        .await;
    assert_eq!(
        ended(&stack, &["result", "gone"]).await,
        (Some(1), "Terminated".into())
    );
    for more in [&[][..], &["--native"]] {
        let command = [&["cancel", "gone"], more].concat();
        assert_eq!(
            ended(&stack, &command).await,
            (Some(64), "AlreadyEnded".into()),
            "{command:?}"
        );
        let said = stack.ctl(&command).await;
        assert!(
            said.err.starts_with(
                "error: workflow `gone` has ended already (terminated); `pipelinectl result gone`"
            ),
            "{said:?}"
        );
    }
    let command = ["cancel", "goen", "--native"];
    assert_eq!(ended(&stack, &command).await, (Some(64), "NotFound".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_cannot_be_understood_is_told_apart_from_a_bad_input() {
    let stack = without_workers();
    for usage in [
        &["llm", "run"][..],
        &["lst"],
        &["llm", "run", "a", "--wait", "--detach"],
    ] {
        let said = stack.ctl(usage).await;
        assert_eq!(
            (said.code, said.out.as_str()),
            (Some(2), ""),
            "{usage:?}: {said:?}"
        );
    }
    let command = ["llm", "run", "--file", "absent.txt"];
    assert_eq!(ended(&stack, &command).await, (Some(64), "BadInput".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_dev_that_fails_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let server = folder.path().join("temporal");
    fs::write(&server, "#!/bin/sh\necho 'no server today'\nexit 3\n").unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    let mut dev = Command::new(program("pipelinectl"));
    dev.args([
        "dev",
        "--no-workers",
        "--port",
        "0",
        "--headless",
        "--ui-port",
        "0",
    ])
    .arg("--temporal-bin")
    .arg(&server)
    .current_dir(folder.path())
    .stdin(Stdio::null())
    .kill_on_drop(true);
    for name in temporal_variables() {
        dev.env_remove(name);
    }
    let output = timeout(PATIENCE, dev.output()).await.unwrap().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(70), "{err}");
    assert!(err.contains("no server today"), "{err}");
}
