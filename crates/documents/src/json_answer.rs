//! Takes the JSON out of what a model said.
//!
//! Models wrap JSON in prose, in a Markdown fence, in both, or stop in the middle of it. What matters to a pipeline
//! is to tell three cases apart: a value, no value (ask again, once), and a value that was cut off, which no
//! repair makes whole: a "repaired" list that lost its second half passes every schema and is wrong. So nothing is
//! ever completed or corrected here, and an inner value of a broken one is not taken for the answer.
//!
//! Whether a bracket opens JSON is decided by the JSON parser itself: prose in brackets fails in a few bytes, a
//! value that runs into the end of the text is [`Answer::Truncated`]. Only to skip a value that is not JSON is
//! there a scanner for balanced brackets, which knows strings. Work is linear in the text but for a bounded number
//! of attempts.

use std::ops::Range;

use serde_json::Value;
use serde_json::error::Category;

mod scan;

/// The longest answer that is looked at, in bytes.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The deepest nesting of objects and arrays in a value.
pub const MAX_DEPTH: usize = 100;

/// What a reasoning model writes between its reasoning and its answer.
const END_OF_REASONING: &str = "</think>";

/// How many brackets are tried as the start of a value.
const MAX_ATTEMPTS: usize = 64;

/// What an answer holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A whole value.
    Extracted {
        /// The value. Of repeated keys in an object the last one counts.
        value: Value,
        /// The bytes of the answer that are the value.
        range: Range<usize>,
    },
    /// No value.
    NoJson(Reason),
    /// A value begins and the text ends before it does.
    Truncated {
        /// Where the value begins, in bytes.
        offset: usize,
    },
}

/// Why there is no value in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing looks like JSON.
    Absent,
    /// Something in brackets is almost JSON; this is where it stops being so.
    Invalid {
        /// Where the first such value begins, in bytes.
        offset: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep {
        /// Where the value begins, in bytes.
        offset: usize,
    },
    /// The answer is longer than [`MAX_ANSWER_BYTES`].
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// Takes the JSON out of an answer: the whole text, else what a fence holds, else the first object or array.
///
/// A block marked `json` is preferred to other fenced blocks, and those to the text around them. Reasoning that the
/// model closes with `</think>` is passed over. Numbers, strings, booleans and null are values only where they are
/// the whole text or a whole block.
pub fn extract(answer: &str) -> Answer {
    if answer.len() > MAX_ANSWER_BYTES {
        return Answer::NoJson(Reason::TooLarge { bytes: answer.len() });
    }
    if let Some(found) = whole(answer, 0..answer.len()) {
        return found;
    }
    let from = answer
        .rfind(END_OF_REASONING)
        .map_or(0, |at| at + END_OF_REASONING.len());
    let mut outcome = Answer::NoJson(Reason::Absent);
    for block in scan::fenced_blocks(answer, from) {
        if let Some(found) = whole(answer, block.clone()) {
            return found;
        }
        match first_in(answer, block) {
            Answer::NoJson(reason) => note(&mut outcome, reason),
            found @ (Answer::Extracted { .. } | Answer::Truncated { .. }) => return found,
        }
    }
    match first_in(answer, from..answer.len()) {
        Answer::NoJson(reason) => note(&mut outcome, reason),
        found @ (Answer::Extracted { .. } | Answer::Truncated { .. }) => return found,
    }
    outcome
}

/// Keeps the first reason that says more than "absent".
fn note(outcome: &mut Answer, reason: Reason) {
    if *outcome == Answer::NoJson(Reason::Absent) {
        *outcome = Answer::NoJson(reason);
    }
}

/// Reads a stretch of the answer as one value, if it is nothing else.
fn whole(answer: &str, stretch: Range<usize>) -> Option<Answer> {
    let text = answer[stretch.clone()].trim_start();
    let start = stretch.end - text.len();
    let text = text.trim_end();
    let value = serde_json::from_str(text).ok()?;
    if !within_depth(text) {
        return Some(Answer::NoJson(Reason::TooDeep { offset: start }));
    }
    Some(Answer::Extracted {
        value,
        range: start..start + text.len(),
    })
}

fn within_depth(text: &str) -> bool {
    !text.starts_with(['{', '[']) || !matches!(scan::balanced(text), scan::Balance::TooDeep)
}

/// Finds the first object or array in a stretch of the answer.
fn first_in(answer: &str, stretch: Range<usize>) -> Answer {
    let mut outcome = Answer::NoJson(Reason::Absent);
    let mut at = stretch.start;
    for _ in 0..MAX_ATTEMPTS {
        let Some(found) = answer[at..stretch.end].find(['{', '[']) else {
            break;
        };
        at += found;
        let rest = &answer[at..stretch.end];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let range = at..at + values.byte_offset();
                if within_depth(&answer[range.clone()]) {
                    return Answer::Extracted { value, range };
                }
                return Answer::NoJson(Reason::TooDeep { offset: at });
            }
            Some(Err(error)) if error.classify() == Category::Eof => return Answer::Truncated { offset: at },
            Some(Err(_)) | None => {}
        }
        match scan::balanced(rest) {
            scan::Balance::Closed(length) => {
                note(&mut outcome, Reason::Invalid { offset: at });
                at += length;
            }
            scan::Balance::TooDeep => return Answer::NoJson(Reason::TooDeep { offset: at }),
            scan::Balance::Open => at += 1,
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
