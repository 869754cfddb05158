#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod connection;
pub mod contract;
pub mod drain;
pub mod exit;
pub mod fields;
pub mod health;
pub mod places;
pub mod process;
pub mod secret;
pub mod surroundings;
pub mod telemetry;
pub mod worker;

pub use cli::Invocation;
pub use connection::namespace::{AttributeKind, SearchAttribute};
pub use contract::Contract;
pub use exit::Exit;
pub use places::Places;
pub use process::{BoxError, Host, Options, Service, main};
pub use secret::Secret;
pub use surroundings::Surroundings;
