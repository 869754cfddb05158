//! Documents before and after a model.
#![doc = include_str!("../README.md")]

pub mod bundled;
pub mod chunk;
pub mod gguf;
pub mod json_answer;
pub mod jsonl;
pub mod language;
pub mod schema;
pub mod text;
pub mod tokens;
