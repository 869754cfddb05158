//! Lines of a JSONL file, one at a time, whatever the size of the file.
//!
//! A batch is read where it lies, so a line is known by its number and its place in bytes: a worker that resumes
//! seeks there instead of reading again from the start. One bad line is that line's failure and not the file's: a
//! line that is too long or not UTF-8 comes out as a problem with its number, and the next one is read as if
//! nothing had been. Memory is bounded by the longest line allowed.
//!
//! [`Splitter`] is fed bytes as they come, for streams that are not `Read`; [`Lines`] does so from a `Read`. [`Names`]
//! finds two lines that go by one name, which nobody could tell apart in the results.

use std::collections::{HashMap, VecDeque, hash_map::RandomState};
use std::hash::BuildHasher as _;
use std::io::{self, Read};

/// The bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// A line that is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1, blank lines counted.
    pub number: u64,
    /// Where it begins, in bytes from the start of the file; a byte order mark is not part of the first line.
    pub offset: u64,
    /// Its length in bytes, without the line end.
    pub length: u64,
    /// Its text without the line end, or why there is none.
    pub text: Result<String, Problem>,
}

/// Why a line has no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than allowed.
    #[error("the line has {bytes} bytes, above the limit of {limit}; pass long inputs by reference")]
    TooLong {
        /// Its length in bytes.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the line is not UTF-8: invalid byte {at} bytes into it; convert the file to UTF-8")]
    InvalidUtf8 {
        /// The offset of the first invalid byte from the start of the line.
        at: usize,
    },
}

/// Cuts bytes that arrive piece by piece into lines.
#[derive(Debug)]
pub struct Splitter {
    max_line_bytes: usize,
    /// The start of the line that is not complete; no more than `max_line_bytes` and a carriage return.
    partial: Vec<u8>,
    /// The length of that line so far, also of what is not kept.
    length: u64,
    number: u64,
    offset: u64,
    /// Whether the last byte of that line is a carriage return.
    ends_in_cr: bool,
    ready: VecDeque<Line>,
}

impl Splitter {
    /// Makes a splitter that keeps lines up to `max_line_bytes` long, line end not counted.
    pub fn new(max_line_bytes: usize) -> Self {
        Self::starting_at(max_line_bytes, 1, 0)
    }

    /// Makes a splitter for the rest of a file, from the start of the line with that number and offset.
    pub fn starting_at(max_line_bytes: usize, number: u64, offset: u64) -> Self {
        let (partial, length, ready) = (Vec::new(), 0, VecDeque::new());
        Self {
            max_line_bytes,
            partial,
            length,
            number,
            offset,
            ends_in_cr: false,
            ready,
        }
    }

    /// Takes the next bytes of the file; [`next_line`](Self::next_line) then gives the lines they complete.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(at);
            self.extend(line);
            self.end_line(1);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.extend(bytes);
    }

    /// Says that the file ends here, which completes a last line without a line end.
    pub fn finish(&mut self) {
        if self.length > 0 {
            self.end_line(0);
        }
    }

    /// Gives the next complete line, if there is one yet.
    pub fn next_line(&mut self) -> Option<Line> {
        self.ready.pop_front()
    }

    fn extend(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.ends_in_cr = *last == b'\r';
        self.length += bytes.len() as u64;
        // One byte more than allowed, because it may be the carriage return of the line end; and a mark.
        let room = self.max_line_bytes.saturating_add(1 + BYTE_ORDER_MARK.len()) - self.partial.len();
        self.partial.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn end_line(&mut self, line_end: u64) {
        let total = self.length + line_end;
        let mark = if self.offset == 0 && self.partial.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        };
        let length = self.length - u64::from(self.ends_in_cr) - mark as u64;
        let kept = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_add(mark)
            .min(self.partial.len());
        let bytes = self.partial.get(mark..kept).unwrap_or_default();
        let text = if length > self.max_line_bytes as u64 {
            Some(Err(Problem::TooLong {
                bytes: length,
                limit: self.max_line_bytes,
            }))
        } else {
            match std::str::from_utf8(bytes) {
                Ok(text) if text.trim().is_empty() => None,
                Ok(text) => Some(Ok(text.to_owned())),
                Err(error) => Some(Err(Problem::InvalidUtf8 {
                    at: error.valid_up_to(),
                })),
            }
        };
        if let Some(text) = text {
            self.ready.push_back(Line {
                number: self.number,
                offset: self.offset + mark as u64,
                length,
                text,
            });
        }
        self.number += 1;
        self.offset += total;
        self.length = 0;
        self.ends_in_cr = false;
        self.partial.clear();
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Iterates over the lines of a reader.
///
/// After an error of the reader the iterator ends.
#[derive(Debug)]
pub struct Lines<R> {
    source: Option<R>,
    splitter: Splitter,
    buffer: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// Reads lines from a source that needs no buffering of its own.
    pub fn new(source: R, max_line_bytes: usize) -> Self {
        Self::with_splitter(source, Splitter::new(max_line_bytes))
    }

    /// Reads lines with a splitter that may start in the middle of a file, where the source must stand.
    pub fn with_splitter(source: R, splitter: Splitter) -> Self {
        Self {
            source: Some(source),
            splitter,
            buffer: vec![0; READ_BYTES],
        }
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.splitter.next_line() {
                return Some(Ok(line));
            }
            match self.source.as_mut()?.read(&mut self.buffer) {
                Ok(0) => {
                    self.source = None;
                    self.splitter.finish();
                    return self.splitter.next_line().map(Ok);
                }
                Ok(read) => self.splitter.push(self.buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.source = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The names that the lines of a file go by.
///
/// A file may have millions of lines, so of a name only 128 bits are kept, by two hashes whose keys nobody knows
/// beforehand: some 40 bytes a line, whatever the names are, and two different names are not taken for one.
#[derive(Debug, Default)]
pub struct Names {
    hashes: (RandomState, RandomState),
    lines: HashMap<(u64, u64), u64>,
}

impl Names {
    /// Starts without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a name to a line; when an earlier line has it, gives that line's number and changes nothing.
    pub fn claim(&mut self, name: &str, line: u64) -> Option<u64> {
        let key = (self.hashes.0.hash_one(name), self.hashes.1.hash_one(name));
        let holder = *self.lines.entry(key).or_insert(line);
        (holder != line).then_some(holder)
    }
}

#[cfg(test)]
mod tests;
