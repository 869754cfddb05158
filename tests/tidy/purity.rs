//! The two pure crates: what makes workflow code answer the same on every replay.
//!
//! That they compile for WebAssembly is checked by `make wasm`; but std has clocks and hash maps there too, so the crates
//! also have a `clippy.toml` of their own. Clippy reads one such file and doesn't merge it with the root's: a threshold
//! that is missing there is silently the default, which is why the repetition is checked here.

use std::{collections::BTreeSet, process::Command};

use cargo_metadata::DependencyKind;

use crate::{
    layers::workspace,
    tree::{Tree, report},
};

/// The pure crates and every crate that they may list.
const PURE: &[(&str, &[&str])] = &[
    (
        "workflow-types",
        &[
            "pbjson",
            "pbjson-types",
            "prost",
            "serde",
            "serde_ignored",
            "serde_json",
            "serde_path_to_error",
            "temporalio-common-wasm",
            "temporalio-macros",
            "temporalio-protos",
            "thiserror",
        ],
    ),
    (
        "ai-workflows",
        &[
            "futures",
            "temporalio-macros",
            "temporalio-protos",
            "temporalio-workflow",
            "thiserror",
            "tracing",
            "workflow-types",
        ],
    ),
];

/// Crates that do I/O, keep time or run threads, none of which may be anywhere below. `tokio` itself is below the SDK's
/// pure half already, without the features that do any of it.
const IMPURE: &[&str] = &[
    "hyper",
    "hyper-util",
    "mio",
    "object_store",
    "reqwest",
    "rusqlite",
    "rustls",
    "socket2",
    "temporalio-client",
    "temporalio-common",
    "temporalio-sdk",
    "temporalio-sdk-core",
];

/// What workflow code may not name.
const BANNED: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::env::var",
    "std::env::vars",
    "std::fs::File::open",
    "std::fs::read",
    "std::fs::read_to_string",
    "std::fs::write",
    "std::thread::sleep",
    "std::thread::spawn",
    "std::time::Instant",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
];

#[test]
fn the_pure_crates_list_only_what_they_may() {
    let workspace = workspace();
    let offences = PURE.iter().flat_map(|(name, allowed)| {
        let package = workspace
            .workspace_packages()
            .into_iter()
            .find(|package| package.name == *name)
            .unwrap();
        package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .filter(|dependency| !allowed.contains(&dependency.name.as_str()))
            .map(|dependency| format!("{name} -> {}", dependency.name))
            .collect::<Vec<_>>()
    });
    report(
        "do it in an activity; a crate that is pure itself is added to PURE in tests/tidy/purity.rs",
        offences,
    );
}

/// Gives every package below a crate, as a build of that crate alone chooses features.
fn tree_below(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", name, "--edges", "normal", "--prefix", "none"])
        .args(["--target", "wasm32-unknown-unknown", "--format", "{p}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        // Features unified over the workspace would show what other crates switch on.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn nothing_below_the_pure_crates_does_io() {
    let offences = PURE.iter().flat_map(|(name, _)| {
        let below = tree_below(name);
        assert!(
            below.contains("prost"),
            "the tree below {name} was not read: {below:?}"
        );
        IMPURE
            .iter()
            .filter(move |impure| below.contains(**impure))
            .map(move |impure| format!("{name} -> … -> {impure}"))
            .collect::<Vec<_>>()
    });
    report(
        "find the way there with `cargo tree --invert` and switch the feature off",
        offences,
    );
}

fn thresholds(settings: &toml::Table) -> toml::Table {
    settings
        .iter()
        .filter(|(key, _)| key.ends_with("-threshold") || key.starts_with("allow-"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Says what a pure crate's lint settings lack.
fn lacks(root: &toml::Table, own: &toml::Table) -> Vec<String> {
    let own_thresholds = thresholds(own);
    let repeated = thresholds(root)
        .into_iter()
        .filter(|(key, value)| own_thresholds.get(key) != Some(value))
        .map(|(key, value)| format!("{key} = {value}"));
    let bans = ["disallowed-types", "disallowed-methods"]
        .iter()
        .filter_map(|key| own.get(*key)?.as_array())
        .flatten();
    let banned: BTreeSet<&str> = bans
        .filter(|ban| {
            ban.get("reason")
                .and_then(toml::Value::as_str)
                .is_some_and(|reason| !reason.is_empty())
        })
        .filter_map(|ban| ban.get("path")?.as_str())
        .collect();
    let missing = BANNED
        .iter()
        .filter(|path| !banned.contains(**path))
        .map(|path| format!("a ban of {path} with its reason"));
    repeated.chain(missing).collect()
}

#[test]
fn the_pure_crates_repeat_the_thresholds_and_ban_what_differs_between_runs() {
    let tree = Tree::read();
    let settings = |path: &str| -> toml::Table {
        let file = tree
            .file(path)
            .unwrap_or_else(|| panic!("{path} is missing; clippy would use the root's"));
        file.text.parse().unwrap()
    };
    let root = settings("clippy.toml");
    assert!(!thresholds(&root).is_empty());
    let offences = PURE.iter().flat_map(|(name, _)| {
        let path = format!("crates/{name}/clippy.toml");
        lacks(&root, &settings(&path))
            .into_iter()
            .map(move |lack| format!("{path} lacks {lack}"))
    });
    report(
        "add it; this file replaces the root's and is not merged with it",
        offences,
    );
}

#[test]
fn a_threshold_that_differs_and_a_ban_without_a_reason_are_found() {
    let root: toml::Table = "a-threshold = 60\nallow-b = true".parse().unwrap();
    let own = "a-threshold = 61\nallow-b = true\ndisallowed-types = [{ path = 'std::time::Instant' }]";
    let found = lacks(&root, &own.parse().unwrap());
    assert_eq!(found.len(), 1 + BANNED.len());
    assert_eq!(found[0], "a-threshold = 60");
}
