#![doc = include_str!("../README.md")]

mod account;
mod bill;
mod call;
mod clock;
mod dice;
mod http;
mod limits;
mod play;
mod provider;
mod schema;
mod script;
mod told;

pub use account::{Bill, Ending, Outcome, Record, read_log};
pub use bill::{By, Price, Sum, sums, table, total};
pub use call::{Protocol, count_tokens, summary_of};
pub use limits::{Algorithm, Counts, Limit, RetryForm};
pub use provider::{Error, MARKER_HEADER, Options, Provider};
pub use script::{
    Answer, Behaviour, Billed, Chance, Cut, Finish, Latency, Point, Reply, ResponseId, RetryAfter, Rule,
    Script, Text, UsageReport, When,
};
