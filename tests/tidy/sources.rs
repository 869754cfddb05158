//! Rules about Rust files: size, names, module pages, and what tests may not do.
//!
//! Files are parsed, so that a word in a comment or a string counts for nothing. What is test code is learned from
//! `#[cfg(test)]`, wherever it stands, and from the folder.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::{
    Attribute, Block, ImplItemFn, Item, ItemFn, ItemMod, Signature, TraitItemFn,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::tree::{File, Tree, report};

/// The most lines of a file.
const FILE_LINES: usize = 400;
/// The most lines of a production function, from its signature to its last brace. Clippy holds tests to the same number
/// and counts neither blank lines nor comments.
const FUNCTION_LINES: usize = 60;
/// The most lines of a binary's main file.
const MAIN_LINES: usize = 100;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils",
];
/// The one place that waits by the clock, with the reason; whoever calls it states a limit.
const WAITING: &[(&str, &str)] = &[(
    "tests/src/patience.rs",
    "a process that another program started has no signal for the test, and an outage is a length of time",
)];
/// Programs below `tests/` that are programs in their own right.
const PROGRAMS_BELOW_TESTS: &[&str] = &["tests/chaos-provider/src/"];

/// A parsed file.
struct Source<'a> {
    file: &'a File,
    syntax: syn::File,
    /// All of it is test code.
    all_test: bool,
}

/// Parses every Rust file of the tree.
fn sources(tree: &Tree) -> Vec<Source<'_>> {
    let parsed: Vec<(&File, syn::File)> = tree
        .with_extension("rs")
        .map(|file| {
            let syntax = syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
            (file, syntax)
        })
        .collect();
    assert!(parsed.len() > 100, "only {} Rust files were found", parsed.len());
    let modules: Vec<String> = parsed
        .iter()
        .flat_map(|(file, syntax)| test_modules(file, syntax))
        .collect();
    parsed
        .into_iter()
        .map(|(file, syntax)| {
            let stem = file.path.trim_end_matches(".rs");
            let declared = modules
                .iter()
                .any(|module| stem == module || stem.starts_with(&format!("{module}/")));
            let all_test = declared || is_below_tests(&file.path);
            Source {
                file,
                syntax,
                all_test,
            }
        })
        .collect()
}

fn is_below_tests(path: &str) -> bool {
    let program = PROGRAMS_BELOW_TESTS
        .iter()
        .any(|program| path.starts_with(program));
    !program && (path.starts_with("tests/") || path.contains("/tests/"))
}

/// Gives the paths, without extension, of modules that a file declares for tests alone.
fn test_modules(file: &File, syntax: &syn::File) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let is_root = matches!(stem.rsplit('/').next(), Some("lib" | "main"));
    let below = if is_root { file.folder() } else { stem };
    syntax
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => {
                Some(format!("{below}/{}", module.ident))
            }
            _ => None,
        })
        .collect()
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute
                .meta
                .require_list()
                .is_ok_and(|list| list.path.is_ident("cfg") && list.tokens.to_string() == "test")
    })
}

/// What a walk over one file finds.
#[derive(Default)]
struct Findings {
    /// Production functions: name, first line, lines.
    functions: Vec<(String, usize, usize)>,
    /// Lines of test code.
    tests: Vec<RangeInclusive<usize>>,
    /// Lines of `#[ignore]`.
    ignored: Vec<usize>,
    in_test: bool,
}

impl Findings {
    fn of(source: &Source<'_>) -> Self {
        let mut findings = Self {
            in_test: source.all_test,
            ..Self::default()
        };
        if source.all_test {
            findings.tests.push(0..=usize::MAX);
        }
        findings.visit_file(&source.syntax);
        findings
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        if !self.in_test {
            let (first, last) = (signature.span().start().line, block.span().end().line);
            self.functions
                .push((signature.ident.to_string(), first, last + 1 - first));
        }
    }

    fn within(&mut self, attributes: &[Attribute], span: Span, walk: impl FnOnce(&mut Self)) {
        let outside = self.in_test;
        if is_for_tests(attributes) {
            self.in_test = true;
            self.tests.push(span.start().line..=span.end().line);
        }
        walk(self);
        self.in_test = outside;
    }
}

/// Gives the lines on which test code calls `sleep` or `sleep_until`, inside of macros too.
fn sleeps(source: &Source<'_>) -> Vec<usize> {
    let mut called = Vec::new();
    find_sleeps(source.file.text.parse().unwrap(), &mut called);
    let tests = Findings::of(source).tests;
    called.retain(|line| tests.iter().any(|range| range.contains(line)));
    called
}

fn find_sleeps(tokens: TokenStream, lines: &mut Vec<usize>) {
    let mut name_before = None;
    for token in tokens {
        match token {
            TokenTree::Ident(name) => name_before = Some(name),
            TokenTree::Group(group) => {
                let called = group.delimiter() == Delimiter::Parenthesis;
                if let Some(name) = name_before.take().filter(|_| called)
                    && (name == "sleep" || name == "sleep_until")
                {
                    lines.push(name.span().start().line);
                }
                find_sleeps(group.stream(), lines);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => name_before = None,
        }
    }
}

impl<'ast> Visit<'ast> for Findings {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.within(&module.attrs, module.span(), |findings| {
            visit::visit_item_mod(findings, module);
        });
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.within(&item.attrs, item.span(), |findings| {
            findings.function(&item.sig, &item.block);
            visit::visit_item_fn(findings, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("ignore") {
            self.ignored.push(attribute.span().start().line);
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let tree = Tree::read();
    let code = tree
        .files
        .iter()
        .filter(|file| file.is("rs") || file.is("py") || file.is("sh") || file.is("proto"));
    let long = code.filter_map(|file| {
        let lines = file.text.lines().count();
        let main = file.path.ends_with("/src/main.rs") || file.path.contains("/src/bin/");
        let most = if main { MAIN_LINES } else { FILE_LINES };
        (lines > most).then(|| format!("{} has {lines} lines of at most {most}", file.path))
    });
    report("move a part that has a name of its own into a module", long);
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let tree = Tree::read();
    let sources = sources(&tree);
    let counted: usize = sources
        .iter()
        .map(|source| Findings::of(source).functions.len())
        .sum();
    assert!(counted > 500, "only {counted} production functions were found");
    let long = sources.iter().flat_map(|source| {
        Findings::of(source)
            .functions
            .into_iter()
            .filter(|(_, _, lines)| *lines > FUNCTION_LINES)
            .map(|(name, line, lines)| format!("{}:{line} {name} has {lines} lines", source.file.path))
    });
    report("at most 60: take out a step that has a name", long);
}

#[test]
fn tests_never_sleep() {
    let tree = Tree::read();
    let offences = sources(&tree)
        .into_iter()
        // On paused time a sleep takes none.
        .filter(|source| {
            !source.file.text.contains("start_paused") && !source.file.text.contains("time::pause")
        })
        .filter(|source| !WAITING.iter().any(|(path, _)| *path == source.file.path))
        .flat_map(|source| {
            sleeps(&source)
                .into_iter()
                .map(|line| format!("{}:{line}", source.file.path))
                .collect::<Vec<_>>()
        });
    report(
        "wait for the event itself (a channel, a line of output, a file's notification) or pause tokio's time",
        offences,
    );
}

#[test]
fn no_test_is_ignored() {
    let tree = Tree::read();
    let attributes = sources(&tree).into_iter().flat_map(|source| {
        Findings::of(&source)
            .ignored
            .into_iter()
            .map(|line| format!("{}:{line}", source.file.path))
            .collect::<Vec<_>>()
    });
    let examples = tree
        .files
        .iter()
        .filter(|file| file.is("md") || file.is("rs"))
        .flat_map(|file| {
            file.text
                .lines()
                .enumerate()
                .filter(|(_, line)| ignores_an_example(line))
                .map(|(number, _)| format!("{}:{}", file.path, number + 1))
                .collect::<Vec<_>>()
        });
    report(
        "a test that can't run here belongs to a class that runs where it can; an example may be `no_run`",
        attributes.chain(examples),
    );
}

fn ignores_an_example(line: &str) -> bool {
    let line = line.trim_start_matches(['/', '!', ' ', '*']);
    line.strip_prefix("```")
        .is_some_and(|language| language.split(',').any(|word| word.trim() == "ignore"))
}

#[test]
fn every_file_begins_with_a_page_about_its_module() {
    let tree = Tree::read();
    let silent = tree
        .with_extension("rs")
        .filter(|file| !file.text.starts_with("//! ") && !file.text.starts_with("#![doc = include_str!("))
        .map(|file| file.path.clone());
    report(
        "begin the file with `//!`: what was chosen, and what the alternative would miss",
        silent,
    );
}

fn name_is_empty(path: &str) -> bool {
    path.split('/').any(|part| {
        let name = part.split('.').next().unwrap_or(part);
        EMPTY_NAMES.contains(&name)
    })
}

#[test]
fn modules_have_names_of_their_own() {
    let tree = Tree::read();
    let empty = tree.paths.iter().filter(|path| name_is_empty(path)).cloned();
    let nested = tree
        .paths
        .iter()
        .filter(|path| path.ends_with("/mod.rs"))
        .cloned();
    report(
        "name it after what is inside; a module's page is `foo.rs` beside the folder `foo`",
        empty.chain(nested),
    );
}

#[test]
fn a_long_function_a_hidden_sleep_and_an_ignored_test_are_found() {
    let text = "fn production() {\n\n}\n\
                #[cfg(test)]\nmod tests {\n    #[test]\n    #[ignore]\n    fn waits() {\n        \
                tokio::select! { () = tokio::time::sleep(x) => {} }\n        let sleep = 1;\n    }\n}\n";
    let file = File::invented("crates/x/src/a.rs", text);
    let source = Source {
        syntax: syn::parse_file(text).unwrap(),
        file: &file,
        all_test: false,
    };
    let findings = Findings::of(&source);
    assert_eq!(findings.functions, [("production".to_owned(), 1, 3)]);
    assert_eq!(sleeps(&source), [9]);
    assert_eq!(findings.ignored, [7]);
    assert!(ignores_an_example("//! ```rust,ignore") && !ignores_an_example("//! ```rust,no_run"));
    assert!(name_is_empty("crates/x/src/util.rs") && name_is_empty("a/helpers/b.rs"));
    assert!(!name_is_empty("a/utility.rs"));
}

#[test]
fn a_file_declared_for_tests_alone_is_test_code() {
    let file = File::invented("crates/x/src/lib.rs", "#[cfg(test)]\nmod fixture;\nmod real;\n");
    let syntax = syn::parse_file(&file.text).unwrap();
    assert_eq!(test_modules(&file, &syntax), ["crates/x/src/fixture"]);
    let file = File::invented("crates/x/src/a.rs", "#[cfg(test)]\nmod tests;\n");
    let syntax = syn::parse_file(&file.text).unwrap();
    assert_eq!(test_modules(&file, &syntax), ["crates/x/src/a/tests"]);
    assert!(is_below_tests("crates/x/tests/wire.rs") && is_below_tests("tests/src/lib.rs"));
    assert!(!is_below_tests("tests/chaos-provider/src/play.rs"));
}
