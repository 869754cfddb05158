//! Every member's manifest: what is inherited, what is listed, and that the crate explains itself.

use std::collections::BTreeSet;

use crate::{
    layers::workspace,
    tree::{File, Tree, report},
};

/// What a package takes from the workspace.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];
/// The most direct dependencies of a crate, its tests' apart.
const MOST_DEPENDENCIES: usize = 20;
/// Crates with more, each with the reason.
const MORE_DEPENDENCIES: &[(&str, &str)] = &[];
/// Lints that the table must deny; the rest of the rules leans on them.
const DENIED: &[(&str, &str)] = &[
    ("clippy", "allow_attributes"),
    ("clippy", "allow_attributes_without_reason"),
    ("clippy", "disallowed_methods"),
    ("clippy", "disallowed_types"),
    ("clippy", "expect_used"),
    ("clippy", "mod_module_files"),
    ("clippy", "panic"),
    ("clippy", "pedantic"),
    ("clippy", "print_stderr"),
    ("clippy", "print_stdout"),
    ("clippy", "todo"),
    ("clippy", "unimplemented"),
    ("clippy", "unreachable"),
    ("clippy", "unwrap_used"),
    ("rust", "missing_docs"),
    ("rust", "unreachable_pub"),
];

fn manifests(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
}

fn first_party(tree: &Tree) -> BTreeSet<String> {
    manifests(tree)
        .filter_map(|file| Some(parse(file).get("package")?.get("name")?.as_str()?.to_owned()))
        .collect()
}

fn parse(file: &File) -> toml::Table {
    file.text
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

fn says_workspace(value: Option<&toml::Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(toml::Value::as_bool)
        == Some(true)
}

fn not_inherited(file: &File) -> Vec<String> {
    let manifest = parse(file);
    let package = manifest.get("package");
    let keys = INHERITED
        .iter()
        .filter(|key| !says_workspace(package.and_then(|package| package.get(**key))))
        .map(|key| format!("{}: {key}.workspace = true", file.path));
    let lints =
        (!says_workspace(manifest.get("lints"))).then(|| format!("{}: [lints] workspace = true", file.path));
    keys.chain(lints).collect()
}

#[test]
fn every_member_inherits_the_workspace() {
    let tree = Tree::read();
    report(
        "add the line to the manifest",
        manifests(&tree).flat_map(not_inherited),
    );
}

#[test]
fn the_lint_table_denies_what_the_other_rules_lean_on() {
    let tree = Tree::read();
    let root = parse(tree.file("Cargo.toml").unwrap());
    let level = |group: &str, lint: &str| {
        let entry = root["workspace"]["lints"][group].get(lint)?;
        let level = entry.get("level").unwrap_or(entry);
        level.as_str().map(str::to_owned)
    };
    let missing = DENIED
        .iter()
        .filter(|(group, lint)| level(group, lint).as_deref() != Some("deny"))
        .map(|(group, lint)| format!("{group}::{lint}"));
    let forbidden = (level("rust", "unsafe_code").as_deref() != Some("forbid"))
        .then(|| "rust::unsafe_code, which is to be forbidden".to_owned());
    report("put it back into [workspace.lints]", missing.chain(forbidden));
}

/// One line of a dependency section.
struct Entry<'a> {
    section: &'a str,
    name: &'a str,
    value: &'a str,
    /// A comment stands right above.
    explained: bool,
    /// A blank line stands above, or above its comment.
    after_blank: bool,
}

/// Reads the dependency sections as text, because their order and their comments count.
fn entries(manifest: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut section = "";
    let (mut explained, mut after_blank) = (false, false);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            (explained, after_blank) = (false, false);
        } else if line.is_empty() {
            (explained, after_blank) = (false, true);
        } else if line.starts_with('#') {
            explained = true;
        } else if section.ends_with("dependencies") && line.contains('=') {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let (name, inherits) = match key.trim().strip_suffix(".workspace") {
                Some(name) => (name, "workspace = true"),
                None => (key.trim(), value.trim()),
            };
            entries.push(Entry {
                section,
                name,
                value: inherits,
                explained,
                after_blank,
            });
            (explained, after_blank) = (false, false);
        }
    }
    entries
}

fn not_from_the_workspace(file: &File) -> Vec<String> {
    entries(&file.text)
        .iter()
        .filter(|entry| !entry.value.contains("workspace = true"))
        // A crate under another name can't be inherited; why it has another name stands above it.
        .filter(|entry| !(entry.explained && entry.value.contains("package = ")))
        .map(|entry| format!("{}: {} = {}", file.path, entry.name, entry.value))
        .collect()
}

#[test]
fn versions_are_chosen_in_one_place() {
    let tree = Tree::read();
    report(
        "move it to [workspace.dependencies] and write `name.workspace = true`; a renamed crate gets its reason as a \
         comment right above",
        manifests(&tree).flat_map(not_from_the_workspace),
    );
}

fn out_of_order(file: &File, first_party: &BTreeSet<String>) -> Vec<String> {
    let entries = entries(&file.text);
    let mut offences = Vec::new();
    for pair in entries.windows(2) {
        let [above, below] = pair else { continue };
        if above.section != below.section {
            continue;
        }
        let ours = |entry: &Entry<'_>| first_party.contains(entry.name);
        let in_order = match (ours(above), ours(below)) {
            (true, false) => below.after_blank,
            (false, true) => false,
            (true, true) | (false, false) => above.name < below.name,
        };
        if !in_order {
            offences.push(format!(
                "{} [{}]: {} before {}",
                file.path, above.section, above.name, below.name
            ));
        }
    }
    offences
}

#[test]
fn dependencies_are_sorted_and_our_own_come_first() {
    let tree = Tree::read();
    let ours = first_party(&tree);
    report(
        "sort the section: our own crates, a blank line, all others, each by name",
        manifests(&tree).flat_map(|file| out_of_order(file, &ours)),
    );
}

#[test]
fn no_crate_leans_on_many_others() {
    let tree = Tree::read();
    let counts: Vec<(String, usize)> = manifests(&tree)
        .map(|file| {
            let name = parse(file)["package"]["name"].as_str().unwrap().to_owned();
            let direct: BTreeSet<_> = entries(&file.text)
                .iter()
                .filter(|entry| entry.section != "dev-dependencies")
                .map(|entry| entry.name.to_owned())
                .collect();
            (name, direct.len())
        })
        .collect();
    let excepted = |name: &str| {
        MORE_DEPENDENCIES
            .iter()
            .any(|(crate_name, _)| *crate_name == name)
    };
    let many = counts
        .iter()
        .filter(|(name, count)| *count > MOST_DEPENDENCIES && !excepted(name))
        .map(|(name, count)| format!("{name} has {count} direct dependencies"));
    let stale = counts
        .iter()
        .filter(|(name, count)| *count <= MOST_DEPENDENCIES && excepted(name))
        .map(|(name, _)| format!("{name} needs no exception any more"));
    report("split the crate, or do without; at most 20", many.chain(stale));
}

#[test]
fn every_crate_explains_itself_and_its_library_shows_the_same_text() {
    let tree = Tree::read();
    let folders = manifests(&tree).map(File::folder);
    let offences = folders.flat_map(|folder| {
        let readme = match tree.file(&format!("{folder}/README.md")) {
            None => Some(format!("{folder}/README.md is missing")),
            Some(file) if file.text.lines().count() < 5 => Some(format!("{folder}/README.md says nothing")),
            Some(_) => None,
        };
        let includes = "#![doc = include_str!(\"../README.md\")]";
        let library = tree
            .file(&format!("{folder}/src/lib.rs"))
            .filter(|library| !library.text.lines().any(|line| line == includes))
            .map(|library| format!("{} lacks {includes}", library.path));
        readme.into_iter().chain(library)
    });
    report(
        "the README is the crate's documentation: write it and include it",
        offences,
    );
}

#[test]
fn every_folder_with_a_manifest_is_a_member() {
    let tree = Tree::read();
    let workspace = workspace();
    let members: BTreeSet<String> = workspace
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    report(
        "add it to `members` in the root's Cargo.toml",
        first_party(&tree).difference(&members).cloned(),
    );
}

#[test]
fn a_version_an_unsorted_line_and_a_missing_blank_line_are_found() {
    let file = File::invented(
        "crates/x/Cargo.toml",
        "[package]\nname = \"x\"\n[dependencies]\nours.workspace = true\nserde = \"1\"\nbytes.workspace = true\n\
         # Under this name for the macros.\nalias = { package = \"real\", version = \"1\" }\n\
         alias2 = { package = \"real\", version = \"1\" }\n",
    );
    assert_eq!(
        not_from_the_workspace(&file),
        [
            "crates/x/Cargo.toml: serde = \"1\"",
            "crates/x/Cargo.toml: alias2 = { package = \"real\", version = \"1\" }"
        ]
    );
    assert_eq!(
        out_of_order(&file, &BTreeSet::from(["ours".to_owned()])),
        [
            "crates/x/Cargo.toml [dependencies]: ours before serde",
            "crates/x/Cargo.toml [dependencies]: serde before bytes",
            "crates/x/Cargo.toml [dependencies]: bytes before alias"
        ]
    );
    assert_eq!(not_inherited(&file).len(), INHERITED.len() + 1);
}
