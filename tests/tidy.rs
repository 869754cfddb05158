//! The house rules, held against every file of the repository.
//!
//! What a lint can hold, a lint holds; here is what no lint can see: which crate may know which, how large a file may
//! grow, whether a document names only what exists. A rule that is only written down drifts, so each is a test that lists
//! every offender at once and says what to do. The rules are functions from text to offences, and each that parses
//! something is tried on a text that breaks it, because a rule that never fires looks exactly like a clean tree.
//!
//! Files are those that git tracks or would track, so a new file is checked before it is committed.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule is about a few of the many kinds of syntax"
)]

// Marked as tests, although the whole binary is: only so do the lints that spare tests know the functions that tests
// share.
#[cfg(test)]
#[path = "tidy/commands.rs"]
mod commands;
#[cfg(test)]
#[path = "tidy/documents.rs"]
mod documents;
#[cfg(test)]
#[path = "tidy/identifiers.rs"]
mod identifiers;
#[cfg(test)]
#[path = "tidy/layers.rs"]
mod layers;
#[cfg(test)]
#[path = "tidy/manifests.rs"]
mod manifests;
#[cfg(test)]
#[path = "tidy/markdown.rs"]
mod markdown;
#[cfg(test)]
#[path = "tidy/purity.rs"]
mod purity;
#[cfg(test)]
#[path = "tidy/sources.rs"]
mod sources;
#[cfg(test)]
#[path = "tidy/tables.rs"]
mod tables;
#[cfg(test)]
#[path = "tidy/tree.rs"]
mod tree;
#[cfg(test)]
#[path = "tidy/variables.rs"]
mod variables;
#[cfg(test)]
#[path = "tidy/words.rs"]
mod words;
