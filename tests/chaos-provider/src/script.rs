//! What the provider does with which request: plain data, so that a test writes it in Rust and a person in JSON.
//!
//! A script is one list of rules with a number of uses each, looked through from the top. That covers an order of
//! replies (rules used once, one after another), a lasting fault for one model or prompt, and both together; separate
//! forms for "in order" and "by marker" would need a rule for which of them wins. Requests that no rule takes may be
//! left to chance, with a weight for each fault, which is what long campaigns are made of.

use serde::{Deserialize, Serialize};

use crate::call::{Call, Protocol};
use crate::dice::Dice;

mod behaviour;
mod latency;
mod reply;

pub use behaviour::{Answer, Behaviour, Cut, Finish, Point, RetryAfter, Text, UsageReport};
pub use latency::Latency;
pub use reply::{Billed, Reply, ResponseId};

/// The rules of a provider; a request that none of them takes is left to chance, and else gets a normal answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The rules, the first that matches and has a use left is taken.
    pub rules: Vec<Rule>,
    /// What else may happen, and how likely; together at most 100 per cent, what is left are normal answers.
    pub chances: Vec<Chance>,
    /// How long the first byte of an answer takes, where the reply does not say.
    pub latency: Option<Latency>,
    /// How long each token takes, besides what the reply says.
    pub token_latency: Option<Latency>,
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

/// One reply, and how likely it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// Of a hundred such requests, how many get it.
    pub percent: f64,
    /// Which requests may get it; all of them by default.
    #[serde(default)]
    pub when: When,
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
    /// The request is made in this protocol.
    pub protocol: Option<Protocol>,
}

impl Script {
    /// Makes a script of these rules.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self {
            rules: rules.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Makes a campaign: each reply for so many of a hundred requests, and normal answers for the rest.
    pub fn campaign(chances: impl IntoIterator<Item = (f64, Reply)>) -> Self {
        let chance = |(percent, reply)| Chance {
            percent,
            when: When::default(),
            reply,
        };
        Self {
            chances: chances.into_iter().map(chance).collect(),
            ..Self::default()
        }
    }

    /// Finds the first chance that is none: outside of 0 to 100 by itself, or above 100 with those before it.
    pub(crate) fn impossible_chance(&self) -> Option<usize> {
        let mut sum = 0.0;
        self.chances.iter().position(|chance| {
            sum += chance.percent;
            !(0.0..=100.0).contains(&chance.percent) || sum > 100.000_001
        })
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
            && self.protocol.is_none_or(|wanted| wanted == call.protocol)
            && self.prompt_contains.as_ref().is_none_or(contained)
    }
}

/// What a call gets, and why.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Taken {
    /// The place of its rule in the script.
    pub(crate) rule: Option<usize>,
    /// The place of its chance in the script.
    pub(crate) chance: Option<usize>,
    pub(crate) reply: Reply,
    pub(crate) token_latency: Option<Latency>,
}

/// A script in use: what is left of every rule.
#[derive(Debug)]
pub(crate) struct Deck {
    script: Script,
}

impl Deck {
    pub(crate) fn new(script: Script) -> Self {
        Self { script }
    }

    /// Takes the reply to a call.
    pub(crate) fn take(&mut self, call: &Call, dice: &Dice) -> Taken {
        let mut taken = self.choose(call, dice);
        taken.reply.latency = taken.reply.latency.or(self.script.latency);
        taken.token_latency = self.script.token_latency;
        taken
    }

    fn choose(&mut self, call: &Call, dice: &Dice) -> Taken {
        let free = |rule: &&mut Rule| rule.times != Some(0) && rule.when.holds(call);
        let found = self
            .script
            .rules
            .iter_mut()
            .enumerate()
            .find(|(_, rule)| free(rule));
        if let Some((place, rule)) = found {
            rule.times = rule.times.map(|left| left - 1);
            return Taken {
                rule: Some(place),
                reply: rule.reply.clone(),
                ..Taken::default()
            };
        }
        let mut left = dice.throw("chance", 0) * 100.0;
        let of_call = |(_, chance): &(usize, &Chance)| chance.when.holds(call);
        for (place, chance) in self.script.chances.iter().enumerate().filter(of_call) {
            if left < chance.percent {
                return Taken {
                    chance: Some(place),
                    reply: chance.reply.clone(),
                    ..Taken::default()
                };
            }
            left -= chance.percent;
        }
        Taken::default()
    }
}

#[cfg(test)]
mod tests;
