#![doc = include_str!("../README.md")]
//!
//! # Layout
//!
//! `gather` reads, `history` takes out of a run's events what it says of model calls, `pairs` finds the attempt of each
//! call, `verdict` judges and fills a `report`. Only `gather` does I/O, so the rules are tested on made-up evidence.

mod gather;
mod history;
mod pairs;
mod report;
mod table;
mod verdict;

pub use gather::{Error, Sources, attempts, evidence, runs_of};
pub use history::{Run, Told};
pub use report::{Figures, Repeat, Rule, Unknown, Verdict, Violation};
pub use table::table;
pub use verdict::{Evidence, audit};
