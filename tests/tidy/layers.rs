//! Which crate may know which: the table, and whether the workspace is what it says.
//!
//! The table is written out rather than derived from a rule, so that a new arrow is a line that somebody reads. It is
//! compared both ways: an arrow that nothing uses is a hole in the fence. What the table itself may say is held by the
//! layers, because otherwise the easy way past the fence would be to write it in.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::tree::report;

/// How far down a crate lies; arrows lead to a lower layer only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Programs of others, started for tests.
    Tools,
    /// What everybody agrees on.
    Contracts,
    /// One concern each: a store, a client, a context.
    Parts,
    /// Parts put behind another part's trait.
    Providers,
    /// Decisions and effects.
    Work,
    /// What is started.
    Binaries,
    /// What tests or measures all of it.
    Tests,
}

/// A crate and the first-party crates that it may know.
struct Row {
    name: &'static str,
    layer: Layer,
    uses: &'static [&'static str],
    /// Further ones in its tests.
    tests_use: &'static [&'static str],
}

const fn row(name: &'static str, layer: Layer, uses: &'static [&'static str]) -> Row {
    let tests_use = &[];
    Row {
        name,
        layer,
        uses,
        tests_use,
    }
}

/// The layout. `cargo metadata` has to say the same.
#[rustfmt::skip]
const LAYOUT: &[Row] = &[
    row("scratch-postgres", Layer::Tools,     &[]),

    row("workflow-types",   Layer::Contracts, &[]),

    row("activity-context", Layer::Parts,     &[]),
    row("blob-store",       Layer::Parts,     &["workflow-types"]),
    row("chaos-provider",   Layer::Parts,     &[]),
    row("documents",        Layer::Parts,     &[]),
    Row { name: "effect-journal", layer: Layer::Parts, uses: &[], tests_use: &["scratch-postgres"] },
    row("model-clients",    Layer::Parts,     &[]),
    row("temporal-client",  Layer::Parts,     &["workflow-types"]),
    row("worker-factory",   Layer::Parts,     &[]),

    row("local-models",     Layer::Providers, &["documents", "model-clients"]),

    row("ai-workflows",     Layer::Work,      &["workflow-types"]),
    row("data-activities",  Layer::Work,      &["activity-context", "blob-store", "documents", "workflow-types"]),
    row("llm-activities",   Layer::Work,      &["activity-context", "blob-store", "documents", "effect-journal",
                                                "model-clients", "workflow-types"]),

    row("ai-worker",        Layer::Binaries,  &["activity-context", "ai-workflows", "blob-store", "effect-journal",
                                                "llm-activities", "local-models", "model-clients", "worker-factory",
                                                "workflow-types"]),
    row("data-worker",      Layer::Binaries,  &["blob-store", "data-activities", "worker-factory", "workflow-types"]),
    row("pipelinectl",      Layer::Binaries,  &["blob-store", "documents", "effect-journal", "temporal-client",
                                                "workflow-types"]),

    row("auditor",          Layer::Work,      &["chaos-provider", "effect-journal", "temporal-client", "workflow-types"]),

    row("benches",          Layer::Tests,     &["chaos-provider", "effect-journal", "local-models", "model-clients",
                                                "scratch-postgres", "temporal-client", "workflow-types"]),
    Row { name: "system-tests", layer: Layer::Tests,
          uses: &["auditor", "blob-store", "chaos-provider", "effect-journal", "scratch-postgres", "temporal-client",
                 "workflow-types"],
          tests_use: &["activity-context", "ai-workflows", "data-activities", "llm-activities", "worker-factory"] },
];

/// Crates with exactly these first-party dependencies, whatever the table says: they are what makes the rest possible.
const FIXED: &[(&str, &[&str], &str)] = &[
    ("workflow-types", &[], "the contract stands under everything"),
    (
        "ai-workflows",
        &["workflow-types"],
        "workflows never see an activity's code",
    ),
    (
        "worker-factory",
        &[],
        "what every process has in common knows no pipeline",
    ),
];

/// The most crates in a row, of those that ship.
const LONGEST_CHAIN: usize = 4;

/// Reads the workspace without its dependencies, which needs no network.
pub(crate) fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap()
}

/// What a member of the workspace knows.
#[derive(Default)]
struct Arrows {
    uses: BTreeSet<String>,
    tests_use: BTreeSet<String>,
}

fn arrows(package: &Package, members: &BTreeSet<String>) -> Arrows {
    let mut arrows = Arrows::default();
    for dependency in &package.dependencies {
        if !members.contains(&dependency.name) {
            continue;
        }
        let side = if dependency.kind == DependencyKind::Development {
            &mut arrows.tests_use
        } else {
            &mut arrows.uses
        };
        side.insert(dependency.name.clone());
    }
    arrows
}

fn all_arrows() -> BTreeMap<String, Arrows> {
    let workspace = workspace();
    let packages = workspace.workspace_packages();
    let members = packages.iter().map(|package| package.name.to_string()).collect();
    packages
        .iter()
        .map(|package| (package.name.to_string(), arrows(package, &members)))
        .collect()
}

fn differences(name: &str, what: &str, found: &BTreeSet<String>, listed: &[&str]) -> Vec<String> {
    let unlisted = found
        .iter()
        .filter(|used| !listed.contains(&used.as_str()))
        .map(|used| format!("{name} {what} {used}, which the table doesn't allow"));
    let unused = listed
        .iter()
        .filter(|used| !found.contains(**used))
        .map(|used| format!("{name} is allowed {used} ({what}) and doesn't use it"));
    unlisted.chain(unused).collect()
}

#[test]
fn the_workspace_has_the_crates_and_arrows_of_the_table() {
    let found = all_arrows();
    let unlisted = found
        .keys()
        .filter(|name| !LAYOUT.iter().any(|row| row.name == name.as_str()))
        .map(|name| format!("{name} is not in the table"));
    let rows = LAYOUT.iter().flat_map(|row| match found.get(row.name) {
        Some(arrows) => {
            let mut offences = differences(row.name, "uses", &arrows.uses, row.uses);
            offences.extend(differences(
                row.name,
                "tests use",
                &arrows.tests_use,
                row.tests_use,
            ));
            offences
        }
        None => vec![format!("{} is in the table and not in the workspace", row.name)],
    });
    report(
        "take the dependency away, or, if the design wants it, change LAYOUT in tests/tidy/layers.rs in the same commit",
        unlisted.chain(rows),
    );
}

#[test]
fn arrows_of_the_table_lead_downwards() {
    let layer = |name: &str| LAYOUT.iter().find(|row| row.name == name).map(|row| row.layer);
    let upwards = LAYOUT.iter().flat_map(|row| {
        row.uses
            .iter()
            .chain(row.tests_use)
            .filter(|used| layer(used).is_none_or(|below| below >= row.layer))
            .map(|used| format!("{} ({:?}) -> {used} ({:?})", row.name, row.layer, layer(used)))
    });
    report("what both need belongs into a crate below both", upwards);
}

#[test]
fn contracts_workflows_and_the_worker_factory_know_what_they_may() {
    let found = all_arrows();
    let offences = FIXED.iter().flat_map(|(name, listed, reason)| {
        differences(name, "uses", &found[*name].uses, listed)
            .into_iter()
            .map(move |offence| format!("{offence}: {reason}"))
    });
    report("move the code to where the dependency is allowed", offences);
}

/// Gives the longest chain that begins with a crate, the crate included.
fn chain(name: &str, found: &BTreeMap<String, Arrows>) -> Vec<String> {
    let below = found[name]
        .uses
        .iter()
        .map(|used| chain(used, found))
        .max_by_key(Vec::len)
        .unwrap_or_default();
    [vec![name.to_owned()], below].concat()
}

#[test]
fn no_chain_of_crates_is_long() {
    let found = all_arrows();
    let tests = |name: &str| {
        LAYOUT
            .iter()
            .any(|row| row.name == name && row.layer == Layer::Tests)
    };
    let long = found
        .keys()
        .filter(|name| !tests(name))
        .map(|name| chain(name, &found))
        .filter(|chain| chain.len() > LONGEST_CHAIN)
        .map(|chain| chain.join(" -> "));
    report(
        "join two of the crates, or let the upper one take what it needs as a value",
        long,
    );
}

#[test]
fn an_arrow_that_is_not_listed_and_one_that_is_not_used_are_both_found() {
    let found = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    assert_eq!(
        differences("x", "uses", &found, &["b", "c"]),
        [
            "x uses a, which the table doesn't allow",
            "x is allowed c (uses) and doesn't use it"
        ]
    );
}
