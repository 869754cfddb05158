//! What goes to the terminal: answers to standard output, everything said about them to standard error.
//!
//! So `pipelinectl llm run … > answer.txt` holds the answer and nothing else. With `--output json` standard output holds
//! one JSON document and standard error nothing but, when the command fails, one JSON object; progress and remarks are
//! for people. A reader that has gone away (`| head`) is not an error.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use workflow_types::json::restore_integers;

use crate::{failure::Failure, waits};

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    format: Format,
    verbose: bool,
}

impl Printer {
    /// Makes a printer.
    pub(crate) const fn new(format: Format, verbose: bool) -> Self {
        Self { format, verbose }
    }

    /// Tells whether output is for programs.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Tells whether a person looks at standard error.
    pub(crate) fn is_live(self) -> bool {
        !self.is_json() && io::stderr().is_terminal()
    }

    /// Tells whether details were asked for.
    pub(crate) fn is_verbose(self) -> bool {
        self.verbose && !self.is_json()
    }

    /// Writes JSON or, for people, what `text` makes of it.
    pub(crate) fn either<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.is_json() {
            json(value)
        } else {
            answer(&text(value))
        }
    }

    /// Tells a person something about the answer.
    pub(crate) fn remark(self, text: &str) {
        if !self.is_json() {
            say(text);
        }
    }

    /// Tells a person details that were asked for.
    pub(crate) fn detail(self, text: &str) {
        if self.is_verbose() {
            say(text);
        }
    }

    /// Says why the command failed.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.is_json() {
            let mut document = serde_json::json!({ "error": failure });
            restore_integers(&mut document);
            say(&document.to_string());
            return;
        }
        let mut text = format!("error: {}", failure.message);
        for problem in &failure.problems {
            text = format!("{text}\n  {}: {}", problem.path, problem.message);
        }
        let spent = failure.spent.as_deref();
        for step in spent
            .map(|spent| spent.route_trace.as_slice())
            .unwrap_or_default()
        {
            text = format!("{text}\n  tried {}", waits::route(step));
        }
        if let Some(usage) = spent.and_then(|spent| spent.usage.as_ref()) {
            text = format!("{text}\n  used until then: {}", waits::usage(usage));
        }
        say(&text);
    }
}

/// Writes a piece of an answer as it stands, at once.
pub(crate) fn piece(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    kept(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes a document as one line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let unwritable = |error| Failure::internal(format!("the event cannot be written as JSON: {error}"));
    let mut document = serde_json::to_value(value).map_err(unwritable)?;
    restore_integers(&mut document);
    answer(&document.to_string())
}

/// Writes an answer and a line break.
pub(crate) fn answer(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let line_break: &[u8] = if text.ends_with('\n') { b"" } else { b"\n" };
    kept(
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(line_break))
            .and_then(|()| out.flush()),
    )
}

/// Writes an answer as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let unwritable = |error| Failure::internal(format!("the answer cannot be written as JSON: {error}"));
    let mut document = serde_json::to_value(value).map_err(unwritable)?;
    restore_integers(&mut document);
    answer(&serde_json::to_string_pretty(&document).map_err(unwritable)?)
}

fn say(text: &str) {
    // There is no other place to report that standard error is gone.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

fn kept(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::internal(format!(
            "standard output cannot be written: {error}"
        ))),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert!(kept(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(kept(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
