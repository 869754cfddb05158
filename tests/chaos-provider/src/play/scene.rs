//! A call with everything that was decided about it before its first byte is sent.

use crate::call::Call;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::limits::Pass;
use crate::limits::headers::Header;
use crate::script::{Billed, Latency, Reply};
use crate::told::Tokens;

/// A call and what has been decided about it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) seq: u64,
    pub(crate) call: Call,
    pub(crate) reply: Reply,
    pub(crate) token_latency: Option<Latency>,
    pub(crate) dice: Dice,
    pub(crate) response_id: String,
    pub(crate) cached: u32,
    pub(crate) written: u32,
    /// Headers of its answer, whatever it is.
    pub(crate) headers: Vec<Header>,
    /// What it holds of a limit.
    pub(crate) pass: Option<Pass>,
    pub(crate) clock: Clock,
}

impl Scene {
    /// Gives what the call costs of what its whole answer would cost.
    pub(super) fn cost(&self, whole: Tokens, generated: u32) -> Tokens {
        let is_work = self.reply.behaviour.is_work(self.call.stream);
        let completion = match self.reply.billed {
            Billed::Nothing => return Tokens::default(),
            Billed::Generated if !is_work => return Tokens::default(),
            Billed::Generated => generated,
            Billed::Whole => whole.completion,
        };
        // A break may be scripted after more tokens than the request allows; no provider bills those.
        let completion = completion.min(self.call.max_tokens.unwrap_or(u32::MAX));
        Tokens {
            completion,
            reasoning: whole.reasoning.min(completion),
            ..whole
        }
    }

    /// Gives back what the call holds of a limit.
    pub(super) fn settle(&self, cost: Tokens) {
        if let Some(pass) = &self.pass {
            pass.settle(cost.prompt, cost.completion, self.clock.now_ms());
        }
    }
}
