//! Reads which crate each byte of an executable's code is named after.
//!
//! The crate is the head of the first path in a function's name: `tokio` for `tokio::task::spawn::<ai_worker::Run>`,
//! `candle_core` for `<candle_core::Tensor as core::clone::Clone>::clone`. A generic function thus counts for the crate
//! that wrote it, not for the one that asked for it: the name says the first for certain, the second only sometimes. Code
//! that drops a value was written by nobody and counts for the crate of the value. Two symbols may name the same bytes;
//! they are counted once. What C and assembly contribute has no path; where its prefix or its file gives it away, it
//! counts for the crate that brings it.

use std::{collections::BTreeMap, ops::Range};

use anyhow::Context as _;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

use crate::sizes::groups;

/// How names or files of code that is not Rust begin, and the crates that bring it. Static functions of the SQLite
/// amalgamation have no prefix, but the linker keeps the name of their file before them.
const FOREIGN: [(&str, &str); 3] = [
    ("sqlite3", "libsqlite3_sys"),
    ("ring_core", "ring"),
    ("llg_", "llguidance"),
];
/// Only the standard library may give methods to types that have no path, such as `<str>::parse`.
const CRATE_OF_PRIMITIVES: &str = "core";
/// The code that the compiler makes to drop a value of a type; the type follows.
const DROP: &str = "core::ptr::drop_in_place";

/// A symbol in the code of an executable.
#[derive(Debug, Default)]
pub(crate) struct Symbol {
    /// As it is in the file, mangled.
    pub(crate) name: String,
    /// The source file that a symbol without meaning outside of it came from, where the linker kept it.
    pub(crate) file: Option<String>,
    /// Its first byte.
    pub(crate) address: u64,
    /// In bytes.
    pub(crate) size: u64,
}

/// The code of an executable: the section `.text`.
#[derive(Debug)]
pub(crate) struct Code {
    /// The addresses of the section.
    pub(crate) addresses: Range<u64>,
    /// What is named in it, in any order.
    pub(crate) symbols: Vec<Symbol>,
}

/// How many bytes of the code are named after what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Bytes of each crate, by its name in code.
    pub(crate) crates: BTreeMap<String, u64>,
    /// Bytes with a name that tells no crate.
    pub(crate) crateless: u64,
    /// Bytes that no symbol names.
    pub(crate) nameless: u64,
}

impl Shares {
    /// Gives the size of the section.
    pub(crate) fn total(&self) -> u64 {
        self.crates.values().sum::<u64>() + self.crateless + self.nameless
    }
}

/// Reads the code's symbols; fails when there is no `.text` or the file is damaged.
pub(crate) fn read(executable: &object::File<'_>) -> anyhow::Result<Code> {
    let text = executable
        .section_by_name(".text")
        .context("there is no section .text in it")?;
    let mut symbols = Vec::new();
    let mut file = None;
    for symbol in executable.symbols() {
        if symbol.kind() == SymbolKind::File {
            file = Some(symbol.name()?.to_owned());
        } else if symbol.section_index() == Some(text.index()) {
            symbols.push(Symbol {
                name: symbol.name()?.to_owned(),
                file: file.clone().filter(|_| symbol.is_local()),
                address: symbol.address(),
                size: symbol.size(),
            });
        }
    }
    Ok(Code {
        addresses: text.address()..text.address() + text.size(),
        symbols,
    })
}

impl Code {
    /// Counts every byte once, for the first symbol that names it; of several with one address, for one with a crate.
    pub(crate) fn by_crate(&self) -> Shares {
        let mut named: Vec<_> = self
            .symbols
            .iter()
            .map(|symbol| (symbol.address, symbol.size, origin(symbol)))
            .collect();
        named.sort_by(|(address, _, origin), (other_address, _, other)| {
            (address, origin.is_none(), origin).cmp(&(other_address, other.is_none(), other))
        });
        let mut shares = Shares::default();
        let mut counted_to = self.addresses.start;
        for (address, size, origin) in named {
            let begin = address.clamp(counted_to, self.addresses.end);
            let end = address.saturating_add(size).clamp(begin, self.addresses.end);
            shares.nameless += begin - counted_to;
            match origin {
                Some(name) => *shares.crates.entry(name).or_default() += end - begin,
                None => shares.crateless += end - begin,
            }
            counted_to = end;
        }
        shares.nameless += self.addresses.end - counted_to;
        shares
    }
}

/// Gives the crate that a symbol's name or file tells.
fn origin(symbol: &Symbol) -> Option<String> {
    if let Ok(name) = rustc_demangle::try_demangle(&symbol.name) {
        // The alternate form leaves out the hashes.
        let name = format!("{name:#}");
        return name
            .strip_prefix(DROP)
            .and_then(dropped)
            .or_else(|| head(&name))
            .map(str::to_owned);
    }
    let told = [Some(&symbol.name), symbol.file.as_ref()];
    let told: Vec<_> = told.into_iter().flatten().collect();
    let brings = |prefix: &str| told.iter().any(|text| text.starts_with(prefix));
    FOREIGN
        .iter()
        .find(|(prefix, _)| brings(prefix))
        .map(|(_, name)| (*name).to_owned())
}

/// Gives the head of the first path.
fn head(name: &str) -> Option<&str> {
    let (before, _) = name.split_once("::")?;
    let word = before.rsplit(|letter| !is_word(letter)).next()?;
    Some(if word.is_empty() {
        CRATE_OF_PRIMITIVES
    } else {
        word
    })
}

/// Gives the first crate in a type that does not come with the toolchain: an `Option` or a `Vec` is dropped by dropping
/// what it holds.
fn dropped(mut of: &str) -> Option<&str> {
    while let Some((_, after)) = of.split_once("::") {
        let name = head(of)?;
        if !groups::is_std(name) {
            return Some(name);
        }
        // The rest of this path belongs to the same crate.
        let end = after.find(|letter: char| !(is_word(letter) || letter == ':'));
        of = end.map_or("", |end| &after[end..]);
    }
    None
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests;
