//! Where a text may be cut.

use unicode_segmentation::UnicodeSegmentation;

/// How far back from the limit words and grapheme clusters are looked for, in bytes. They are short; a stretch
/// that has no end of one in so many bytes is not text that a word could be lost from.
const WORD_REACH: usize = 256;

/// Finds the best place to end a chunk that begins at `start`: beyond `covered`, at most at `limit`.
///
/// Ends in the last half of what fits are preferred by kind: paragraph, sentence, line, word, grapheme cluster,
/// character. An end in the first half would waste more context than a cut sentence costs.
pub(super) fn best(text: &str, start: usize, covered: usize, limit: usize) -> usize {
    let half = text.ceil_char_boundary(start + (limit - start) / 2);
    let low = half.max(covered);
    let window = &text[low..limit];
    let end = paragraph(window)
        .or_else(|| sentence_or_line(window))
        .or_else(|| word(text, low, limit));
    match end {
        Some(end) if end > 0 => low + end,
        Some(_) | None => limit,
    }
}

/// Finds the first good place to begin at or after `from` and before `end`: a sentence, else a word, else `from`.
pub(super) fn first_from(text: &str, from: usize, end: usize) -> usize {
    let window = &text[from..end];
    let half = window.len() / 2;
    let sentence = window
        .split_sentence_bound_indices()
        .map(|(at, _)| at)
        .find(|at| *at > 0);
    let space = || window.find(char::is_whitespace);
    // Begins there already when what stands before is the end of a word.
    if text[..from].ends_with(char::is_whitespace) && sentence.is_none_or(|at| at > half) {
        return from;
    }
    from + sentence.filter(|at| *at <= half).or_else(space).unwrap_or(0)
}

fn paragraph(window: &str) -> Option<usize> {
    window.rfind("\n\n").filter(|at| *at > 0)
}

/// Finds the last end of a sentence that ends in punctuation, else the last line end.
fn sentence_or_line(window: &str) -> Option<usize> {
    let mut sentence = None;
    let mut line = None;
    for (at, part) in window.split_sentence_bound_indices() {
        let end = at + part.len();
        if end == window.len() {
            break;
        }
        if part
            .trim_end()
            .ends_with(|c: char| !c.is_alphanumeric() && c != ',')
        {
            sentence = Some(end);
        } else if part.ends_with('\n') {
            line = Some(end);
        }
    }
    sentence.or(line)
}

/// Finds the last white space, else the last boundary of a word as Unicode defines it, else of a cluster.
fn word(text: &str, low: usize, limit: usize) -> Option<usize> {
    let from = text.ceil_char_boundary(limit.saturating_sub(WORD_REACH).max(low));
    let tail = &text[from..limit];
    let offset = from - low;
    let beyond = &text[limit..];
    if tail.ends_with(char::is_whitespace) || beyond.starts_with(char::is_whitespace) || beyond.is_empty() {
        return Some(limit - low);
    }
    let inside = |at: &usize| *at > 0;
    tail.rfind(char::is_whitespace)
        .filter(inside)
        .or_else(|| {
            tail.split_word_bound_indices()
                .map(|(at, _)| at)
                .next_back()
                .filter(inside)
        })
        .or_else(|| {
            tail.grapheme_indices(true)
                .map(|(at, _)| at)
                .next_back()
                .filter(inside)
        })
        .map(|at| offset + at)
}
