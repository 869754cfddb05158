//! Words that may not be in the tree: how the project was made, where it was made, and promises to do it later.
//!
//! A reader of the repository was not there. What names a desk, a conversation or a download host is of no use to them,
//! and breaks where the desk is another.

use crate::tree::{File, Tree, report};

/// This file, which has to name them.
const SELF: &str = "tests/tidy/words.rs";
/// Words in any text that tell how the project was made.
const MAKING: &[&str] = &[
    "../shared",
    "agent session",
    "coding agent",
    "HOUSE_STYLE",
    "sub-agent",
    "subagent",
    "the brief",
    "the CEO",
];
/// The same, where only a document is clear enough to tell them from ordinary words.
const MAKING_IN_DOCUMENTS: &[&str] = &[
    "helper",
    "helpers",
    "issue #",
    "issues #",
    "the lead",
    "this session",
];
/// Places where such a word has a use, each with the reason.
const EXCEPTED: &[(&str, &str, &str)] = &[(
    "tools/test.py",
    "../shared",
    "one of the places where a copy of the advisory database is looked for",
)];
/// Hosts of package registries; what is fetched, and from where, is the package manager's business.
const HOSTS: &[&str] = &[
    "crates.io/",
    "files.pythonhosted",
    "index.crates.io",
    "pypi.org",
    "registry.npmjs",
    "static.crates",
];
/// Folders of one machine.
const MACHINE: &[&str] = &["/root/", "/work/"];
/// What is left undone.
const UNDONE: &[&str] = &["FIXME", "HACK", "TODO", "XXX"];

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Tells whether a line has a phrase that is not a part of a longer word.
fn has(line: &str, phrase: &str) -> bool {
    line.match_indices(phrase).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + phrase.len()..].chars().next();
        let open = |edge: Option<char>, beside: Option<char>| {
            !(edge.is_some_and(is_word) && beside.is_some_and(is_word))
        };
        open(phrase.chars().next(), before) && open(phrase.chars().next_back(), after)
    })
}

/// Gives every line of a file with one of the phrases.
fn lines_with<'a>(file: &'a File, phrases: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    file.text.lines().enumerate().flat_map(move |(number, line)| {
        phrases
            .iter()
            .filter(move |phrase| has(line, phrase))
            .map(move |phrase| format!("{}:{} {phrase}", file.path, number + 1))
    })
}

fn texts(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(|file| file.path != SELF)
}

#[test]
fn no_text_tells_how_the_project_was_made() {
    let tree = Tree::read();
    let anywhere = texts(&tree).flat_map(|file| lines_with(file, MAKING));
    let documents = tree
        .with_extension("md")
        .flat_map(|file| lines_with(file, MAKING_IN_DOCUMENTS));
    let excepted = |offence: &String| {
        EXCEPTED.iter().any(|(path, word, _)| {
            offence.starts_with(&format!("{path}:")) && offence.ends_with(&format!(" {word}"))
        })
    };
    report(
        "say it so that it helps who reads only the repository",
        anywhere.chain(documents).filter(|offence| !excepted(offence)),
    );
}

#[test]
fn no_file_names_a_registry() {
    let tree = Tree::read();
    // The lock file says where each package is from, in the package manager's own words.
    let offences = texts(&tree)
        .filter(|file| !file.path.ends_with("Cargo.lock"))
        .flat_map(|file| lines_with(file, HOSTS));
    report("name the package; the package manager knows the host", offences);
}

/// Tells whether a line has a path that begins with this folder, and not one that has it in the middle.
fn begins_at_the_root(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| is_word(letter) || "./-}>)…".contains(letter))
    })
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let tree = Tree::read();
    let offences = texts(&tree).flat_map(|file| {
        file.text.lines().enumerate().flat_map(move |(number, line)| {
            MACHINE
                .iter()
                .filter(move |folder| begins_at_the_root(line, folder))
                .map(move |folder| format!("{}:{} {folder}", file.path, number + 1))
        })
    });
    report(
        "derive the path from the tree, the environment or a temporary folder",
        offences,
    );
}

/// Tells whether a line leaves something undone that is noted nowhere else.
fn is_left_undone(line: &str) -> bool {
    let noted = line
        .split('#')
        .skip(1)
        .any(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
    !noted && UNDONE.iter().any(|word| has(line, word))
}

#[test]
fn nothing_is_left_for_later_without_a_note_elsewhere() {
    let tree = Tree::read();
    let offences = texts(&tree).flat_map(|file| {
        file.text
            .lines()
            .enumerate()
            .filter(|(_, line)| is_left_undone(line))
            .map(|(number, _)| format!("{}:{}", file.path, number + 1))
            .collect::<Vec<_>>()
    });
    report(
        "do it now, or note it where work is planned and give the number: `#12`",
        offences,
    );
}

#[test]
fn whole_words_are_found_and_parts_of_others_are_not() {
    let file = File::invented(
        "a.md",
        "a helper\nhelpersome\nsee ../shared/x\nunshared\nissue #2\n",
    );
    let phrases = [MAKING, MAKING_IN_DOCUMENTS].concat();
    let found: Vec<_> = lines_with(&file, &phrases).collect();
    assert_eq!(found, ["a.md:1 helper", "a.md:3 ../shared", "a.md:5 issue #"]);
    assert!(has("https://crates.io/crates/x", HOSTS[0]));
    assert!(begins_at_the_root("cd /work/main", "/work/"));
    assert!(!begins_at_the_root("docs/work/main ./work/ ${A}/work/", "/work/"));
    assert!(is_left_undone("// TODO: more") && !is_left_undone("// TODO(#12): more"));
    assert!(!is_left_undone("TODOS"));
}
