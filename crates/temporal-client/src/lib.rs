#![doc = include_str!("../README.md")]

pub mod connection;
pub mod description;
pub mod history;
pub mod kind;
pub mod listing;
pub mod outcome;
pub mod run;
pub mod server;
pub mod setup;
pub mod start;
pub mod update;
pub mod workers;

mod client;

pub use client::Client;
pub use kind::Kind;
pub use run::Run;
