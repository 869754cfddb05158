//! Documents give only commands that work: `make` targets, and what `pipelinectl` understands.
//!
//! The command line is read from its source rather than from `--help`, so that the rule needs no built program and is
//! checked in the fast class.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Fields, Item, Meta, Token, Type, punctuated::Punctuated};

use crate::{
    documents::documents,
    layers::workspace,
    markdown::Code,
    tree::{Tree, report},
};

/// The folder of the command line's source.
const SOURCE: &str = "crates/pipelinectl/src/";
/// The languages of blocks that hold commands.
const SHELLS: &[&str] = &["bash", "console", "sh", "shell"];
/// Flags that clap adds.
const EVERYWHERE: &[&str] = &["help", "version"];

/// Splits code into simple commands, each a list of words.
fn commands(code: &str) -> impl Iterator<Item = Vec<&str>> {
    code.split(['\n', '|', ';', '&'])
        .map(|command| {
            let words = command.split('#').next().unwrap_or(command).split_whitespace();
            words
                .map(|word| word.trim_matches(['`', '"', '\'', '(', ')', ',']))
                .skip_while(|word| *word == "$" || is_assignment(word))
                .collect()
        })
        .filter(|words: &Vec<&str>| !words.is_empty())
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .chars()
                .all(|letter| letter.is_ascii_uppercase() || letter == '_')
    })
}

/// Tells whether code is typed at a prompt: what stands within a line may be, a block says so.
fn is_for_a_shell(code: &Code) -> bool {
    code.block
        .as_deref()
        .is_none_or(|language| SHELLS.contains(&language))
}

/// Gives every command in every document whose program has this name, with its place.
fn commands_of(tree: &Tree, program: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (file, document) in documents(tree) {
        for code in document.code.iter().filter(|code| is_for_a_shell(code)) {
            for words in commands(&code.text) {
                let name = words[0].rsplit('/').next().unwrap_or_default();
                if name == program {
                    let place = format!("{}:{}", file.path, code.line);
                    found.push((place, words[1..].iter().map(|&word| word.to_owned()).collect()));
                }
            }
        }
    }
    found
}

fn make_targets(makefile: &str) -> BTreeSet<&str> {
    makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', '.']))
        .filter_map(|line| line.split_once(':'))
        .filter(|(_, rest)| !rest.starts_with('='))
        .flat_map(|(names, _)| names.split_whitespace())
        .collect()
}

#[test]
fn every_make_target_in_a_document_exists() {
    let tree = Tree::read();
    let targets = make_targets(&tree.file("Makefile").unwrap().text);
    assert!(targets.contains("test"), "{targets:?}");
    let missing = commands_of(&tree, "make").into_iter().flat_map(|(place, words)| {
        words
            .into_iter()
            .filter(|word| !word.starts_with('-') && !word.contains(['=', '…', '<']))
            .filter(|word| !targets.contains(word.as_str()))
            .map(move |word| format!("{place} make {word}"))
            .collect::<Vec<_>>()
    });
    report("see `make help` for what there is", missing);
}

#[test]
fn every_package_that_a_document_builds_exists() {
    let tree = Tree::read();
    let workspace = workspace();
    let members: BTreeSet<String> = workspace
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let missing = commands_of(&tree, "cargo")
        .into_iter()
        .flat_map(|(place, words)| {
            words
                .windows(2)
                .filter(|pair| pair[0] == "-p" || pair[0] == "--package")
                .filter(|pair| !members.contains(&pair[1]) && !pair[1].contains(['<', '…']))
                .map(|pair| format!("{place} {}", pair[1]))
                .collect::<Vec<_>>()
        });
    report("name a member of the workspace", missing);
}

/// The command line: the commands of each enum, and all flags.
#[derive(Default)]
struct Grammar {
    /// The variants of an enum of commands: the word, and the enum of its own commands.
    commands: BTreeMap<String, BTreeMap<String, Option<String>>>,
    flags: BTreeSet<String>,
}

impl Grammar {
    fn read(tree: &Tree) -> Self {
        let mut grammar = Self::default();
        for file in tree
            .with_extension("rs")
            .filter(|file| file.path.starts_with(SOURCE))
        {
            grammar.add(&syn::parse_file(&file.text).unwrap());
        }
        grammar
            .flags
            .extend(EVERYWHERE.iter().map(|&flag| flag.to_owned()));
        grammar
    }

    fn add(&mut self, syntax: &syn::File) {
        for item in &syntax.items {
            match item {
                Item::Struct(item) => self.add_flags(&item.fields),
                Item::Enum(item) if derives(&item.attrs, "Subcommand") => {
                    let variants = item.variants.iter().map(|variant| {
                        self.add_flags(&variant.fields);
                        (kebab(&variant.ident.to_string()), nested(&variant.fields))
                    });
                    let variants = variants.collect();
                    self.commands.insert(item.ident.to_string(), variants);
                }
                _ => {}
            }
        }
    }

    fn add_flags(&mut self, fields: &Fields) {
        for field in fields {
            for meta in settings(&field.attrs, "arg") {
                let long = meta.path().is_ident("long");
                let given = match &meta {
                    Meta::NameValue(pair) if long => text(&pair.value),
                    _ => None,
                };
                if let (true, Some(name)) = (long, &field.ident) {
                    self.flags
                        .insert(given.unwrap_or_else(|| kebab(&name.to_string())));
                }
            }
        }
    }

    /// Says what of a command the program doesn't understand.
    fn misread(&self, words: &[String]) -> Option<String> {
        let unknown = words
            .iter()
            .filter_map(|word| word.strip_prefix("--"))
            .map(|word| word.split('=').next().unwrap_or(word))
            .find(|flag| !flag.is_empty() && !self.flags.contains(*flag) && !flag.contains('…'));
        if let Some(flag) = unknown {
            return Some(format!("--{flag}"));
        }
        // A flag before the command may have a value, which can't be told from a command here.
        let after_flag = |position: usize| position > 0 && words[position - 1].starts_with('-');
        let mut level = "Command".to_owned();
        for (position, word) in words.iter().enumerate() {
            if word.starts_with(['-', '<', '…', '[']) || word == "help" {
                continue;
            }
            match self.commands.get(&level)?.get(word) {
                Some(Some(next)) => level = next.clone(),
                Some(None) => return None,
                None if after_flag(position) => {}
                None => return Some(word.clone()),
            }
        }
        None
    }
}

fn derives(attributes: &[Attribute], name: &str) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
        .filter_map(|attribute| attribute.meta.require_list().ok())
        .any(|list| list.tokens.to_string().contains(name))
}

/// Gives the settings of all `#[name(…)]`.
fn settings(attributes: &[Attribute], name: &str) -> Vec<Meta> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident(name))
        .filter_map(|attribute| {
            attribute
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .ok()
        })
        .flatten()
        .collect()
}

fn text(value: &syn::Expr) -> Option<String> {
    match value {
        syn::Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Gives the enum of commands that a variant goes on with.
fn nested(fields: &Fields) -> Option<String> {
    fields
        .iter()
        .find(|field| {
            settings(&field.attrs, "command")
                .iter()
                .any(|meta| meta.path().is_ident("subcommand"))
        })
        .and_then(|field| match &field.ty {
            Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
            _ => None,
        })
}

fn kebab(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.extend(letter.to_lowercase());
    }
    word.replace('_', "-")
}

#[test]
fn every_pipelinectl_command_in_a_document_is_understood() {
    let tree = Tree::read();
    let grammar = Grammar::read(&tree);
    assert!(
        grammar.commands.contains_key("Command"),
        "no commands were found in {SOURCE}"
    );
    let misread = commands_of(&tree, "pipelinectl")
        .into_iter()
        .filter_map(|(place, words)| Some(format!("{place} {}", grammar.misread(&words)?)));
    report("see `pipelinectl --help` for what there is", misread);
}

#[test]
fn unknown_targets_commands_and_flags_are_found() {
    assert_eq!(
        make_targets("A := b\ntest: setup ## Runs.\n\tmake x\n.PHONY: y\nbuild:\n"),
        BTreeSet::from(["test", "build"])
    );
    let split: Vec<_> = commands("$ A=1 make x # why\nls | `make` y").collect();
    assert_eq!(split, [vec!["make", "x"], vec!["ls"], vec!["make", "y"]]);

    let mut grammar = Grammar::default();
    let source = "#[derive(Subcommand)] enum Command { Dev(A), Llm { #[command(subcommand)] c: LlmCommand } }\n\
                  #[derive(Debug, Subcommand)] enum LlmCommand { RunAll { #[arg(long)] wait_timeout: u8 } }\n\
                  struct Global { #[arg(long = \"format\", short)] output: u8 }";
    grammar.add(&syn::parse_file(source).unwrap());
    let misread = |line: &str| {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        grammar.misread(&words)
    };
    assert_eq!(misread("dev anything"), None);
    assert_eq!(misread("--format json llm run-all --wait-timeout=9 x"), None);
    assert_eq!(misread("llm run"), Some("run".to_owned()));
    assert_eq!(misread("gone"), Some("gone".to_owned()));
    assert_eq!(misread("dev --gone"), Some("--gone".to_owned()));
}
