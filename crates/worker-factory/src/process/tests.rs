//! The start up to the point where something is started: flags, all mistakes, printing.

use std::ffi::OsString;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Options, Service,
    prepare::{prepare, printed},
};
use crate::{
    Surroundings,
    cli::Invocation,
    config::{NamedFile, Problem, Sections, Validate, schema},
    connection::namespace::{AttributeKind, SearchAttribute},
    contract::Contract,
    exit::Exit,
};

const SERVICE: Service = Service {
    name: "test-worker",
    version: "1.2.3",
    about: "Tests.",
    env_prefix: "TEST_WORKER",
    task_queue: "tests",
    contract: Contract {
        workflows: &[],
        activities: &[],
    },
    search_attributes: &[SearchAttribute {
        name: "AiStage",
        kind: AttributeKind::Keyword,
    }],
    start_command: "pipelinectl dev",
    setup_command: "pipelinectl setup",
};

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Own {
    journal: Journal,
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Journal {
    path: String,
    key_file: Option<std::path::PathBuf>,
}

impl Sections for Own {
    fn fill(&mut self, surroundings: &Surroundings) {
        if self.journal.path.is_empty() {
            self.journal.path = surroundings.folder_url("journal").unwrap_or_default();
        }
    }

    fn files(&self) -> Vec<NamedFile> {
        let file = self.journal.key_file.iter();
        file.map(|path| NamedFile::new("journal.key_file", path))
            .collect()
    }
}

impl Validate for Own {
    fn validate(&self) -> Vec<Problem> {
        if self.journal.path == "bad" {
            vec![Problem::new("journal.path", "is bad")]
        } else {
            Vec::new()
        }
    }
}

fn invocation(args: &[&str], env: &[(&str, &str)]) -> Invocation {
    let mut env: Vec<(OsString, OsString)> = env
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    env.push(("TEMPORAL_CONFIG_FILE".into(), "/dev/null".into()));
    env.push(("HOME".into(), "/home/me".into()));
    Invocation::new(["test-worker"].iter().chain(args).map(OsString::from), env)
}

fn end(args: &[&str], env: &[(&str, &str)]) -> Result<bool, Exit> {
    prepare::<Own>(SERVICE, &invocation(args, env)).map(|plan| plan.is_some())
}

#[test]
fn without_anything_set_there_is_a_plan() {
    let plan = prepare::<Own>(SERVICE, &invocation(&[], &[])).unwrap().unwrap();
    assert_eq!(plan.profile.address(), "localhost:7233");
    assert_eq!(plan.profile.namespace, "default");
    assert_eq!(plan.options.worker.recycle_after_activities, 500_000);
}

#[test]
fn checking_and_printing_start_nothing() {
    assert_eq!(end(&["--check-config"], &[]), Ok(false));
    assert_eq!(end(&["--print-config"], &[]), Ok(false));
    assert_eq!(end(&["--print-schema"], &[]), Ok(false));
    assert_eq!(end(&["--help"], &[]), Err(Exit::Drained));
    assert_eq!(end(&["--version"], &[]), Err(Exit::Drained));
}

#[test]
fn every_kind_of_mistake_ends_with_the_code_for_configuration() {
    assert_eq!(end(&["--no-such-flag"], &[]), Err(Exit::Config));
    assert_eq!(end(&["--set", "worker.no_such_key=1"], &[]), Err(Exit::Config));
    assert_eq!(
        end(&[], &[("TEST_WORKER__JOURNAL__PATH", "bad")]),
        Err(Exit::Config)
    );
    let missing = ["--set", "journal.key_file=/nonexistent/key"];
    assert_eq!(end(&missing, &[]), Err(Exit::Config));
    assert_eq!(
        end(&[missing.as_slice(), &["--print-config"]].concat(), &[]),
        Err(Exit::Config)
    );
    assert_eq!(
        end(&["--check-config"], &[("TEMPORAL_TLS", "perhaps")]),
        Err(Exit::Config)
    );
    assert_eq!(
        end(&["--set", "health.stalled_after_seconds=0"], &[]),
        Err(Exit::Config)
    );
}

#[test]
fn what_is_printed_can_be_loaded_again() {
    let plan = prepare::<Own>(SERVICE, &invocation(&["--set", "journal.path=here"], &[]))
        .unwrap()
        .unwrap();
    let schema = schema::of::<Options, Own>("test-worker");
    let text = printed(&plan.options, &plan.own, Some(&plan.profile), &schema).unwrap();
    assert!(
        text.starts_with("# connects to localhost:7233, namespace `default`\n"),
        "{text}"
    );
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let again = invocation(&["--config", file.path().to_str().unwrap()], &[]);
    let plan = prepare::<Own>(SERVICE, &again).unwrap().unwrap();
    assert_eq!(plan.own.journal.path, "here");
}

#[test]
fn what_nobody_set_is_filled_in_before_anything_is_checked_or_shown() {
    let plan = prepare::<Own>(SERVICE, &invocation(&[], &[])).unwrap().unwrap();
    assert_eq!(
        plan.own.journal.path,
        "file:///home/me/.local/state/temporal-ai-workers/journal/"
    );
}

#[test]
fn a_problem_of_a_section_is_named_with_the_section() {
    let mut options = Options::default();
    options.worker.workflow_pollers.count = 0;
    let keys: Vec<String> = options
        .validate()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(keys, ["worker.workflow_pollers.count"]);
}
