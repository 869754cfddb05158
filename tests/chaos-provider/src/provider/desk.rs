//! Decides what each request gets, one at a time, so that the log has the order of the script and of the limits.

use std::collections::{HashMap, HashSet};

use crate::account::Record;
use crate::call::{Call, Protocol};
use crate::clock::Clock;
use crate::dice::Dice;
use crate::limits::headers::Header;
use crate::limits::{Admission, Limits, Pass, Request};
use crate::play::Scene;
use crate::script::{Behaviour, Deck, Reply, ResponseId, Script, Taken};

/// The word in the account for a request that an enforced limit refused.
const LIMITED: &str = "limited";

/// A request that has been read, and nothing decided about it.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) call: Call,
    /// The refusal of a request that neither limits nor script should see.
    pub(super) refused: Option<Behaviour>,
    pub(super) body_sha256: String,
    /// The beginning of the digest of its API key.
    pub(super) api_key: Option<String>,
    pub(super) key: Option<String>,
    pub(super) connection: u64,
    pub(super) received_unix_ms: u64,
}

/// What was decided about a request.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) record: Record,
    pub(super) scene: Scene,
}

/// What is left of the script and of the limits, and what earlier calls have left behind.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) deck: Deck,
    pub(super) limits: Limits,
    seed: u64,
    last_seq: u64,
    last_id: Option<String>,
    /// How often each request has come.
    turns: HashMap<String, u64>,
    /// The beginnings of prompts that are in the cache.
    cache: HashSet<String>,
}

impl Desk {
    /// Sets up a desk that goes on where the account ends.
    pub(super) fn new(script: Script, limits: Limits, seed: u64, records: &[Record]) -> Self {
        let mut turns = HashMap::new();
        for record in records {
            *turns.entry(record.body_sha256.clone()).or_default() += 1;
        }
        let last = records.last();
        Self {
            deck: Deck::new(script),
            limits,
            seed,
            last_seq: last.map_or(0, |last| last.seq),
            last_id: last.map(|last| last.response_id.clone()),
            turns,
            cache: HashSet::new(),
        }
    }

    /// Decides about a request.
    pub(super) fn decide(&mut self, arrival: Arrival, clock: Clock) -> Decision {
        self.last_seq += 1;
        let seq = self.last_seq;
        let nth = self.turns.entry(arrival.body_sha256.clone()).or_default();
        *nth += 1;
        let dice = Dice::new(self.seed, &arrival.body_sha256, *nth);
        let mut headers = vec![request_id(arrival.call.protocol, seq)];
        let (taken, pass, is_limited) = self.take(&arrival, &dice, clock, &mut headers);
        let call = arrival.call;
        let Taken {
            rule,
            chance,
            reply,
            token_latency,
        } = taken;
        let (cached, written) = if reply.behaviour.is_work(call.stream) {
            self.cache(&call)
        } else {
            (0, 0)
        };
        let response_id = self.response_id(seq, call.protocol, &reply.response_id);
        let kind = if is_limited {
            LIMITED
        } else {
            reply.behaviour.kind()
        };
        let record = Record {
            seq,
            received_unix_ms: arrival.received_unix_ms,
            connection: arrival.connection,
            protocol: call.protocol,
            model: call.model.clone(),
            marker: call.marker.clone(),
            key: arrival.key,
            api_key: arrival.api_key,
            body_sha256: arrival.body_sha256,
            prompt_tokens: call.prompt_tokens(),
            stream: call.stream,
            rule,
            chance,
            reply: kind.to_owned(),
            response_id: response_id.clone(),
            ending: None,
        };
        let scene = Scene {
            seq,
            call,
            reply,
            token_latency,
            dice,
            response_id,
            cached,
            written,
            headers,
            pass,
            clock,
        };
        Decision { record, scene }
    }

    /// Takes the reply to a request: the refusal of a wrong one, that of a limit, or the script's.
    fn take(
        &mut self,
        arrival: &Arrival,
        dice: &Dice,
        clock: Clock,
        headers: &mut Vec<Header>,
    ) -> (Taken, Option<Pass>, bool) {
        let refused = |behaviour| Taken {
            reply: Reply::new(behaviour),
            ..Taken::default()
        };
        if let Some(behaviour) = &arrival.refused {
            return (refused(behaviour.clone()), None, false);
        }
        let call = &arrival.call;
        let request = Request {
            protocol: call.protocol,
            model: &call.model,
            key: arrival.api_key.as_deref(),
            prompt_tokens: call.prompt_tokens(),
            max_tokens: call.max_tokens,
        };
        match self.limits.admit(request, clock.now_ms()) {
            Admission::Unlimited => (self.deck.take(call, dice), None, false),
            Admission::Passed(pass, more) => {
                headers.extend(more);
                (self.deck.take(call, dice), Some(pass), false)
            }
            Admission::Refused(what, more) => {
                headers.extend(more);
                let behaviour = Behaviour::Refused {
                    status: 429,
                    code: Some(what.to_owned()),
                };
                (refused(behaviour), None, true)
            }
        }
    }

    /// Looks the longest known beginning of a prompt up in the cache, and writes the marked one to it.
    fn cache(&mut self, call: &Call) -> (u32, u32) {
        let Some(marked) = call.prefixes.last() else {
            return (0, 0);
        };
        let entry = |digest: &str| format!("{}/{digest}", call.model);
        let known = call
            .prefixes
            .iter()
            .rev()
            .find(|prefix| self.cache.contains(&entry(&prefix.digest)));
        let read = known.map_or(0, |prefix| prefix.tokens);
        self.cache.insert(entry(&marked.digest));
        (read, marked.tokens - read)
    }

    fn response_id(&mut self, seq: u64, protocol: Protocol, wanted: &ResponseId) -> String {
        let own = || match protocol {
            Protocol::OpenAi => format!("chatcmpl-{seq}"),
            Protocol::Anthropic => format!("msg_{seq}"),
        };
        let id = match wanted {
            ResponseId::Own => own(),
            ResponseId::Previous => self.last_id.clone().unwrap_or_else(own),
            ResponseId::Fixed(id) => id.clone(),
        };
        self.last_id = Some(id.clone());
        id
    }
}

fn request_id(protocol: Protocol, seq: u64) -> Header {
    let name = match protocol {
        Protocol::OpenAi => "x-request-id",
        Protocol::Anthropic => "request-id",
    };
    (name, format!("req_{seq}"))
}
