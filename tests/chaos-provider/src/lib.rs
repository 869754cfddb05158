#![doc = include_str!("../README.md")]

mod account;
mod answer;
mod http;
mod play;
mod provider;
mod script;

pub use account::{Ending, Outcome, Record, read_log};
pub use answer::{count_tokens, summary_of};
pub use provider::{Error, MARKER_HEADER, Options, Provider};
pub use script::{
    Answer, Behaviour, Cut, Finish, Point, Reply, RetryAfter, Rule, Script, Text, UsageReport, When,
};
