//! Layering, refusal of unknown keys, all mistakes at once, redaction.

use std::{collections::BTreeMap, io::Write as _};

use serde::{Deserialize, Serialize};

use super::{LoadRequest, Problem, Validate, load, load_split, print};
use crate::Secret;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    name: String,
    count: u32,
    ratio: f64,
    on: bool,
    labels: Vec<String>,
    mode: Mode,
    nested: Nested,
    models: BTreeMap<String, Nested>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Plain,
    WithExtras,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Nested {
    limit: Option<u64>,
    api_key: Secret,
    address: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "default".into(),
            count: 1,
            ratio: 0.5,
            on: false,
            labels: Vec::new(),
            mode: Mode::Plain,
            nested: Nested::default(),
            models: BTreeMap::new(),
        }
    }
}

impl Validate for Options {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.count == 0 {
            problems.push(Problem::new("count", "must be at least 1"));
        }
        if self.ratio > 1.0 {
            problems.push(Problem::new("ratio", "must be at most 1"));
        }
        problems
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Process {
    worker: Nested,
}

impl Validate for Process {
    fn validate(&self) -> Vec<Problem> {
        Vec::new()
    }
}

fn request(env: &[(&str, &str)], overrides: &[&str]) -> LoadRequest {
    LoadRequest {
        prefix: "APP".into(),
        file: None,
        overrides: overrides.iter().map(|text| (*text).to_owned()).collect(),
        env: env
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn mistakes(request: &LoadRequest) -> Vec<String> {
    load::<Options>(request)
        .unwrap_err()
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn without_any_layer_the_defaults_hold() {
    let options: Options = load(&request(&[("PATH", "/bin"), ("APPLE", "1")], &[])).unwrap();
    assert_eq!(
        (options.name.as_str(), options.count, options.mode),
        ("default", 1, Mode::Plain)
    );
}

#[test]
fn each_layer_overrides_the_one_below() {
    let file = file("name = 'file'\ncount = 2\nratio = 0.1\non = true\n[nested]\nlimit = 3");
    let mut request = request(
        &[
            ("APP__COUNT", "4"),
            ("APP__RATIO", "0.2"),
            ("APP__NESTED__LIMIT", "5"),
        ],
        &["ratio=0.3", "nested.address=1.10"],
    );
    request.file = Some(file.path().to_owned());
    let options: Options = load(&request).unwrap();
    assert_eq!((options.name.as_str(), options.on), ("file", true));
    assert_eq!((options.count, options.nested.limit), (4, Some(5)));
    assert_eq!((options.ratio, options.nested.address.as_str()), (0.3, "1.10"));
}

#[test]
fn the_file_can_be_named_by_a_variable_and_keys_of_a_map_keep_their_case() {
    let file = file("[models.SmolLM2]\nlimit = 7");
    let path = file.path().to_str().unwrap();
    let options: Options = load(&request(&[("APP_CONFIG_FILE", path)], &[])).unwrap();
    assert_eq!(options.models["SmolLM2"].limit, Some(7));
}

#[test]
fn text_becomes_the_type_that_is_asked_for() {
    let env = [
        ("APP__NAME", "123"),
        ("APP__ON", "true"),
        ("APP__LABELS", "[\"a\", \"b\"]"),
        ("APP__MODE", "with-extras"),
        ("APP__MODELS", "{ tiny = { limit = 9 } }"),
    ];
    let options: Options = load(&request(&env, &[])).unwrap();
    assert_eq!((options.name.as_str(), options.on), ("123", true));
    assert_eq!(options.labels, ["a", "b"]);
    assert_eq!(options.mode, Mode::WithExtras);
    assert_eq!(options.models["tiny"].limit, Some(9));
}

#[test]
fn all_mistakes_are_reported_at_once_each_with_its_key_and_source() {
    let file = file("cuont = 1\non = 'perhaps'\n[nested]\nlimits = 2");
    let mut request = request(
        &[
            ("APP__RATIO", "7.5"),
            ("APP_COUNT", "3"),
            ("APP__LABELS", "[oops"),
            ("APP__NESTED__EXTRA", "x"),
        ],
        &["count=minus one", "mode=strange", "nothing"],
    );
    request.file = Some(file.path().to_owned());
    let found = mistakes(&request);
    let expected = [
        ("--set:", "has no `=`"),
        ("APP_COUNT:", "two underscores"),
        ("count:", "(from --set count)"),
        ("cuont:", "did you mean `count`?"),
        ("labels:", "(from variable APP__LABELS)"),
        ("mode:", "strange"),
        ("nested.extra:", "(from variable APP__NESTED__EXTRA)"),
        ("nested.limits:", "did you mean `limit`?"),
        ("on:", "perhaps"),
        ("ratio:", "must be at most 1"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((key, part), line) in expected.iter().zip(&found) {
        assert!(
            line.starts_with(key) && line.contains(part),
            "{key} {part}: {line}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_and_one_that_is_not_toml_too() {
    let mut missing = request(&[], &[]);
    missing.file = Some("/nonexistent/worker.toml".into());
    assert!(mistakes(&missing)[0].contains("does not exist"));
    let broken = file("name = ");
    let mut request = request(&[], &[]);
    request.file = Some(broken.path().to_owned());
    assert!(mistakes(&request)[0].contains("cannot be read"));
}

#[test]
fn the_process_and_the_service_share_the_layers_and_neither_takes_the_others_keys() {
    let env = [("APP__WORKER__LIMIT", "3"), ("APP__NAME", "x")];
    let (process, options): (Process, Options) = load_split(&request(&env, &[]), &["worker"]).unwrap();
    assert_eq!((process.worker.limit, options.name.as_str()), (Some(3), "x"));
    let env = [("APP__WORKR__LIMIT", "3")];
    let error = load_split::<Process, Options>(&request(&env, &[]), &["worker"]).unwrap_err();
    assert!(error.to_string().contains("did you mean `worker`?"), "{error}");
}

#[test]
fn a_printed_configuration_holds_no_secret_and_loads_again() {
    let env = [
        ("APP__NESTED__API_KEY", "hunter2"),
        ("APP__NESTED__ADDRESS", "postgres://me:hunter2@db/x"),
    ];
    let options: Options = load(&request(&env, &["name=printed"])).unwrap();
    assert_eq!(options.nested.api_key.expose(), "hunter2");
    let text = print(&options).unwrap();
    assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
    let file = file(&text);
    let mut request = request(&[], &[]);
    request.file = Some(file.path().to_owned());
    assert_eq!(load::<Options>(&request).unwrap().name, "printed");
}

#[test]
fn a_mistake_in_a_secret_does_not_show_it() {
    let env = [("APP__NESTED__API_KEY", "[\"hunter2\"]")];
    let found = mistakes(&request(&env, &[]));
    assert!(
        found[0].starts_with("nested.api_key") && !found[0].contains("hunter2"),
        "{found:?}"
    );
}
