//! The form of a log line, and what is let into it.
//!
//! The library's own formatters print every field of every span around an event, and what stands in other crates' spans
//! is not ours to vouch for. So both forms are put together here, from the library's visitors, with a [`Sieve`] between
//! the fields and the line. A span's fields are sieved when the span is made, so that what is left out is never kept.

use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber, span::Record};
use tracing_subscriber::{
    field::{RecordFields, VisitOutput as _},
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{DefaultVisitor, JsonVisitor, Writer},
        time::{FormatTime as _, SystemTime},
    },
    registry::{LookupSpan, Scope},
};

use super::trust::{Sieve, Trust, is_own};

/// How lines are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// One JSON object a line, rather than one line for a person.
    pub(super) json: bool,
    /// Everything is let in, the texts of prompts and answers too.
    pub(super) unsafe_payloads: bool,
}

impl Lines {
    fn write(self, mut writer: Writer<'_>, fields: &impl RecordFields, trust: Trust) -> fmt::Result {
        let trust = if self.unsafe_payloads { Trust::Whole } else { trust };
        if self.json {
            let mut visitor = JsonVisitor::new(&mut writer);
            fields.record(&mut Sieve::new(&mut visitor, trust));
            visitor.finish()
        } else {
            let mut visitor = DefaultVisitor::new(writer, true);
            fields.record(&mut Sieve::new(&mut visitor, trust));
            visitor.finish()
        }
    }
}

impl<'w> FormatFields<'w> for Lines {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        self.write(writer, &fields, Trust::Span)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut added = String::new();
        self.write(Writer::new(&mut added), fields, Trust::Span)?;
        let kept = &mut current.fields;
        if !self.json {
            let space = if kept.is_empty() || added.is_empty() {
                ""
            } else {
                " "
            };
            return write!(kept, "{space}{added}");
        }
        // Two objects become one; of a field that is there twice, readers take the last.
        let both = [members(kept), members(&added)];
        let filled: Vec<&str> = both.into_iter().filter(|members| !members.is_empty()).collect();
        *kept = format!("{{{}}}", filled.join(","));
        Ok(())
    }
}

impl<S> FormatEvent<S, Self> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Self>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let trust = if is_own(metadata) {
            Trust::Whole
        } else {
            Trust::Foreign
        };
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut said = String::new();
        self.write(Writer::new(&mut said), &event, trust)?;
        let (level, target) = (metadata.level(), plain(metadata.target()));
        if !self.json {
            write!(writer, "{time} {level:>5} ")?;
            each_span(context, |name, fields| {
                let braced = if fields.is_empty() {
                    String::new()
                } else {
                    format!("{{{fields}}}")
                };
                write!(writer, "{name}{braced}: ")
            })?;
            return writeln!(writer, "{target}: {said}");
        }
        write!(writer, "{{\"timestamp\":\"{time}\",\"level\":\"{level}\",")?;
        let of_event = members(&said);
        let comma = if of_event.is_empty() { "" } else { "," };
        write!(writer, "{of_event}{comma}\"target\":\"{target}\",\"spans\":[")?;
        let mut between = "";
        each_span(context, |name, fields| {
            let of_span = members(fields);
            let comma = if of_span.is_empty() { "" } else { "," };
            write!(writer, "{between}{{{of_span}{comma}\"name\":\"{name}\"}}")?;
            between = ",";
            Ok(())
        })?;
        writeln!(writer, "]}}")
    }
}

/// Gives the spans around an event, the outermost first: the name and the fields as they were written.
fn each_span<S>(
    context: &FmtContext<'_, S, Lines>,
    mut each: impl FnMut(&str, &str) -> fmt::Result,
) -> fmt::Result
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let scope = context.event_scope().into_iter();
    for span in scope.flat_map(Scope::from_root) {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<Lines>>();
        each(
            &plain(span.metadata().name()),
            fields.map_or("", |fields| fields.fields.as_str()),
        )?;
    }
    Ok(())
}

/// The members of a JSON object, without its braces.
fn members(object: &str) -> &str {
    let inner = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.unwrap_or_default()
}

/// A target or a span's name: a path in code, of which nothing is to be escaped unless a macro made it up.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|letter| (letter.is_ascii_graphic() || *letter == ' ') && !matches!(letter, '"' | '\\'))
        .collect()
}

#[cfg(test)]
mod tests;
