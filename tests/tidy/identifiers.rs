//! Names written as code in documents are names of something.
//!
//! A renamed type or setting leaves its old name in prose, where no compiler looks. So whatever a document writes as code
//! and reads like a name has to occur, as a word, somewhere in the code, the settings or the paths. That is weaker than
//! resolving it, and needs no knowledge of which name is what.

use std::collections::BTreeSet;

use crate::{
    documents::documents,
    markdown::Document,
    tree::{File, Tree, report},
    variables::PREFIXES,
};

/// Names of other software, which nothing here has to mention: the beginning of the name and whose it is.
const OF_OTHERS: &[(&str, &str)] = &[
    ("AWS_", "environment of object stores"),
    ("AZURE_", "environment of object stores"),
    ("GOOGLE_", "environment of object stores"),
    ("KUBE", "Kubernetes"),
    ("OTEL_", "environment of OpenTelemetry"),
    ("PREFIX_", "stands for a variable's prefix"),
    ("TEMPORAL_", "environment of Temporal's SDKs"),
    ("read_timeout", "a key of the object store's client"),
];
/// Where names may be invented, because rules are tried on them.
const RULES: &str = "tests/tidy/";

/// Every word of every file that is no document.
fn known_words(tree: &Tree) -> BTreeSet<&str> {
    let texts = tree
        .files
        .iter()
        .filter(|file| !file.is("md") && !file.path.starts_with(RULES))
        .map(|file| file.text.as_str());
    texts
        .chain(tree.paths.iter().map(String::as_str))
        .flat_map(|text| words(text).chain(text.split(|letter: char| !is_word(letter) && letter != '-')))
        .map(|word| word.trim_matches('-'))
        .collect()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter| !is_word(letter))
}

/// Gives the names in a piece of code: the parts of one word that is nothing but names.
fn names(code: &str) -> Vec<&str> {
    let code = code.trim_start_matches('-').trim_end_matches("()");
    let whole = code
        .chars()
        .all(|letter| is_word(letter) || matches!(letter, '-' | ':' | '.'));
    if !whole || !code.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') {
        return Vec::new();
    }
    code.split([':', '.'])
        .filter(|part| part.len() > 2 && part.chars().any(char::is_alphabetic))
        .collect()
}

fn is_known(name: &str, known: &BTreeSet<&str>) -> bool {
    known.contains(name)
        || known.contains(name.replace('-', "_").as_str())
        || known.contains(snake(name).as_str())
        || known.contains(camel(name).as_str())
        // Made of parts; a rule of their own looks for these.
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || OF_OTHERS.iter().any(|(beginning, _)| name.starts_with(beginning))
}

/// Gives the field that a key of the contracts' JSON is.
fn snake(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// Gives the variant that a value of a setting is.
fn camel(name: &str) -> String {
    name.split(['_', '-'])
        .map(|part| {
            let (first, rest) = part.split_at(part.chars().next().map_or(0, char::len_utf8));
            first.to_uppercase() + rest
        })
        .collect()
}

fn unknown(file: &File, document: &Document, known: &BTreeSet<&str>) -> Vec<String> {
    document
        .code
        .iter()
        .filter(|code| code.block.is_none())
        .flat_map(|code| names(&code.text).into_iter().map(move |name| (code.line, name)))
        .filter(|(_, name)| !is_known(name, known))
        .map(|(line, name)| format!("{}:{line} {name}", file.path))
        .collect()
}

#[test]
fn every_name_in_a_document_is_the_name_of_something() {
    let tree = Tree::read();
    let known = known_words(&tree);
    let unknown = documents(&tree)
        .into_iter()
        .flat_map(|(file, document)| unknown(file, &document, &known));
    report(
        "write the name that the code has now; a name of other software goes into OF_OTHERS in \
         tests/tidy/identifiers.rs",
        unknown,
    );
}

#[test]
fn a_name_that_is_nowhere_is_found() {
    let known = BTreeSet::from([
        "ClientLeft",
        "max_output_tokens",
        "journal",
        "Error",
        "blob-store",
    ]);
    let text = "`maxOutputTokens` `journal::Error` `blob-store` `--max-output-tokens` `TEMPORAL_ADDRESS` `a b_c` `42` `client_left`\n\
                `journal::Gone` `vector-sinks`\n";
    let file = File::invented("README.md", text);
    assert_eq!(
        unknown(&file, &Document::parse(text), &known),
        ["README.md:2 Gone", "README.md:2 vector-sinks"]
    );
}
