//! Turns raw bytes into text that a model should see.
//!
//! Two questions are kept apart. [`check`] asks whether bytes are text at all and answers with the place of the
//! first byte that is not; [`normalise`] makes text canonical and counts what it changed, so that a receipt can
//! say "removed 3 hidden characters" without quoting the document. Normalising silently would hide the two things
//! an operator wants to know: that a source is broken, and that somebody hid instructions in it. Zero-width
//! characters and Unicode tag characters are invisible to a reviewer and perfectly legible to a model.
//!
//! Joiners (U+200C, U+200D) stay where they join two visible non-ASCII characters: there they spell Persian and
//! Indic words and emoji families. Everywhere else they are noise or a watermark.
//!
//! [`normalise`] is idempotent.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The number of consecutive blank lines that survive; more carry no structure and cost tokens.
pub const MAX_BLANK_LINES: u32 = 2;

/// Reports why bytes cannot be used as a text document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing but white space and invisible characters.
    #[error("the document has no text in it; give one with at least one visible character")]
    Empty,
    /// A NUL byte, which no text format contains.
    #[error("the document is binary: NUL byte at offset {offset}; convert it to text first")]
    Nul {
        /// The offset of the byte from the start of the document.
        offset: usize,
    },
    /// A byte sequence that is not UTF-8.
    #[error("the document is not UTF-8: invalid byte at offset {offset}; convert it to UTF-8 first")]
    InvalidUtf8 {
        /// The offset of the first byte of the invalid sequence.
        offset: usize,
    },
}

/// Counts what [`normalise`] changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Byte order marks removed from the start (0 or 1).
    pub byte_order_marks: u32,
    /// Line ends rewritten to LF: CRLF, CR, vertical tab, form feed, NEL and the Unicode line separators.
    pub line_endings: u32,
    /// Control characters removed, other than tab and LF.
    pub control_characters: u32,
    /// Invisible format characters removed: zero-width, bidirectional overrides, Unicode tags, stray joiners.
    pub zero_width: u32,
    /// Lines rewritten to Unicode Normalisation Form C.
    pub recomposed_lines: u32,
    /// Lines that lost white space at their end.
    pub trimmed_lines: u32,
    /// Blank lines removed beyond [`MAX_BLANK_LINES`] in a row.
    pub blank_lines: u32,
}

impl Changes {
    /// Tells whether anything was changed at all.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// A canonical text and the account of how it became so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// The text: NFC, LF line ends, no invisible characters, no trailing white space on a line.
    pub text: String,
    /// What was changed on the way.
    pub changes: Changes,
}

/// Checks that bytes are text with something to read in it, and lends them as a string.
///
/// # Errors
///
/// [`Error::Nul`] and [`Error::InvalidUtf8`] with the offset of the first offence, whichever comes first;
/// [`Error::Empty`] when nothing visible would remain after normalising.
pub fn check(bytes: &[u8]) -> Result<&str, Error> {
    let valid = std::str::from_utf8(bytes);
    let readable = match &valid {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    if let Some(offset) = bytes.iter().take(readable).position(|byte| *byte == 0) {
        return Err(Error::Nul { offset });
    }
    let text = valid.map_err(|error| Error::InvalidUtf8 {
        offset: error.valid_up_to(),
    })?;
    if text
        .chars()
        .all(|c| c.is_whitespace() || c.is_control() || is_hidden(c) || is_joiner(c))
    {
        return Err(Error::Empty);
    }
    Ok(text)
}

/// Checks bytes as [`check`] does and normalises them.
///
/// # Errors
///
/// Those of [`check`].
pub fn read(bytes: &[u8]) -> Result<Normalised, Error> {
    check(bytes).map(normalise)
}

/// Makes a text canonical: NFC, LF, no hidden characters, no trailing white space, no long runs of blank lines.
///
/// Leading and trailing blank lines are kept up to [`MAX_BLANK_LINES`]; whether the text ends in a line feed is
/// kept too.
pub fn normalise(text: &str) -> Normalised {
    let mut changes = Changes::default();
    let text = match text.strip_prefix('\u{FEFF}') {
        Some(rest) => {
            changes.byte_order_marks = 1;
            rest
        }
        None => text,
    };
    let lines = one_line_end(text, &mut changes);
    let (body, end) = match lines.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (lines.as_ref(), ""),
    };
    let mut out = String::with_capacity(lines.len());
    let mut blanks = 0;
    let mut first = true;
    for line in body.split('\n') {
        let clean = clean_line(line, &mut changes);
        blanks = if clean.is_empty() { blanks + 1 } else { 0 };
        if blanks > MAX_BLANK_LINES {
            changes.blank_lines += 1;
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push('\n');
        }
        out.push_str(&clean);
    }
    out.push_str(end);
    Normalised { text: out, changes }
}

/// Rewrites every kind of line end to LF; lends the text where there is none to rewrite.
fn one_line_end<'a>(text: &'a str, changes: &mut Changes) -> Cow<'a, str> {
    if !text.contains(is_foreign_line_end) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if !is_foreign_line_end(c) {
            out.push(c);
            continue;
        }
        if c == '\r' {
            chars.next_if_eq(&'\n');
        }
        changes.line_endings += 1;
        out.push('\n');
    }
    Cow::Owned(out)
}

fn clean_line<'a>(line: &'a str, changes: &mut Changes) -> Cow<'a, str> {
    // Visible ASCII is canonical already, and it is most of what passes here.
    if line.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Cow::Borrowed(trim(line, changes));
    }
    // Composed before filtering, because a few characters compose to ASCII and the rule for joiners asks what
    // stands beside them; and again after it, because a removed character can leave a letter beside its accent.
    let composed = compose(line);
    let visible = without_hidden(&composed, changes);
    let clean = compose(&visible);
    if composed != line || clean != visible {
        changes.recomposed_lines += 1;
    }
    Cow::Owned(trim(&clean, changes).to_owned())
}

fn compose(text: &str) -> Cow<'_, str> {
    if is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

fn trim<'a>(line: &'a str, changes: &mut Changes) -> &'a str {
    let trimmed = line.trim_end();
    if trimmed.len() != line.len() {
        changes.trimmed_lines += 1;
    }
    trimmed
}

fn without_hidden(line: &str, changes: &mut Changes) -> String {
    let mut out = String::with_capacity(line.len());
    let mut before = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_control() && c != '\t' {
            changes.control_characters += 1;
        } else if is_hidden(c) || (is_joiner(c) && !(joins(before) && joins(chars.peek().copied()))) {
            changes.zero_width += 1;
        } else {
            before = Some(c);
            out.push(c);
        }
    }
    out
}

/// Tells whether a joiner may stand beside the character.
fn joins(neighbour: Option<char>) -> bool {
    neighbour.is_some_and(|c| {
        !c.is_ascii() && !c.is_whitespace() && !c.is_control() && !is_hidden(c) && !is_joiner(c)
    })
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

fn is_foreign_line_end(c: char) -> bool {
    matches!(
        c,
        '\r' | '\u{000B}' | '\u{000C}' | '\u{0085}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests;
