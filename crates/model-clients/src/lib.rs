#![doc = include_str!("../README.md")]

pub mod anthropic;
pub mod key;
pub mod limits;
pub mod openai;
pub mod prices;
pub mod provider;
mod quoted;
mod refusal;
pub mod retry_after;
pub mod settings;
pub mod setup;
pub mod sse;
pub mod transport;

pub use limits::{Circuit, Counts, LimitHeaders, ModelLimits};
pub use provider::{
    Billing, CallOutcome, Deltas, Error, ErrorKind, Finish, GenerateCall, GenerateRequest, GenerateResponse,
    LongPrompt, Message, ModelInfo, ModelProvider, Progress, ResponseFormat, Role, TokenizerSpec, Usage,
    UsageSource,
};
