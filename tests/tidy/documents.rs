//! Documents lead only to what is there: links, anchors, paths.

use std::collections::BTreeMap;

use crate::{
    markdown::Document,
    tree::{File, Tree, report, resolve},
};

/// Folders at the root. What begins with one, written as code, is a path.
const FOLDERS: &[&str] = &[
    "benches/",
    "crates/",
    "deploy/",
    "docs/",
    "examples/",
    "proto/",
    "tests/",
    "tools/",
];

/// Gives every document with what is in it.
pub(crate) fn documents(tree: &Tree) -> Vec<(&File, Document)> {
    tree.with_extension("md")
        .map(|file| (file, Document::parse(&file.text)))
        .collect()
}

/// Says which links of a document lead nowhere.
fn dead_links(
    tree: &Tree,
    file: &File,
    document: &Document,
    anchors: &BTreeMap<&str, &[String]>,
) -> Vec<String> {
    let dead = |target: &str| -> bool {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let found = match path {
            "" => Some(file.path.clone()),
            // From the root of the site that shows the repository, which is nowhere on a disk.
            path if path.starts_with('/') => None,
            path => resolve(file.folder(), path).filter(|found| tree.has(found)),
        };
        match found {
            None => true,
            Some(_) if anchor.is_empty() => false,
            Some(found) => anchors
                .get(found.as_str())
                .is_some_and(|known| !known.iter().any(|known| known == anchor)),
        }
    };
    document
        .links
        .iter()
        .filter(|(_, target)| !is_elsewhere(target) && !is_an_item(file, target))
        .filter(|(_, target)| dead(target))
        .map(|(line, target)| format!("{}:{line} {target}", file.path))
        .collect()
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// Tells whether rustdoc resolves the link, and denies it when it is broken.
fn is_an_item(file: &File, target: &str) -> bool {
    let identifier = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '_' || letter == '!')
    };
    let path = target.split('#').next().unwrap_or(target);
    file.path.ends_with("/README.md") && path.trim_end_matches("()").split("::").all(identifier)
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let tree = Tree::read();
    let documents = documents(&tree);
    let anchors = documents
        .iter()
        .map(|(file, document)| (file.path.as_str(), document.anchors.as_slice()))
        .collect();
    let dead = documents
        .iter()
        .flat_map(|(file, document)| dead_links(&tree, file, document, &anchors));
    report("correct the link, or bring back what it led to", dead);
}

/// Gives the paths that a piece of code names.
fn paths(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| letter.is_whitespace() || "\"'`(),;=".contains(letter))
        .map(|word| word.trim_start_matches("./").trim_end_matches(['.', ':']))
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
}

/// Tells whether there is such a path, or one of its form.
fn exists(tree: &Tree, folder: &str, path: &str) -> bool {
    let path = path.split(':').next().unwrap_or(path);
    // `NAME` and `<name>` stand for something, as `*` does.
    let form = path.find(|letter: char| "*<{…$".contains(letter));
    let named = path.find("/NAME").map(|at| at + 1);
    let end = [form, named].into_iter().flatten().min();
    let from = |folder: &str| {
        resolve(folder, path.split_at(end.unwrap_or(path.len())).0).is_some_and(|found| match end {
            Some(_) => tree.has_prefix(&found),
            None => tree.has(&found),
        })
    };
    from("") || from(folder)
}

fn missing_paths(tree: &Tree, file: &File, document: &Document) -> Vec<String> {
    document
        .code
        .iter()
        .flat_map(|code| paths(&code.text).map(move |path| (code.line, path)))
        .filter(|(_, path)| !exists(tree, file.folder(), path))
        .map(|(line, path)| format!("{}:{line} {path}", file.path))
        .collect()
}

#[test]
fn every_path_in_a_document_exists() {
    let tree = Tree::read();
    let missing = documents(&tree)
        .into_iter()
        .flat_map(|(file, document)| missing_paths(&tree, file, &document));
    report(
        "documents name only what exists: correct the path or take it out",
        missing,
    );
}

#[test]
fn a_dead_link_a_dead_anchor_and_a_missing_path_are_found() {
    let tree = Tree {
        paths: vec!["crates/x/README.md".into(), "crates/x/src/lib.rs".into()],
        files: Vec::new(),
    };
    let text = "# Top\n[a](src/lib.rs) [b](gone.md) [c](#top) [d](#gone) [e](crate::item) [f](https://example.com/g)\n\n\
                `crates/x/src/lib.rs` `crates/x/src/gone.rs` `crates/*/README.md` `crates/x/s*` `docs/NAME`\n";
    let file = File::invented("crates/x/README.md", text);
    let document = Document::parse(text);
    let anchors = BTreeMap::from([("crates/x/README.md", document.anchors.as_slice())]);
    assert_eq!(
        dead_links(&tree, &file, &document, &anchors),
        ["crates/x/README.md:2 gone.md", "crates/x/README.md:2 #gone"]
    );
    assert_eq!(
        missing_paths(&tree, &file, &document),
        [
            "crates/x/README.md:4 crates/x/src/gone.rs",
            "crates/x/README.md:4 docs/NAME"
        ]
    );
}
