#![doc = include_str!("../README.md")]

mod activities;
mod error;
mod failed;
mod generate;
mod journaled;
mod ledger;
mod metrics;
mod providers;
mod route;
mod stream;

pub use activities::LlmActivities;
pub use error::Error;
pub use generate::Services;
pub use metrics::Metrics;
pub use providers::Providers;
