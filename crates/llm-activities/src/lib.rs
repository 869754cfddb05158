#![doc = include_str!("../README.md")]

mod activities;
mod error;
mod generate;
mod journaled;
mod metrics;
mod providers;

pub use activities::LlmActivities;
pub use error::Error;
pub use generate::Services;
pub use metrics::Metrics;
pub use providers::Providers;
