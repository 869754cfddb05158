//! What the workers are told and what they say of it: the binaries themselves, without a server.

#[path = "configuration/page.rs"]
mod page;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use worker_factory::config::{
    Schema,
    schema::{self, UNSET},
};

use crate::stack::program;
use page::Binary;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
/// Writes the page instead of comparing it.
const WRITE: &str = "TAW_WRITE_DOCS";

const WORKERS: [(&str, &str); 2] = [("ai-worker", "AI_WORKER"), ("data-worker", "DATA_WORKER")];

/// Where the model that comes along would be.
const MODEL: &str = ".cache/temporal-ai-workers/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// A home folder in which a worker lacks nothing.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join(MODEL);
    fs::create_dir_all(model.parent().unwrap()).unwrap();
    fs::write(model, "no model, but a file").unwrap();
    home
}

fn run(worker: &str, home: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(program(worker))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("CANDLE_NUM_THREADS", "1")
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn printed_schema(worker: &str) -> Value {
    let output = run(worker, home().path(), &["--print-schema"], &[]);
    assert!(output.status.success(), "{}", err(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn parsed(value: Value) -> Schema {
    Schema::try_from(value).unwrap()
}

/// Calls back for every key of every table, with its path.
fn each_key(schema: &Schema, path: &str, visit: &mut dyn FnMut(&str, &Schema)) {
    for form in schema::forms(schema) {
        let entry = schema::key(form, "*").filter(|_| schema::keys(form).is_empty());
        let keys = schema::keys(form).into_iter();
        let keys = keys.filter_map(|name| Some((name, schema::key(form, name)?)));
        for (name, key) in keys.chain(entry.map(|entry| ("*", entry))) {
            let path = format!("{path}.{name}");
            visit(&path, key);
            each_key(key, &path, visit);
        }
    }
}

#[test]
fn the_page_of_all_keys_is_what_the_workers_say() {
    let binaries = WORKERS.map(|(name, prefix)| Binary {
        name,
        prefix,
        schema: parsed(printed_schema(name)),
    });
    let page = page::render(&binaries);
    if std::env::var_os(WRITE).is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    let differs = page
        .lines()
        .zip(written.lines().chain([""]))
        .find(|(now, written)| now != written);
    assert!(
        page == written,
        "docs/configuration.md is not what the workers say; write it again with `make docs-config`; first difference: \
         {differs:?}"
    );
}

#[test]
fn every_key_is_explained_and_one_without_a_default_says_what_holds() {
    for (worker, _) in WORKERS {
        let schema = parsed(printed_schema(worker));
        let mut offences = Vec::new();
        each_key(&schema, worker, &mut |path, key| {
            let is_value =
                !schema::is_section(key) && schema::choices(key).len() != 1 && !path.ends_with('*');
            if is_value && key.get("description").is_none() {
                offences.push(format!("{path} has no comment"));
            }
            let nullable = key.get("type").is_some_and(Value::is_array) || key.get("anyOf").is_some();
            if nullable && key.get(UNSET).is_none() {
                offences.push(format!("{path} may be unset and has no {UNSET}"));
            }
        });
        assert_eq!(offences, [""; 0]);
    }
}

#[test]
fn defaults_and_examples_fit_the_schema_that_gives_them() {
    for (worker, _) in WORKERS {
        let schema = parsed(printed_schema(worker));
        let mut tried = 0;
        each_key(&schema, worker, &mut |path, key| {
            let rules = jsonschema::validator_for(key.as_value()).unwrap();
            let examples = key.get("examples").and_then(Value::as_array);
            for value in examples.into_iter().flatten().chain(key.get("default")) {
                tried += 1;
                assert!(rules.is_valid(value), "{path}: {value}");
            }
        });
        assert!(tried > 30, "{worker}: {tried}");
    }
}

#[test]
fn what_is_printed_fits_the_schema_and_is_loaded_again_as_it_is() {
    let home = home();
    let key = home.path().join("key");
    fs::write(&key, "hunter2").unwrap();
    let service = format!(
        "{{ main = {{ base_url = 'https://h/v1', api_key_file = '{}', extra_headers = {{ x-team = 'hunter2' }}, \
         models = {{ 'gpt-4.1' = {{ context_window = 9, billing = {{ kind = 'free' }} }} }} }} }}",
        key.display()
    );
    for (worker, env) in [
        (
            "ai-worker",
            &[("AI_WORKER__MODELS__OPENAI", service.as_str())][..],
        ),
        ("data-worker", &[]),
    ] {
        let output = run(worker, home.path(), &["--print-config"], env);
        let text = out(&output);
        assert!(output.status.success(), "{}", err(&output));
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("# task_queue is not set: "), "{text}");
        assert!(text.contains("SmolLM2-135M-Instruct.Q4_1.gguf"), "{text}");
        let values: toml::Table = text.parse().unwrap();
        let rules = jsonschema::validator_for(&printed_schema(worker)).unwrap();
        let wrong: Vec<String> = rules
            .iter_errors(&json!(values))
            .map(|error| error.to_string())
            .collect();
        assert_eq!(wrong, [""; 0]);

        let file = home.path().join("again.toml");
        fs::write(&file, &text).unwrap();
        let again = run(
            worker,
            home.path(),
            &["--print-config", "--config", file.to_str().unwrap()],
            &[],
        );
        assert_eq!(out(&again), text, "{}", err(&again));
    }
}

#[test]
fn a_mistake_names_its_key_its_source_what_is_expected_and_an_example() {
    let home = home();
    let file = home.path().join("worker.toml");
    fs::write(
        &file,
        "[journal]\nlease_seconds = 5\n[worker]\nversioning = 'pined'\n",
    )
    .unwrap();
    let output = run(
        "ai-worker",
        home.path(),
        &[
            "--check-config",
            "--config",
            file.to_str().unwrap(),
            "--set",
            "health.listen=here",
        ],
        &[("AI_WORKER__WORKER__MAX_CONCURRENT_ACTIVITIES", "many")],
    );
    assert_eq!(output.status.code(), Some(64));
    let file = file.display();
    let expected = format!(
        "ai-worker: the configuration has 4 mistakes\n  \
         health.listen: `here` does not fit; expected: IP address and port; for example `listen = \"0.0.0.0:8080\"` \
         (from --set health.listen)\n  \
         journal.lease_seconds: `5` does not fit; expected: whole number, 20 to 3600; for example `lease_seconds = 45` \
         (from {file})\n  \
         worker.max_concurrent_activities: `many` does not fit; expected: whole number, at least 1; for example \
         `max_concurrent_activities = 100` (from variable AI_WORKER__WORKER__MAX_CONCURRENT_ACTIVITIES)\n  \
         worker.versioning: `pined` does not fit; expected: `\"pinned\"` or `\"auto-upgrade\"` (from {file})\n"
    );
    assert_eq!(err(&output), expected);
}

#[test]
fn a_file_that_is_named_and_not_there_is_a_mistake_of_its_key() {
    let home = home();
    let service = "models.openai.main={ base_url = 'https://h/v1', api_key_file = '/nonexistent/key', \
                   ca_file = '/nonexistent/ca', models = { a = { context_window = 9, billing = { kind = 'free' } } } }";
    let args = [
        "--check-config",
        "--set",
        service,
        "--set",
        "temporal.api_key_file=/nonexistent/t",
    ];
    let output = run(
        "ai-worker",
        home.path(),
        &args,
        &[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nonexistent/tls")],
    );
    assert_eq!(output.status.code(), Some(64));
    let said = err(&output);
    for key in [
        "models.openai.main.api_key_file: ",
        "models.openai.main.ca_file: ",
        "temporal.api_key_file: ",
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH: ",
    ] {
        assert!(said.contains(key), "{key}: {said}");
    }

    let bare = tempfile::tempdir().unwrap();
    for (worker, key) in [
        ("ai-worker", "models.local.models.smollm2-135m-instruct.path: "),
        (
            "data-worker",
            "documents.models.local/smollm2-135m-instruct.tokenizer.path: ",
        ),
    ] {
        // Also a start ends so, and whoever asks for the configuration sees it all the same.
        for args in [&[][..], &["--check-config"], &["--print-config"]] {
            let output = run(worker, bare.path(), args, &[]);
            assert_eq!(output.status.code(), Some(64), "{worker} {args:?}");
            assert!(
                err(&output).contains(key) && err(&output).contains("make setup"),
                "{}",
                err(&output)
            );
            assert_eq!(args == ["--print-config"], out(&output).contains("[blob_store]"));
        }
    }
}
