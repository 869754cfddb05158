//! What one request gets: the kinds of answers and of misbehaviour, as plain data.

use serde::{Deserialize, Serialize};

/// How many more words a broken answer has than are told, so that the break is in the middle.
const MORE: u32 = 20;

/// What a request gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Behaviour {
    /// A good answer.
    Answer(Answer),
    /// 429, in the words of a provider that asks for a slower pace.
    RateLimited {
        /// How the provider says when to come back.
        retry_after: RetryAfter,
    },
    /// 529, in the words of a provider that has too much to do.
    Overloaded {
        /// How the provider says when to come back.
        #[serde(default)]
        retry_after: RetryAfter,
    },
    /// Another status with an error body of the protocol.
    Refused {
        /// The HTTP status, 400 or more.
        status: u16,
        /// The error's `code`; the usual one of the status when absent.
        #[serde(default)]
        code: Option<String>,
    },
    /// An answer that ends before its end.
    Cut {
        /// How far it gets.
        after: Point,
        /// How it ends.
        how: Cut,
        /// Pause before each token, in milliseconds.
        #[serde(default)]
        token_delay_ms: u64,
    },
    /// An answer that ends in order, in the middle of its JSON.
    Truncated {
        /// Tokens of a stream before the torn one; an answer in one piece is torn in its middle.
        #[serde(default)]
        after_tokens: u32,
    },
    /// An error event in the middle of a stream; a 500 where no stream was asked for.
    StreamError {
        /// Tokens before the error.
        after_tokens: u32,
    },
    /// 200 and bytes that are no JSON.
    Garbage,
    /// A page of HTML, as a proxy or a login wall sends it.
    Html {
        /// The HTTP status.
        status: u16,
    },
    /// A valid answer of about this size, in one piece.
    Huge {
        /// Bytes of text.
        bytes: u64,
    },
}

/// A good answer: its text and how it is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The text.
    pub text: Text,
    /// Why it ends; an answer longer than the request's limit ends with `length` whatever stands here.
    pub finish: Finish,
    /// Pause before each token of a stream, in milliseconds; a whole answer waits for all of them.
    pub token_delay_ms: u64,
    /// What it says of its cost.
    pub usage: UsageReport,
    /// Tokens of the prompt that came from the cache; what the request's own cache marks lead to when absent.
    pub cached_tokens: Option<u32>,
    /// Tokens of the prompt that were written to the cache; what the request's own cache marks lead to when absent.
    pub cache_write_tokens: Option<u32>,
    /// Tokens that were thought and not shown; they count, and are billed, as tokens of the answer.
    pub reasoning_tokens: u32,
}

/// The text of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Text {
    /// [`summary_of`](crate::summary_of) the prompt, or the least JSON that satisfies what the request asks for.
    #[default]
    Digest,
    /// This text.
    Fixed(String),
    /// So many numbered words, one token each.
    Words(u32),
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It is complete.
    #[default]
    Stop,
    /// It reached the limit of tokens.
    Length,
    /// A content policy stopped it.
    ContentFilter,
}

/// What an answer says of its cost; the bill has the truth whatever it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// The true counts; in an OpenAI stream only when the request asks for them, as the protocol has it.
    #[default]
    Right,
    /// Nothing.
    Missing,
    /// Zeros, as some gateways fill in.
    Zero,
    /// So many per cent of the true counts, rounded down: below 100 too low, above it too high.
    Percent(u32),
}

/// How a provider says when to come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// It does not.
    #[default]
    None,
    /// `Retry-After` in seconds.
    Seconds(u64),
    /// `retry-after-ms` in milliseconds.
    Millis(u64),
    /// `Retry-After` as a date this many seconds from now; dates have whole seconds.
    Date(u64),
}

/// How far an answer gets before it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The request was read, and nothing is sent.
    Request,
    /// The status and the headers are sent.
    Head,
    /// So many tokens are streamed; without streaming, half of the body is sent.
    Tokens(u32),
}

/// How an answer is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// A TCP reset.
    Reset,
    /// An orderly close, with fewer bytes than promised.
    Close,
    /// Silence until the client leaves.
    Stall,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::Answer(Answer::default())
    }
}

impl Behaviour {
    /// Makes a refusal with the status's usual code.
    pub fn refused(status: u16) -> Self {
        Self::Refused { status, code: None }
    }

    /// Makes the refusal of a prompt that is longer than the model's context window.
    pub fn context_overflow() -> Self {
        Self::Refused {
            status: 400,
            code: Some("context_length_exceeded".into()),
        }
    }

    /// Makes the refusal of an account that has no money left; 402 in the Anthropic protocol.
    pub fn quota_exhausted() -> Self {
        Self::Refused {
            status: 429,
            code: Some("insufficient_quota".into()),
        }
    }

    /// The kind as scripts and the account write it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::Refused { .. } => "refused",
            Self::Cut { .. } => "cut",
            Self::Truncated { .. } => "truncated",
            Self::StreamError { .. } => "stream_error",
            Self::Garbage => "garbage",
            Self::Html { .. } => "html",
            Self::Huge { .. } => "huge",
        }
    }

    /// Whether a provider that behaves so has worked on the request, and bills what it did.
    pub(crate) fn is_work(&self, stream: bool) -> bool {
        match self {
            Self::Answer(_)
            | Self::Cut { .. }
            | Self::Truncated { .. }
            | Self::Garbage
            | Self::Huge { .. } => true,
            Self::StreamError { .. } => stream,
            Self::RateLimited { .. } | Self::Overloaded { .. } | Self::Refused { .. } | Self::Html { .. } => {
                false
            }
        }
    }

    /// The answer that it tells or begins to tell.
    pub(crate) fn answer(&self) -> Answer {
        let words = |count| Answer {
            text: Text::Words(count),
            ..Answer::default()
        };
        match self {
            Self::Answer(answer) => answer.clone(),
            Self::Cut {
                after: Point::Tokens(told),
                ..
            }
            | Self::Truncated { after_tokens: told } => words(told.saturating_add(MORE)),
            Self::Cut { .. } => words(MORE),
            Self::StreamError { after_tokens } => words(*after_tokens),
            Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::Refused { .. }
            | Self::Garbage
            | Self::Html { .. }
            | Self::Huge { .. } => Answer::default(),
        }
    }

    /// Whether its length is the script's and not the request's, because a break must be in the middle.
    pub(crate) fn ignores_limit(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Truncated { .. })
    }
}
