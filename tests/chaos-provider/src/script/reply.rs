//! A behaviour with what stands around it: the wait before it, its speed, its id and its place on the bill.

use serde::{Deserialize, Serialize};

use super::behaviour::{Answer, Behaviour, Text};
use super::latency::Latency;

/// A behaviour, and what the client waits for first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    /// How long nothing is sent, in milliseconds.
    pub delay_ms: u64,
    /// How long nothing is sent after that, drawn anew for every call; the script's when absent.
    pub latency: Option<Latency>,
    /// The gate behind which the reply waits until the test opens it.
    pub gate: Option<String>,
    /// How fast the body is sent; as fast as it goes when absent. The head always comes at once.
    pub bytes_per_second: Option<u32>,
    /// The id that the answer bears.
    pub response_id: ResponseId,
    /// What of it stands on the bill.
    pub billed: Billed,
    /// What is sent then.
    pub behaviour: Behaviour,
}

/// The id that an answer bears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseId {
    /// One that no other answer has.
    #[default]
    Own,
    /// That of the call before, which is then there twice; one of its own for the first call.
    Previous,
    /// This one.
    Fixed(String),
}

/// What of a call stands on the bill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billed {
    /// The prompt and what was generated until the call ended; nothing for a refusal.
    #[default]
    Generated,
    /// The prompt and the whole answer, however much of it was told.
    Whole,
    /// Nothing.
    Nothing,
}

impl Reply {
    /// Makes a reply that is sent at once.
    pub fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            ..Self::default()
        }
    }

    /// Makes an answer with this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Behaviour::Answer(Answer {
            text: Text::Fixed(text.into()),
            ..Answer::default()
        }))
    }

    /// Lets nothing be sent for so many milliseconds.
    #[must_use]
    pub fn delayed(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    /// Lets the reply wait until the gate is opened.
    #[must_use]
    pub fn behind(mut self, gate: impl Into<String>) -> Self {
        self.gate = Some(gate.into());
        self
    }

    /// Lets the body be sent at so many bytes a second; 0 counts as 1.
    #[must_use]
    pub fn slowly(mut self, bytes_per_second: u32) -> Self {
        self.bytes_per_second = Some(bytes_per_second);
        self
    }

    /// Lets the answer bear this id.
    #[must_use]
    pub fn with_id(mut self, response_id: ResponseId) -> Self {
        self.response_id = response_id;
        self
    }

    /// Says what of it stands on the bill.
    #[must_use]
    pub fn billed(mut self, billed: Billed) -> Self {
        self.billed = billed;
        self
    }
}
