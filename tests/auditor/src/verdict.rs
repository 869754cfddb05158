//! The verdict: the rules, one function each, over evidence that was gathered before.

use std::collections::{BTreeMap, BTreeSet};

use chaos_provider::{Outcome, Record};
use effect_journal::{AttemptRecord, EffectClass, Spend, State};

use crate::{
    history::{Run, Told},
    pairs::{Pairs, billed, is_answered, is_refused, pair},
    report::{Figures, Repeat, Rule, Unknown, Verdict, Violation},
};

/// What an audit is made on.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The provider's bill.
    pub calls: Vec<Record>,
    /// The journal's ledger, in the order of key and fence.
    pub attempts: Vec<AttemptRecord>,
    /// The histories.
    pub runs: Vec<Run>,
    /// An effect that was asked for and has no result is a fault, also where no history has an answer of it.
    pub every_key_answered: bool,
}

/// Judges the evidence.
pub fn audit(evidence: &Evidence) -> Verdict {
    let paid = evidence
        .attempts
        .iter()
        .filter(|attempt| attempt.class == EffectClass::Paid);
    let attempts: Vec<AttemptRecord> = paid.cloned().collect();
    let pairs = pair(&evidence.calls, &attempts, &evidence.runs);
    let mut court = Court {
        evidence,
        attempts: &attempts,
        pairs: &pairs,
        verdict: Verdict::default(),
    };
    court.results();
    court.calls();
    court.money();
    court.repeats();
    court.answers();
    court.end();
    court.count();
    court.verdict.holds = court.verdict.violations.is_empty();
    court.verdict
}

struct Court<'a> {
    evidence: &'a Evidence,
    /// Those that a provider bills for.
    attempts: &'a [AttemptRecord],
    pairs: &'a Pairs,
    verdict: Verdict,
}

impl Court<'_> {
    fn offence(&mut self, rule: Rule, subject: impl Into<String>, detail: impl Into<String>) {
        self.verdict.violations.push(Violation {
            rule,
            subject: subject.into(),
            detail: detail.into(),
        });
    }

    fn call_of(&self, attempt: usize) -> Option<&Record> {
        self.pairs.call_of[attempt].map(|call| &self.evidence.calls[call])
    }

    /// One committed result for each effect.
    fn results(&mut self) {
        let evidence = self.evidence;
        let told: BTreeSet<&str> = told(evidence).map(|told| told.key.as_str()).collect();
        let asked = evidence.runs.iter().flat_map(|run| &run.asked);
        let mut committed: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for key in asked.map(String::as_str).chain(told.iter().copied()) {
            committed.entry(key).or_default();
        }
        for attempt in &evidence.attempts {
            let fences = committed.entry(attempt.key.as_str()).or_default();
            fences.extend(attempt.committed.then_some(attempt.fence));
        }
        for (key, fences) in committed {
            match fences.len() {
                1 => {}
                0 if told.contains(key) => {
                    self.offence(
                        Rule::MissingResult,
                        key,
                        "a history has an answer, the journal has none",
                    );
                }
                0 if evidence.every_key_answered => {
                    self.offence(Rule::MissingResult, key, "has no committed result");
                }
                0 => self.verdict.unanswered.push(key.to_owned()),
                _ => self.offence(
                    Rule::SecondResult,
                    key,
                    format!("attempts {fences:?} are committed"),
                ),
            }
        }
    }

    /// Every call is an attempt.
    fn calls(&mut self) {
        for (place, call) in self.evidence.calls.iter().enumerate() {
            if self.pairs.attempt_of[place].is_none() {
                let Spend { cost_micros, .. } = billed(call);
                let detail = format!(
                    "{} at {}, billed {cost_micros} micros, request {}",
                    call.reply,
                    call.received_unix_ms,
                    call.body_sha256.get(..12).unwrap_or_default()
                );
                self.offence(Rule::UnaccountedCall, name_of(call), detail);
            }
        }
    }

    /// Every attempt stands at what was billed for it, or above that where its outcome is unknown.
    fn money(&mut self) {
        for (place, attempt) in self.attempts.iter().enumerate() {
            let call = self.call_of(place).cloned();
            let bill = call.as_ref().map(billed).unwrap_or_default();
            let subject = name(attempt);
            match attempt.state {
                State::Settled if attempt.by_hand => {
                    if attempt.spend != Some(bill) {
                        self.offence(
                            Rule::DifferentSpend,
                            subject,
                            differs(attempt, &bill, "settled by hand"),
                        );
                    }
                }
                State::Settled => match call {
                    None => self.offence(Rule::UnseenAnswer, subject, "the provider answered no such call"),
                    Some(call) if attempt.spend != Some(bill) => {
                        self.offence(
                            Rule::DifferentSpend,
                            subject,
                            differs(attempt, &bill, &name_of(&call)),
                        );
                    }
                    Some(_) => {}
                },
                State::Released if bill != Spend::default() => {
                    let reason = attempt.reason.as_deref().unwrap_or("no reason");
                    let detail = format!("released for {reason}, billed {} micros", bill.cost_micros);
                    self.offence(Rule::BilledRelease, subject, detail);
                }
                State::Unknown => self.unknown(attempt, call.as_ref(), bill),
                State::Released | State::Reserved | State::Sent => {}
            }
        }
    }

    fn unknown(&mut self, attempt: &AttemptRecord, call: Option<&Record>, bill: Spend) {
        let most = attempt.upper_bound;
        let within = bill.input_tokens <= most.input_tokens
            && bill.output_tokens <= most.output_tokens
            && bill.cost_micros <= most.cost_micros;
        if !within {
            let detail = format!("at most {most:?}, billed {bill:?}");
            self.offence(Rule::BoundTooLow, name(attempt), detail);
        }
        self.verdict.unknown.push(Unknown {
            attempt: name(attempt),
            reason: attempt.reason.clone().unwrap_or_default(),
            at_most: most,
            call: call.map(|call| call.seq),
            billed: bill,
        });
    }

    /// A call follows another of the same effect only where that one's outcome was not known.
    fn repeats(&mut self) {
        let mut sent: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, attempt) in self.attempts.iter().enumerate() {
            if attempt.sent_unix_ms.is_some() {
                sent.entry(attempt.key.as_str()).or_default().push(place);
            }
        }
        for places in sent.into_values() {
            for (number, place) in places.iter().enumerate().skip(1) {
                self.repeat(&places[..number], *place);
            }
        }
    }

    fn repeat(&mut self, earlier: &[usize], place: usize) {
        let attempts = self.attempts;
        let mut because = Vec::new();
        let mut known = Vec::new();
        for before in earlier.iter().map(|before| &attempts[*before]) {
            let reason = before.reason.as_deref();
            match (before.state, reason) {
                (State::Released, _) if !before.by_hand => {}
                // What became known only after the call, or was never known.
                (State::Unknown | State::Settled | State::Released, Some(reason)) => {
                    because.push(format!("#{}: {reason}", before.fence));
                }
                (State::Unknown, None) => because.push(format!("#{}", before.fence)),
                (State::Settled | State::Released | State::Sent | State::Reserved, _) => {
                    known.push(format!("#{} is {}", before.fence, before.state));
                }
            }
        }
        if !known.is_empty() {
            self.offence(
                Rule::RepeatWithoutReason,
                name(&attempts[place]),
                known.join(", "),
            );
        } else if because.is_empty() {
            self.verdict.figures.retried_after_refusal += 1;
        } else {
            let call = self.call_of(place).map(|call| call.seq);
            self.verdict.repeats.push(Repeat {
                attempt: name(&attempts[place]),
                call,
                because,
            });
        }
    }

    /// What a history has as an answer is what the provider sent for that effect, and the ledger has as its result.
    fn answers(&mut self) {
        let committed: BTreeMap<&str, usize> = (self.attempts.iter().enumerate())
            .filter(|(_, attempt)| attempt.committed)
            .map(|(place, attempt)| (attempt.key.as_str(), place))
            .collect();
        let runs = &self.evidence.runs;
        for run in runs {
            for told in &run.told {
                // A free model's answers are nobody's bill.
                let Some(place) = committed.get(told.key.as_str()) else {
                    continue;
                };
                let sent = self.call_of(*place).cloned();
                if let Some(fault) = sent.and_then(|call| unlike(told, &call)) {
                    self.offence(Rule::OtherAnswer, &told.key, fault);
                }
            }
            if let Some(fault) = run.result.as_ref().and_then(|result| not_told(result, run)) {
                self.offence(Rule::OtherAnswer, &run.workflow_id, fault);
            }
            for place in &run.unread {
                self.offence(Rule::Unread, place, "the payload can't be read");
            }
        }
    }

    /// Nothing is under way.
    fn end(&mut self) {
        for attempt in self.attempts {
            if matches!(attempt.state, State::Reserved | State::Sent) {
                let detail = format!("is {}; audit again when its lease is over", attempt.state);
                self.offence(Rule::NotOver, name(attempt), detail);
            }
        }
        for call in &self.evidence.calls {
            if call.ending.is_none() {
                self.offence(Rule::NotOver, name_of(call), "has no end on the bill");
            }
        }
    }

    fn count(&mut self) {
        let calls = &self.evidence.calls;
        let states = |state| self.attempts.iter().filter(move |attempt| attempt.state == state);
        let keys: BTreeSet<&str> = self.attempts.iter().map(|attempt| attempt.key.as_str()).collect();
        let ended = |outcome: &dyn Fn(Outcome) -> bool| {
            let of = |call: &&Record| call.ending.as_ref().is_some_and(|ending| outcome(ending.outcome));
            calls.iter().filter(of).count()
        };
        let refused = calls.iter().filter(|call| is_refused(call)).count();
        let answered = calls.iter().filter(|call| is_answered(call)).count();
        let spends = states(State::Settled).filter_map(|attempt| attempt.spend);
        let figures = Figures {
            runs: self.evidence.runs.len(),
            told: told(self.evidence).count(),
            replayed: told(self.evidence).filter(|told| told.replayed).count(),
            keys: keys.len(),
            results: self.attempts.iter().filter(|attempt| attempt.committed).count(),
            calls: calls.len(),
            answered,
            refused,
            broken: ended(&|_| true).saturating_sub(answered + refused),
            settled: states(State::Settled).count(),
            released: states(State::Released).count(),
            unknown: states(State::Unknown).count(),
            retried_after_refusal: self.verdict.figures.retried_after_refusal,
            billed: sum(calls.iter().map(billed)),
            spent: sum(spends),
            unknown_at_most: sum(self.verdict.unknown.iter().map(|unknown| unknown.at_most)),
            unknown_billed: sum(self.verdict.unknown.iter().map(|unknown| unknown.billed)),
        };
        self.verdict.figures = figures;
    }
}

fn told(evidence: &Evidence) -> impl Iterator<Item = &Told> {
    evidence.runs.iter().flat_map(|run| &run.told)
}

fn name(attempt: &AttemptRecord) -> String {
    format!("{}#{}", attempt.key, attempt.fence)
}

fn name_of(call: &Record) -> String {
    format!("call {}", call.seq)
}

fn differs(attempt: &AttemptRecord, bill: &Spend, call: &str) -> String {
    format!(
        "{call}: the ledger has {:?}, the bill {bill:?}",
        attempt.spend.unwrap_or_default()
    )
}

fn sum(spends: impl Iterator<Item = Spend>) -> Spend {
    spends.fold(Spend::default(), Spend::plus)
}

/// Says in what an answer differs from the call that earned it.
fn unlike(told: &Told, call: &Record) -> Option<String> {
    if told.response_id.as_deref() != Some(call.response_id.as_str()) {
        return Some(format!(
            "response {:?} in the history, {:?} of {} on the bill",
            told.response_id,
            call.response_id,
            name_of(call)
        ));
    }
    let sent = call
        .ending
        .as_ref()
        .and_then(|ending| ending.answer_sha256.as_ref());
    let other = told.sha256.is_some() && sent.is_some() && told.sha256.as_ref() != sent;
    other.then(|| format!("its text is not what {} was answered", name_of(call)))
}

/// Says in what a run's result differs from what its activities answered.
fn not_told(result: &Told, run: &Run) -> Option<String> {
    let same = |told: &&Told| told.response_id == result.response_id;
    let told: Vec<&Told> = run.told.iter().filter(same).collect();
    if told.is_empty() {
        return Some(format!(
            "no activity answered with response {:?}",
            result.response_id
        ));
    }
    let alike =
        |told: &&Told| told.sha256.is_none() || result.sha256.is_none() || told.sha256 == result.sha256;
    // A model without ids of its own may have answered several times.
    let other = !told.iter().any(alike);
    other.then(|| format!("the text is not that of response {:?}", result.response_id))
}

#[cfg(test)]
mod tests;
