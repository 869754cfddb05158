#![doc = include_str!("../README.md")]

mod activities;
mod discard;
mod error;
mod load;
mod manifest;
mod metrics;
mod models;
mod options;
mod preprocess;
mod results;
mod services;
mod stage;
mod steps;
mod validate;

#[cfg(test)]
mod fixture;

pub use activities::DataActivities;
pub use error::Error;
pub use metrics::Metrics;
pub use models::{MissingFiles, Models};
pub use options::{DEFAULT_MAX_TEXT_BYTES, ModelOptions, Options, Problem, Tokenizer};
pub use services::Services;
