#![doc = include_str!("../README.md")]

pub mod key;
pub mod openai;
pub mod provider;
mod quoted;
pub mod retry_after;
pub mod settings;
pub mod sse;
pub mod transport;

pub use provider::{
    Billing, CallOutcome, Error, ErrorKind, Finish, GenerateCall, GenerateRequest, GenerateResponse, Message,
    ModelInfo, ModelProvider, Progress, ResponseFormat, Role, TokenizerSpec, Usage, UsageSource,
};
