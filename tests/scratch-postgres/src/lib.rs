#![doc = include_str!("../README.md")]

mod cluster;
mod error;
mod family;
mod programs;
mod server;

pub use error::Error;
pub use programs::{BIN_VARIABLE, find};
pub use server::{Options, Server, Tls};
