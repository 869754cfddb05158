//! The byte level of the format: bounded numbers, strings and arrays from a stream.
//!
//! Every length is compared with what is left of the file before anything is done with it, and vectors grow only
//! by what was really read.

use std::io::{self, Read};

use super::{Error, MAX_ARRAY_LEN, MAX_STRING_BYTES};

/// The deepest nesting of arrays that is skipped; the format allows any, no known file uses more than one.
const MAX_DEPTH: u32 = 4;

/// The value of a metadata entry, reduced to what anybody here asks for.
pub(super) enum Value {
    /// Any integer that is not negative; negative ones and fractions read as `u64::MAX`, which means nothing.
    Number(u64),
    Flag(bool),
    Text(String),
    Numbers(Vec<u64>),
    Texts(Vec<String>),
}

/// The type of a value, as the format numbers them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A number of so many bytes.
    Unsigned(u8),
    Signed(u8),
    Float(u8),
    Bool,
    Text,
    Array,
}

impl Kind {
    fn from_number(number: u32, offset: u64) -> Result<Self, Error> {
        Ok(match number {
            0 => Self::Unsigned(1),
            1 => Self::Signed(1),
            2 => Self::Unsigned(2),
            3 => Self::Signed(2),
            4 => Self::Unsigned(4),
            5 => Self::Signed(4),
            6 => Self::Float(4),
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::Unsigned(8),
            11 => Self::Signed(8),
            12 => Self::Float(8),
            _ => {
                return Err(Error::Malformed {
                    what: "an unknown value type",
                    offset,
                });
            }
        })
    }

    /// The fewest bytes that a value of this kind takes.
    fn least_bytes(self) -> u64 {
        match self {
            Self::Unsigned(bytes) | Self::Signed(bytes) | Self::Float(bytes) => u64::from(bytes),
            Self::Bool => 1,
            Self::Text => 8,
            Self::Array => 12,
        }
    }
}

/// Reads a stream of known length from its start.
pub(super) struct Reader<R> {
    source: R,
    offset: u64,
    end: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(source: R, end: u64) -> Self {
        Self {
            source,
            offset: 0,
            end,
        }
    }

    pub(super) fn bytes<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let mut buffer = [0; N];
        self.need(N as u64, what)?;
        self.fill(&mut buffer, what)?;
        Ok(buffer)
    }

    /// Reads a 64-bit count and holds it against a limit.
    pub(super) fn count(&mut self, what: &'static str, limit: u64) -> Result<u64, Error> {
        let offset = self.offset;
        let count = u64::from_le_bytes(self.bytes(what)?);
        if count > limit {
            Err(Error::TooLarge {
                what,
                count,
                limit,
                offset,
            })
        } else {
            Ok(count)
        }
    }

    pub(super) fn string(&mut self, what: &'static str) -> Result<String, Error> {
        let length = self.count(what, MAX_STRING_BYTES)?;
        self.need(length, what)?;
        let offset = self.offset;
        let malformed = Error::Malformed {
            what: "a string that is not UTF-8",
            offset,
        };
        let Ok(length) = usize::try_from(length) else {
            return Err(malformed);
        };
        let mut buffer = vec![0; length];
        self.fill(&mut buffer, what)?;
        String::from_utf8(buffer).map_err(|_| malformed)
    }

    /// Reads a value that is kept.
    pub(super) fn value(&mut self) -> Result<Value, Error> {
        match self.kind()? {
            Kind::Text => Ok(Value::Text(self.string("a metadata string")?)),
            Kind::Bool => Ok(Value::Flag(self.bytes::<1>("a metadata flag")? != [0])),
            Kind::Array => self.array(),
            kind @ (Kind::Unsigned(_) | Kind::Signed(_) | Kind::Float(_)) => {
                Ok(Value::Number(self.number(kind)?))
            }
        }
    }

    /// Reads past a value that is not kept.
    pub(super) fn skip_value(&mut self) -> Result<(), Error> {
        let kind = self.kind()?;
        self.skip(kind, MAX_DEPTH)
    }

    fn array(&mut self) -> Result<Value, Error> {
        let (kind, count) = self.array_header()?;
        match kind {
            Kind::Text => {
                let mut texts = Vec::new();
                for _ in 0..count {
                    texts.push(self.string("an element of an array")?);
                }
                Ok(Value::Texts(texts))
            }
            Kind::Unsigned(_) | Kind::Signed(_) | Kind::Float(_) | Kind::Bool => {
                let mut numbers = Vec::new();
                for _ in 0..count {
                    numbers.push(self.number(kind)?);
                }
                Ok(Value::Numbers(numbers))
            }
            Kind::Array => Err(Error::Malformed {
                what: "an array of arrays where a list belongs",
                offset: self.offset,
            }),
        }
    }

    fn skip(&mut self, kind: Kind, depth: u32) -> Result<(), Error> {
        match kind {
            Kind::Text => {
                let length = self.count("a metadata string", MAX_STRING_BYTES)?;
                self.discard(length)
            }
            Kind::Array => {
                let Some(depth) = depth.checked_sub(1) else {
                    return Err(Error::Malformed {
                        what: "arrays nested too deep",
                        offset: self.offset,
                    });
                };
                let (kind, count) = self.array_header()?;
                match kind {
                    Kind::Text | Kind::Array => (0..count).try_for_each(|_| self.skip(kind, depth)),
                    Kind::Unsigned(_) | Kind::Signed(_) | Kind::Float(_) | Kind::Bool => {
                        self.discard(count * kind.least_bytes())
                    }
                }
            }
            Kind::Unsigned(_) | Kind::Signed(_) | Kind::Float(_) | Kind::Bool => {
                self.discard(kind.least_bytes())
            }
        }
    }

    fn array_header(&mut self) -> Result<(Kind, u64), Error> {
        let kind = self.kind()?;
        let count = self.count("the length of an array", MAX_ARRAY_LEN)?;
        self.need(count * kind.least_bytes(), "an array")?;
        Ok((kind, count))
    }

    fn kind(&mut self) -> Result<Kind, Error> {
        let offset = self.offset;
        Kind::from_number(u32::from_le_bytes(self.bytes("a value type")?), offset)
    }

    fn number(&mut self, kind: Kind) -> Result<u64, Error> {
        let what = "a metadata number";
        Ok(match kind {
            Kind::Bool | Kind::Unsigned(1) => u64::from(u8::from_le_bytes(self.bytes(what)?)),
            Kind::Unsigned(2) => u64::from(u16::from_le_bytes(self.bytes(what)?)),
            Kind::Unsigned(4) => u64::from(u32::from_le_bytes(self.bytes(what)?)),
            Kind::Unsigned(_) => u64::from_le_bytes(self.bytes(what)?),
            Kind::Signed(1) => positive(i64::from(i8::from_le_bytes(self.bytes(what)?))),
            Kind::Signed(2) => positive(i64::from(i16::from_le_bytes(self.bytes(what)?))),
            Kind::Signed(4) => positive(i64::from(i32::from_le_bytes(self.bytes(what)?))),
            Kind::Signed(_) => positive(i64::from_le_bytes(self.bytes(what)?)),
            Kind::Float(_) | Kind::Text | Kind::Array => {
                self.discard(kind.least_bytes())?;
                u64::MAX
            }
        })
    }

    fn need(&self, bytes: u64, what: &'static str) -> Result<(), Error> {
        if bytes > self.end - self.offset {
            return Err(Error::Truncated {
                what,
                offset: self.offset,
            });
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8], what: &'static str) -> Result<(), Error> {
        let offset = self.offset;
        self.source.read_exact(buffer).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                Error::Truncated { what, offset }
            } else {
                Error::Read { offset, source }
            }
        })?;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    fn discard(&mut self, bytes: u64) -> Result<(), Error> {
        let what = "a metadata value";
        self.need(bytes, what)?;
        let offset = self.offset;
        let skipped = io::copy(&mut self.source.by_ref().take(bytes), &mut io::sink())
            .map_err(|source| Error::Read { offset, source })?;
        self.offset += skipped;
        if skipped < bytes {
            Err(Error::Truncated { what, offset })
        } else {
            Ok(())
        }
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
