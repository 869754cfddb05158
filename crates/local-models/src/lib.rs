#![doc = include_str!("../README.md")]

mod answer;
mod constraint;
mod decode;
mod limits;
mod llama;
pub mod load;
mod model;
pub mod options;
pub mod provider;
#[cfg(test)]
mod real;
pub mod template;
mod vocabulary;
mod weights;

pub use options::{ModelOptions, Options};
pub use provider::LocalModels;
