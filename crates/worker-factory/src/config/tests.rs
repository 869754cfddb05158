//! Layering, refusal of unknown keys, all mistakes at once, filling in, redaction.

use std::{collections::BTreeMap, io::Write as _, net::SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LoadRequest, Loaded, NamedFile, Problem, Schema, Sections, Validate, load, print, schema};
use crate::{Secret, Surroundings};

mod messages;

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    name: String,
    count: u32,
    ratio: f64,
    on: bool,
    labels: Vec<String>,
    mode: Mode,
    #[schemars(extend("examples" = ["0.0.0.0:8080"]))]
    listen: Option<SocketAddr>,
    nested: Nested,
    models: BTreeMap<String, Nested>,
    price: Price,
    folder: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Price {
    #[default]
    Free,
    PerToken {
        /// What it costs.
        #[schemars(extend("examples" = [5]))]
        micros: u64,
    },
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Plain,
    WithExtras,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Nested {
    #[schemars(range(min = 1, max = 99), extend("x-unset" = "no limit"))]
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
            listen: None,
            nested: Nested::default(),
            models: BTreeMap::new(),
            price: Price::Free,
            folder: String::new(),
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

impl Sections for Options {
    fn fill(&mut self, surroundings: &Surroundings) {
        if self.folder.is_empty() {
            self.folder = surroundings.folder_url("here").unwrap_or_default();
        }
    }

    fn files(&self) -> Vec<NamedFile> {
        Vec::new()
    }
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
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

fn described() -> Schema {
    schema::of::<Process, Options>("app")
}

fn loaded(request: &LoadRequest) -> Loaded<Process, Options> {
    let env = [("HOME".into(), "/home/me".into())];
    load(request, &described(), &Surroundings::of(&env))
}

fn options(request: &LoadRequest) -> Options {
    let loaded = loaded(request);
    assert_eq!(loaded.problems, []);
    loaded.options.unwrap().1
}

fn mistakes(request: &LoadRequest) -> Vec<String> {
    let mut problems = loaded(request).problems;
    problems.sort_by(|left, right| left.key.cmp(&right.key));
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn without_any_layer_the_defaults_hold() {
    let options = options(&request(&[("PATH", "/bin"), ("APPLE", "1")], &[]));
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
    let options = options(&request);
    assert_eq!((options.name.as_str(), options.on), ("file", true));
    assert_eq!((options.count, options.nested.limit), (4, Some(5)));
    assert_eq!((options.ratio, options.nested.address.as_str()), (0.3, "1.10"));
}

#[test]
fn the_file_can_be_named_by_a_variable_and_keys_of_a_map_keep_their_case() {
    let file = file("[models.SmolLM2]\nlimit = 7");
    let path = file.path().to_str().unwrap();
    let options = options(&request(&[("APP_CONFIG_FILE", path)], &[]));
    assert_eq!(options.models["SmolLM2"].limit, Some(7));
}

#[test]
fn text_becomes_the_type_that_is_asked_for() {
    let env = [
        ("APP__NAME", "123"),
        ("APP__ON", "true"),
        ("APP__LABELS", "[\"a\", \"b\"]"),
        ("APP__MODE", "with-extras"),
        ("APP__LISTEN", "[::1]:80"),
        ("APP__MODELS", "{ tiny = { limit = 9 } }"),
        ("APP__PRICE__KIND", "per_token"),
        ("APP__PRICE__MICROS", "7"),
    ];
    let options = options(&request(&env, &[]));
    assert_eq!((options.name.as_str(), options.on), ("123", true));
    assert_eq!(options.labels, ["a", "b"]);
    assert_eq!(options.mode, Mode::WithExtras);
    assert_eq!(options.listen, Some("[::1]:80".parse().unwrap()));
    assert_eq!(options.models["tiny"].limit, Some(9));
    assert!(matches!(options.price, Price::PerToken { micros: 7 }));
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
        &["count=minus one", "mode=strange", "nothing", "nested..limit=1"],
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
        ("nested..limit:", "is empty"),
        ("nested.extra:", "(from variable APP__NESTED__EXTRA)"),
        ("nested.limits:", "did you mean `limit`?"),
        ("on:", "perhaps"),
        ("ratio:", "must be at most 1 (from variable APP__RATIO)"),
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
    let broken = file("[nested]\napi_key = 'hunter2");
    let mut request = request(&[], &[]);
    request.file = Some(broken.path().to_owned());
    let found = mistakes(&request);
    assert!(
        found[0].contains("is no TOML: line 2") && !found[0].contains("hunter2"),
        "{found:?}"
    );
}

#[test]
fn the_process_and_the_service_share_the_layers_and_neither_takes_the_others_keys() {
    let env = [("APP__WORKER__LIMIT", "3"), ("APP__NAME", "x")];
    let (process, options) = loaded(&request(&env, &[])).options.unwrap();
    assert_eq!((process.worker.limit, options.name.as_str()), (Some(3), "x"));
    let found = mistakes(&request(&[("APP__WORKR__LIMIT", "3")], &[]));
    assert!(found[0].contains("did you mean `worker`?"), "{found:?}");
}

#[test]
fn what_nobody_set_is_filled_in_and_what_somebody_set_is_left() {
    let folder = |overrides: &[&str]| options(&request(&[], overrides)).folder;
    assert_eq!(
        folder(&[]),
        "file:///home/me/.local/state/temporal-ai-workers/here/"
    );
    assert_eq!(folder(&["folder=mine"]), "mine");
}

#[test]
fn a_printed_configuration_holds_no_secret_and_loads_again() {
    let env = [
        ("APP__NESTED__API_KEY", "hunter2"),
        ("APP__NESTED__ADDRESS", "postgres://me:hunter2@db/x"),
        ("APP__MODELS", "{ \"a.b\" = { limit = 2 } }"),
    ];
    let Loaded { options: read, .. } = loaded(&request(&env, &["name=printed"]));
    let (process, own) = read.unwrap();
    assert_eq!(own.nested.api_key.expose(), "hunter2");
    let text = print(&process, &own, &described()).unwrap();
    assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
    let file = file(&text);
    let mut request = request(&[], &[]);
    request.file = Some(file.path().to_owned());
    let again = options(&request);
    assert_eq!(
        (again.name.as_str(), again.models["a.b"].limit),
        ("printed", Some(2))
    );
}

#[test]
fn a_key_that_is_not_set_is_printed_with_what_holds_instead() {
    let Loaded { options, .. } = loaded(&request(&[], &[]));
    let (process, own) = options.unwrap();
    let text = print(&process, &own, &described()).unwrap();
    for line in [
        "# listen is not set",
        "[models]\n# nothing is set",
        "# limit is not set: no limit",
        "price = { kind = \"free\" }",
        "folder = \"file:///home/me/",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_schema_lists_the_sections_of_both_and_refuses_every_other_key() {
    let schema = described();
    let names = schema::keys(&schema);
    assert!(names.contains(&"worker") && names.contains(&"price"), "{names:?}");
    for pointer in ["/additionalProperties", "/properties/nested/additionalProperties"] {
        assert!(schema.pointer(pointer).is_some_and(|value| *value == false));
    }
    let count = schema.pointer("/properties/count/default");
    assert!(count.is_some_and(|value| *value == 1));
    assert!(schema.pointer("/properties/nested/default").is_none());
    assert!(schema::is_secret(
        schema::at(&schema, "models.any.api_key").unwrap()
    ));
    assert!(schema::text(&schema).starts_with("{\n  \"$schema\""));
}
