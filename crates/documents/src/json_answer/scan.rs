//! Finds fenced blocks and the end of balanced brackets, without judging what is in them.

use std::ops::Range;

use super::MAX_DEPTH;

/// The most fenced blocks that are looked at.
const MAX_BLOCKS: usize = 16;

/// Where a bracket at the start of a text closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Balance {
    /// After so many bytes.
    Closed(usize),
    /// Not in this text.
    Open,
    /// Nested too deep to say.
    TooDeep,
}

/// Follows brackets from the one a text starts with; those inside double-quoted strings do not count.
///
/// A closing bracket of the other kind closes too: what is skipped by this is not JSON anyway.
pub(super) fn balanced(text: &str) -> Balance {
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' if depth == MAX_DEPTH => return Balance::TooDeep,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Balance::Closed(at + 1);
                }
            }
            _ => {}
        }
    }
    Balance::Open
}

/// Finds the contents of the Markdown fences from an offset on: those marked `json` first, each group in order.
///
/// A fence that is never closed goes to the end of the answer. Three backticks inside a JSON string do not close a
/// fence, because they are not at the start of a line.
pub(super) fn fenced_blocks(answer: &str, from: usize) -> Vec<Range<usize>> {
    let (mut marked, mut others) = (Vec::new(), Vec::new());
    let mut open: Option<(usize, bool)> = None;
    let mut at = from;
    for line in answer[from..].split_inclusive('\n') {
        let start = at;
        at += line.len();
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        if let Some((begin, json)) = open.take() {
            if json { &mut marked } else { &mut others }.push(begin..start);
            continue;
        }
        let tag = info.trim_start_matches('`').trim_start();
        let word = tag
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        let json = ["json", "jsonc", "json5"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known));
        // Some models put the value on the line of the fence.
        let begin = at - tag.len() + word.len();
        open = Some((begin, json));
    }
    if let Some((begin, json)) = open {
        if json { &mut marked } else { &mut others }.push(begin..answer.len());
    }
    marked.into_iter().chain(others).take(MAX_BLOCKS).collect()
}
