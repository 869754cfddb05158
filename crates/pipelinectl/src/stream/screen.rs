//! A stream for whoever looks: the text on standard output as it comes, or one event a line for programs.

use workflow_types::json::restore_integers;

use crate::{
    failure::Failure,
    output::{self, Printer},
};

use super::Event;

/// Shows events as they come.
pub(crate) struct Screen {
    printer: Printer,
    /// Text without a line break after it stands on standard output.
    open_line: bool,
    /// What was shown after the last reset; only a JSON answer is compared as a value, and its text is small.
    shown: String,
}

/// A text beyond this is not kept: a JSON answer that is larger lies in the blob store.
const KEPT_BYTES: usize = 1024 * 1024;

impl Screen {
    /// Shows nothing yet.
    pub(crate) fn new(printer: Printer) -> Self {
        Self {
            printer,
            open_line: false,
            shown: String::new(),
        }
    }

    /// Shows events.
    pub(crate) fn show(&mut self, events: &[Event]) -> Result<(), Failure> {
        for event in events {
            self.keep(event);
            if self.printer.is_json() {
                output::json_line(event)?;
                continue;
            }
            match event {
                Event::Text { text } => {
                    output::piece(text)?;
                    self.open_line = !text.ends_with('\n');
                }
                Event::Reset { .. } => {
                    self.end_line()?;
                    self.printer
                        .remark("--- the answer starts again; what stands above is void ---");
                }
                Event::End { bytes, .. } => {
                    self.end_line()?;
                    self.printer
                        .detail(&format!("the answer is whole: {bytes} bytes"));
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, event: &Event) {
        match event {
            Event::Text { text } if self.shown.len() + text.len() <= KEPT_BYTES => self.shown.push_str(text),
            Event::Reset { .. } => self.shown.clear(),
            Event::Text { .. } | Event::End { .. } => {}
        }
    }

    /// Tells whether the text that was shown is this JSON, however it is written.
    pub(crate) fn has_json(&self, value: &serde_json::Value) -> bool {
        serde_json::from_str::<serde_json::Value>(&self.shown).is_ok_and(|mut shown| {
            restore_integers(&mut shown);
            shown == *value
        })
    }

    /// Ends a line that text left open, so that what comes next starts on its own.
    pub(crate) fn end_line(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.open_line) && !self.printer.is_json() {
            output::piece("\n")?;
        }
        Ok(())
    }
}
