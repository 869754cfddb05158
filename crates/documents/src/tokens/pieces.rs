//! Cuts a long text into pieces that are tokenized one by one.
//!
//! A cut in the wrong place changes the count: tokens that would have spanned it fall apart. Byte-level
//! pre-tokenizers never join a line feed with the letter or digit after it, nor a visible character with the
//! space after it, so those are the places, in this order of preference.

use std::ops::Range;

/// The longest piece, in bytes.
pub(super) const MAX_PIECE_BYTES: usize = 32 * 1024;

/// Iterates over the byte ranges of the pieces of a text; together they cover it.
pub(super) struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = if rest.len() <= MAX_PIECE_BYTES {
            rest.len()
        } else {
            cut(rest)
        };
        let piece = self.at..self.at + length;
        self.at = piece.end;
        Some(piece)
    }
}

/// Finds the length of the first piece of a text that is longer than a piece may be.
fn cut(text: &str) -> usize {
    let window = &text[..text.floor_char_boundary(MAX_PIECE_BYTES)];
    let second_half = window.ceil_char_boundary(MAX_PIECE_BYTES / 2);
    let (mut line, mut space) = (None, None);
    let mut before = ' ';
    for (at, c) in window[second_half..].char_indices() {
        if before == '\n' && c.is_alphanumeric() {
            line = Some(second_half + at);
        } else if c == ' ' && !before.is_whitespace() {
            space = Some(second_half + at);
        }
        before = c;
    }
    line.or(space).unwrap_or(window.len())
}
