//! Server-sent events out of a stream of bytes, with a bound on memory.
//!
//! The stream is cut anywhere by the network, inside a line ending or inside a character, so the splitter works on
//! bytes and decodes whole lines only. The crates that do this keep an unfinished line for as long as it grows; a
//! provider that never ends its line would fill this process, so here the bound belongs to the splitter.

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One event is larger than allowed.
    #[error("one event of the stream is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A line is not UTF-8.
    #[error("the stream is not UTF-8")]
    NotUtf8,
}

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's type; empty where the stream names none.
    pub name: String,
    /// The lines of data, joined by line feeds.
    pub data: String,
}

/// Splits a stream of bytes into events.
///
/// Lines end with LF, CR, or CRLF. Comments and fields other than `event` and `data` are skipped. An event that the
/// end of the stream cuts off is dropped, as the specification asks: half an event is not an event.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_cr: bool,
    at_start: bool,
}

impl Splitter {
    /// Makes a splitter that holds at most about twice `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes the next bytes and appends the events that they complete to `events`.
    ///
    /// # Errors
    /// When an event is too large or a line is not UTF-8; the splitter must not be used after that.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Error> {
        let mut rest = bytes;
        while let Some((&first, tail)) = rest.split_first() {
            if self.after_cr {
                self.after_cr = false;
                if first == b'\n' {
                    rest = tail;
                    continue;
                }
            }
            let Some(end) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') else {
                return self.extend(rest);
            };
            let (line, tail) = rest.split_at(end);
            self.extend(line)?;
            self.after_cr = tail.first() == Some(&b'\r');
            rest = tail.get(1..).unwrap_or_default();
            self.end_line(events)?;
        }
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.line.len() + bytes.len() > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let line = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&line).map_err(|_| Error::NotUtf8)?;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.add_data(value),
            "event" => {
                value.clone_into(&mut self.event.name);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_data(&mut self, value: &str) -> Result<(), Error> {
        if self.event.data.len() + value.len() + 1 > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        if self.has_data {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
        self.has_data = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
