//! From arguments to the message that is sent.

use clap::Parser as _;
use std::io::Write as _;

use super::*;
use crate::cli::{Cli, Command, LlmCommand};

fn args(line: &[&str]) -> RunArgs {
    let line = ["pipelinectl", "llm", "run"].iter().chain(line);
    let Command::Llm {
        command: LlmCommand::Run(args),
    } = Cli::try_parse_from(line).unwrap().command
    else {
        panic!("no llm run")
    };
    *args
}

fn prepare(line: &[&str]) -> Result<Work, Failure> {
    Work::prepare(&args(line))
}

fn input(line: &[&str]) -> LlmPipelineInput {
    match prepare(line).unwrap() {
        Work::Pipeline { input, .. } => *input,
        Work::Batch { .. } => panic!("a batch"),
    }
}

fn paths(line: &[&str]) -> Vec<String> {
    let failure = prepare(line).err().unwrap();
    assert_eq!(failure.exit, Exit::BadInput);
    failure.problems.into_iter().map(|problem| problem.path).collect()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[test]
fn a_text_alone_sends_nothing_else() {
    let json = serde_json::to_value(input(&["Some words."])).unwrap();
    assert_eq!(json, serde_json::json!({"content": {"text": "Some words."}}));
}

#[test]
fn every_flag_has_its_field() {
    let schema = file(r#"{"type": "object"}"#);
    let flags = "--instruction i --system s --model local/m --max-output-tokens 5 --temperature 0.5 --top-p 0.9 \
                 --seed 7 --stop END --max-repairs 0 --store --chunk-tokens 64 --chunk-overlap-tokens 8 \
                 --max-concurrent-chunks 2 --reduce-instruction r --no-normalize --placement data-worker \
                 --tenant acme --on-unknown fail --deadline 10m --max-cost 0.50 --max-tokens-total 9000 \
                 --on-exhausted fail --fallback a/b --fallback c/d --fallback-on Overloaded --fallback-patience 5 \
                 --review problem --review-timeout 2h --on-review-timeout escalate --escalate-to lead \
                 --max-escalations 2 --stream-flush 500";
    let mut line = vec!["words", "--schema", path(&schema)];
    line.extend(flags.split_whitespace());
    let json = serde_json::to_value(input(&line)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "content": {"text": "words"},
            "instruction": "i",
            "system": "s",
            "model": "local/m",
            "parameters": {"maxOutputTokens": 5, "temperature": 0.5, "topP": 0.9, "seed": 7, "stop": ["END"]},
            "output": {"json": {"schema": {"type": "object"}, "maxRepairs": 0}, "store": true},
            "preprocessing": {
                "normalize": false,
                "chunkTokens": 64,
                "chunkOverlapTokens": 8,
                "maxConcurrentChunks": 2,
                "reduceInstruction": "r"
            },
            "placement": "PLACEMENT_DATA_WORKER",
            "tenant": "acme",
            "onUnknown": "ON_UNKNOWN_FAIL",
            "deadlineSeconds": 600,
            "budget": {"maxCostMicros": 500_000.0, "maxTokens": 9_000.0, "onExhausted": "BUDGET_EXHAUSTED_FAIL"},
            "fallbackModels": ["a/b", "c/d"],
            "fallbackOn": ["Overloaded"],
            "fallbackPatienceSeconds": 5,
            "review": {
                "when": "REVIEW_WHEN_PROBLEM",
                "timeoutSeconds": 7_200,
                "onTimeout": "REVIEW_TIMEOUT_ESCALATE",
                "escalateTo": "lead",
                "maxEscalations": 2
            },
            "stream": {"flushMilliseconds": 500}
        })
    );
}

#[test]
fn following_asks_for_a_stream_and_a_review_is_for_every_answer_unless_said() {
    let json = serde_json::to_value(input(&["words", "--follow", "--review"])).unwrap();
    assert_eq!(json["stream"], serde_json::json!({}));
    assert_eq!(json["review"], serde_json::json!({"when": "REVIEW_WHEN_ALWAYS"}));
    let whole = file(r#"{"content": {"text": "words"}, "stream": {"flushMilliseconds": 300}}"#);
    let kept = input(&["--input-json", path(&whole), "--follow"]);
    assert_eq!(kept.stream.unwrap().flush_milliseconds, Some(300));
    assert_eq!(
        paths(&[
            "words",
            "--stream-flush",
            "50",
            "--max-tokens-total",
            "18446744073709551615"
        ]),
        ["budget.maxTokens", "stream.flushMilliseconds"]
    );
    assert_eq!(
        paths(&["words", "--fallback", "nonsense", "--fallback-on", "Auth"]),
        ["fallbackModels[0].model"]
    );
}

#[test]
fn the_answers_of_a_batch_cannot_be_followed_and_its_budget_is_shared() {
    let lines = file("{\"text\": \"words\"}\n");
    assert_eq!(
        paths(&["--jsonl", path(&lines), "--follow", "--stream-flush", "500"]),
        ["--follow", "--stream-flush"]
    );
    let args = args(&["--jsonl", path(&lines), "--max-cost", "2", "--fallback", "a/b"]);
    let Ok(Work::Batch { defaults, .. }) = Work::prepare(&args) else {
        panic!("no batch")
    };
    let json = serde_json::to_value(batch_input(stand_in(), *defaults, &args)).unwrap();
    assert_eq!(json["budget"], serde_json::json!({"maxCostMicros": 2_000_000.0}));
    assert_eq!(json["defaults"], serde_json::json!({"fallbackModels": ["a/b"]}));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let schema = file("[]");
    assert_eq!(
        paths(&[
            "words",
            "--schema",
            path(&schema),
            "--temperature",
            "9",
            "--model",
            "gpt",
            "--window",
            "3"
        ]),
        ["--schema", "--window", "model", "parameters.temperature"]
    );
}

#[test]
fn a_schema_that_cannot_be_used_is_told_with_the_place_of_the_keyword() {
    let json = r#"{"type": "object", "properties": {"n": {"type": "intger"}}}"#;
    let schema = file(json);
    let whole = file(&format!(
        r#"{{"content": {{"text": "a"}}, "output": {{"json": {{"schema": {json}}}}}}}"#
    ));
    for (line, place) in [
        (["words", "--schema", path(&schema)], "--schema"),
        (["--input-json", path(&whole), "--verbose"], "output.json.schema"),
    ] {
        let failure = prepare(&line).err().unwrap();
        let [problem] = failure.problems.as_slice() else {
            panic!("{failure:?}")
        };
        assert_eq!(problem.path, place);
        assert!(
            problem.message.contains("\"/properties/n/type\""),
            "{}",
            problem.message
        );
    }
    let failure = prepare(&["words", "--schema", path(&schema)]).err().unwrap();
    assert!(failure.problems[0].message.contains(path(&schema)), "{failure:?}");
    let remote = file(r#"{"$ref": "https://schemas.example.com/a.json"}"#);
    assert_eq!(paths(&["words", "--schema", path(&remote)]), ["--schema"]);
}

#[test]
fn a_file_that_cannot_be_written_and_an_id_that_cannot_be_used_are_told_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("absent/answer.txt");
    let line = [
        "words",
        "--id",
        "a\nb",
        "--temperature",
        "9",
        "--out",
        out.to_str().unwrap(),
    ];
    assert_eq!(paths(&line), ["--id", "--out", "parameters.temperature"]);
    let out = folder.path().join("answer.txt");
    assert!(prepare(&["words", "--out", out.to_str().unwrap()]).is_ok());
    assert!(!out.exists(), "it is written when there is an answer");
}

#[test]
fn a_whole_request_is_held_to_the_contract() {
    let good = file(r#"{"content": {"text": "words"}, "tenant": "acme"}"#);
    assert_eq!(
        input(&["--input-json", path(&good)]).tenant.as_deref(),
        Some("acme")
    );
    let misspelt = file(r#"{"content": {"text": "words"}, "tennant": "acme"}"#);
    assert!(paths(&["--input-json", path(&misspelt)]).contains(&"tennant".to_owned()));
    assert_eq!(
        paths(&["--input-json", path(&good), "--tenant", "other"]),
        ["--input-json"]
    );
}

#[test]
fn a_large_file_goes_by_reference_and_to_the_data_worker() {
    let large = file(&"x".repeat(70_000));
    let work = prepare(&["--file", path(&large)]).unwrap();
    assert_eq!(work.queues(), ["ai-processing", "data-processing"]);
    assert!(matches!(
        work,
        Work::Pipeline {
            source: Source::Upload(_),
            ..
        }
    ));
    assert_eq!(
        paths(&["--file", path(&large), "--placement", "ai-worker"]),
        ["placement"]
    );
    assert_eq!(prepare(&["words"]).unwrap().queues(), ["ai-processing"]);
}

#[test]
fn the_deadline_of_a_batch_is_that_of_the_file() {
    let lines = file("{\"text\": \"words\"}\n");
    let args = args(&[
        "--jsonl",
        path(&lines),
        "--deadline",
        "2d",
        "--window",
        "3",
        "--tenant",
        "acme",
    ]);
    let Ok(Work::Batch { defaults, .. }) = Work::prepare(&args) else {
        panic!("no batch")
    };
    let json = serde_json::to_value(batch_input(stand_in(), *defaults, &args)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "items": {"uri": "blob:to-be-uploaded"},
            "defaults": {"tenant": "acme"},
            "window": 3,
            "deadlineSeconds": 172_800
        })
    );
}

#[test]
fn problems_of_lines_and_of_flags_come_together() {
    let lines = file("{\"txt\": \"words\"}\n");
    assert_eq!(
        paths(&["--jsonl", path(&lines), "--window", "0", "--tenant", "a b"]),
        ["line 1.txt", "defaults.tenant", "window"]
    );
}

#[test]
fn a_line_is_told_once_for_its_own_mistakes_and_not_for_those_of_the_flags() {
    let lines = file("{\"text\": \"\"}\n{\"text\": \"words\"}\n");
    assert_eq!(
        paths(&["--jsonl", path(&lines), "--temperature", "9", "--window", "0"]),
        ["line 1.text", "defaults.parameters.temperature", "window"]
    );
}

#[test]
fn a_store_that_cannot_be_is_told_before_anything_starts() {
    for (flags, place) in [
        (&["--blob-store", "nonsense"][..], "--blob-store"),
        (&["--blob-store", "http://store.example.com"], "--blob-store"),
        (&["--blob-store", "file://relative/folder"], "--blob-store"),
        (
            &[
                "--blob-store",
                "s3://bucket",
                "--blob-store-option",
                "aws_regoin=a",
            ],
            "--blob-store-option",
        ),
        (&["--blob-store-option", "secret"], "--blob-store-option"),
    ] {
        assert_eq!(paths(&[&["words"], flags].concat()), [place], "{flags:?}");
    }
    let good = [
        "words",
        "--blob-store",
        "s3://bucket/a",
        "--blob-store-option",
        "aws_region=a",
    ];
    assert!(prepare(&good).is_ok());
    let folder = tempfile::tempdir().unwrap().path().join("absent");
    let url = url::Url::from_directory_path(&folder).unwrap().to_string();
    assert!(prepare(&["words", "--blob-store", &url]).is_ok());
    assert!(!folder.exists(), "looking at an address creates nothing");
}
