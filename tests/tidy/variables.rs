//! Environment variables in documents are read by something.
//!
//! A variable of a worker is not written anywhere in the code: it is made of the prefix and the path of a setting. So its
//! parts are looked up among the fields of all settings.

use std::collections::BTreeSet;

use syn::{Fields, Item};

use crate::tree::{File, Tree, report};

/// Our variables begin so.
pub(crate) const PREFIXES: &[&str] = &["AI_WORKER_", "DATA_WORKER_", "PIPELINECTL_", "TAW_"];

/// What variables can be made of.
struct Known {
    /// Fields of structs.
    fields: BTreeSet<String>,
    /// Words in capitals.
    words: BTreeSet<String>,
}

impl Known {
    fn read(tree: &Tree) -> Self {
        let mut known = Self {
            fields: BTreeSet::new(),
            words: BTreeSet::new(),
        };
        for file in tree.files.iter().filter(|file| !file.is("md")) {
            if file.path.starts_with("tests/tidy/") {
                continue;
            }
            known
                .words
                .extend(capitals(&file.text).map(|(_, word)| word.to_owned()));
            if file.is("rs") && file.path.starts_with("crates/") {
                known.fields.extend(fields(&file.text));
            }
        }
        known
    }

    fn has(&self, variable: &str) -> bool {
        let Some((_, path)) = variable.split_once("__") else {
            let file = variable.ends_with("_CONFIG_FILE") && self.words.contains("_CONFIG_FILE");
            return file || self.words.contains(variable);
        };
        path.split("__")
            .all(|part| self.fields.contains(&part.to_lowercase()))
    }
}

fn fields(source: &str) -> Vec<String> {
    let syntax = syn::parse_file(source).unwrap();
    let structs = syntax.items.into_iter().filter_map(|item| match item {
        Item::Struct(item) => Some(item.fields),
        _ => None,
    });
    structs
        .filter_map(|fields| match fields {
            Fields::Named(named) => Some(named.named),
            Fields::Unnamed(_) | Fields::Unit => None,
        })
        .flatten()
        .filter_map(|field| Some(field.ident?.to_string()))
        .collect()
}

/// Gives every word in capitals with its line.
fn capitals(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        line.split(|letter: char| !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'))
            .filter(|word| word.contains('_'))
            .map(move |word| (number + 1, word))
    })
}

fn unread(file: &File, known: &Known) -> Vec<String> {
    capitals(&file.text)
        .filter(|(_, word)| PREFIXES.iter().any(|prefix| word.starts_with(prefix)))
        // What ends in an underscore stands for all that begin so.
        .filter(|(_, word)| !word.ends_with('_') && !known.has(word))
        .map(|(line, word)| format!("{}:{line} {word}", file.path))
        .collect()
}

#[test]
fn every_variable_in_a_document_is_read_by_something() {
    let tree = Tree::read();
    let known = Known::read(&tree);
    let unread = tree.with_extension("md").flat_map(|file| unread(file, &known));
    report(
        "write the variable that is read now: PREFIX__SECTION__KEY, or its name in the code",
        unread,
    );
}

#[test]
fn a_variable_that_nothing_reads_is_found() {
    let known = Known {
        fields: BTreeSet::from(["worker".to_owned(), "max_slots".to_owned()]),
        words: BTreeSet::from(["TAW_CACHE".to_owned(), "_CONFIG_FILE".to_owned()]),
    };
    let file = File::invented(
        "docs/a.md",
        "AI_WORKER__WORKER__MAX_SLOTS=1 TAW_CACHE AI_WORKER_CONFIG_FILE AI_WORKER__… OTHER_NAME\n\
         AI_WORKER__WORKER__GONE TAW_GONE\n",
    );
    assert_eq!(
        unread(&file, &known),
        ["docs/a.md:2 AI_WORKER__WORKER__GONE", "docs/a.md:2 TAW_GONE"]
    );
    assert_eq!(fields("struct A { b: u8, pub c_d: u8 }"), ["b", "c_d"]);
}
