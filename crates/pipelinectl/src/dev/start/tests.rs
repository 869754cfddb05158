//! What is checked before anything starts.

use std::collections::HashMap;

use clap::Parser as _;

use super::*;
use crate::{
    cli::{Cli, Command},
    output::{Format, Printer},
};

fn dev(flags: &[&str], env: &[(&str, &str)]) -> (DevArgs, Session) {
    let line = ["pipelinectl", "dev"].iter().chain(flags);
    let cli = Cli::try_parse_from(line).unwrap();
    let Command::Dev(args) = cli.command else {
        panic!("no dev")
    };
    let env: HashMap<String, String> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let session = Session::new(cli.global, env, Printer::new(Format::Text, false));
    (args, session)
}

fn folder_with(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn plan(folder: &tempfile::TempDir, flags: &[&str]) -> Result<Plan, Failure> {
    let root = folder.path().display();
    let (cache, state, bin) = (
        format!("{root}/cache"),
        format!("{root}/state"),
        format!("{root}/bin"),
    );
    let mut line = vec![
        "--cache",
        &cache,
        "--state-dir",
        &state,
        "--bin-dir",
        &bin,
        "--port",
        "0",
    ];
    let temporal = format!("{cache}/bin/temporal");
    line.extend(["--temporal-bin", &temporal]);
    line.extend(flags);
    let (args, session) = dev(&line, &[("TEMPORAL_ADDRESS", "elsewhere:1")]);
    Plan::make(&args, &session)
}

const ALL: [&str; 4] = [
    "cache/bin/temporal",
    "cache/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "bin/ai-worker",
    "bin/data-worker",
];

#[test]
fn the_plan_writes_what_each_process_needs() {
    let folder = folder_with(&ALL);
    let plan = plan(&folder, &[]).unwrap();
    let line: Vec<String> = plan
        .server
        .args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    assert!(
        line.contains(&"history.transferProcessorMaxPollRPS=2000".to_owned()),
        "{line:?}"
    );
    assert!(!line.contains(&"--db-filename".to_owned()), "{line:?}");
    assert_eq!(plan.server.hidden, ["TEMPORAL_ADDRESS"]);
    let names: Vec<_> = plan.workers.iter().map(|worker| worker.name).collect();
    assert_eq!(names, ["ai-worker", "data-worker"]);
    for worker in &plan.workers {
        assert!(Path::new(&worker.args[1]).is_file());
        let address = ("TEMPORAL_ADDRESS".to_owned(), plan.address());
        assert!(worker.env.contains(&address), "{:?}", worker.env);
    }
}

#[test]
fn what_is_missing_is_named_with_the_way_to_get_it() {
    let cases = [
        (&ALL[1..], "make setup"),
        (&[ALL[0], ALL[2], ALL[3]][..], "the local model is not at"),
        (&ALL[..3], "cargo build -p ai-worker -p data-worker"),
    ];
    for (files, words) in cases {
        let failure = plan(&folder_with(files), &[]).err().unwrap();
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    assert!(plan(&folder_with(&ALL[..1]), &["--no-workers"]).is_ok());
}

#[test]
fn a_state_folder_is_used_by_one_at_a_time() {
    let folder = folder_with(&ALL);
    let first = plan(&folder, &[]).unwrap();
    let failure = plan(&folder, &[]).err().unwrap();
    assert!(failure.message.contains("--state-dir"), "{}", failure.message);
    drop(first);
    assert!(plan(&folder, &[]).is_ok());
}

#[test]
fn the_cache_is_where_set_up_puts_it() {
    let (args, session) = dev(&[], &[("HOME", "/home/x"), ("XDG_CACHE_HOME", "")]);
    if args.cache.is_none() {
        assert_eq!(
            cache(&args, &session).unwrap(),
            Path::new("/home/x/.cache/temporal-ai-workers")
        );
    }
    let (args, session) = dev(&["--cache", "/c"], &[("HOME", "/home/x")]);
    assert_eq!(cache(&args, &session).unwrap(), Path::new("/c"));
}

#[test]
fn the_file_store_is_used_only_on_request() {
    let folder = folder_with(&ALL);
    let plan = plan(&folder, &["--persist", "--headless", "--ui-port", "0"]).unwrap();
    assert!(plan.server.args.contains(&"--db-filename".into()));
    assert!(plan.server.args.contains(&"--headless".into()));
    assert_eq!(plan.ui_port, None);
}
