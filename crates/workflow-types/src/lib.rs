#![doc = include_str!("../README.md")]

pub mod activities;
pub mod batch;
pub mod failure;
pub mod json;
pub mod names;
pub mod placement;
pub mod problem;
pub mod proto;
pub mod request;
pub mod run_scope;
pub mod wire;
pub mod workflows;
