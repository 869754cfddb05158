//! What the provider does with which request: plain data, so that a test writes it in Rust and a person in JSON.
//!
//! A script is one list of rules with a number of uses each, looked through from the top. That covers an order of
//! replies (rules used once, one after another), a lasting fault for one model or prompt, and both together; separate
//! forms for "in order" and "by marker" would need a rule for which of them wins.

use serde::{Deserialize, Serialize};

use crate::answer::Call;

/// The rules of a provider; a request that none of them takes gets a normal answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The rules, the first that matches and has a use left is taken.
    pub rules: Vec<Rule>,
}

/// One reply, to which requests it goes, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests take this rule; all of them by default.
    #[serde(default)]
    pub when: When,
    /// How many requests take this rule; no limit when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// What such a request gets.
    pub reply: Reply,
}

/// A choice of requests; every condition that is present must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// The model is this one.
    pub model: Option<String>,
    /// The text of some message contains this.
    pub prompt_contains: Option<String>,
    /// The request's [`MARKER_HEADER`](crate::MARKER_HEADER) is this.
    pub marker: Option<String>,
}

/// A behaviour, and what the client waits for first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    /// How long nothing is sent, in milliseconds.
    pub delay_ms: u64,
    /// The gate behind which the reply waits until the test opens it.
    pub gate: Option<String>,
    /// What is sent then.
    pub behaviour: Behaviour,
}

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
}

/// The text of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Text {
    /// [`summary_of`](crate::summary_of) the prompt.
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

impl Finish {
    /// The word of the protocol.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// What an answer says of its cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// The true counts; in a stream only when the request asks for them, as the protocol has it.
    #[default]
    Right,
    /// Nothing.
    Missing,
    /// Zeros, as some gateways fill in.
    Zero,
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

impl Script {
    /// Makes a script of these rules.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self {
            rules: rules.into_iter().collect(),
        }
    }
}

impl Rule {
    /// Makes a rule that one request takes.
    pub fn once(reply: Reply) -> Self {
        Self::times(1, reply)
    }

    /// Makes a rule that so many requests take.
    pub fn times(times: u32, reply: Reply) -> Self {
        Self {
            when: When::default(),
            times: Some(times),
            reply,
        }
    }

    /// Makes a rule that any number of requests take.
    pub fn always(reply: Reply) -> Self {
        Self {
            when: When::default(),
            times: None,
            reply,
        }
    }

    /// Narrows the rule to some requests.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}

impl When {
    /// Chooses the requests for a model.
    pub fn model(model: impl Into<String>) -> Self {
        Self {
            model: Some(model.into()),
            ..Self::default()
        }
    }

    /// Chooses the requests in whose messages this text stands.
    pub fn prompt_contains(text: impl Into<String>) -> Self {
        Self {
            prompt_contains: Some(text.into()),
            ..Self::default()
        }
    }

    /// Chooses the requests that carry this marker.
    pub fn marker(marker: impl Into<String>) -> Self {
        Self {
            marker: Some(marker.into()),
            ..Self::default()
        }
    }

    fn holds(&self, call: &Call) -> bool {
        let equal =
            |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        let contained = |text: &String| {
            call.messages
                .iter()
                .any(|message| message.contains(text.as_str()))
        };
        equal(&self.model, Some(&call.model))
            && equal(&self.marker, call.marker.as_deref())
            && self.prompt_contains.as_ref().is_none_or(contained)
    }
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

    /// Makes the refusal of an account that has no money left.
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
            Self::Refused { .. } => "refused",
            Self::Cut { .. } => "cut",
            Self::StreamError { .. } => "stream_error",
            Self::Garbage => "garbage",
            Self::Html { .. } => "html",
            Self::Huge { .. } => "huge",
        }
    }
}

/// A script in use: what is left of every rule.
#[derive(Debug)]
pub(crate) struct Deck {
    rules: Vec<Rule>,
}

impl Deck {
    pub(crate) fn new(script: Script) -> Self {
        Self { rules: script.rules }
    }

    /// Takes the reply to a call, and gives the place of its rule in the script.
    pub(crate) fn take(&mut self, call: &Call) -> (Option<usize>, Reply) {
        let free = |rule: &&mut Rule| rule.times != Some(0) && rule.when.holds(call);
        let found = self.rules.iter_mut().enumerate().find(|(_, rule)| free(rule));
        let Some((place, rule)) = found else {
            return (None, Reply::default());
        };
        rule.times = rule.times.map(|left| left - 1);
        (Some(place), rule.reply.clone())
    }
}

#[cfg(test)]
mod tests;
