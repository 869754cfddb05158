//! Whose words may be written down: ours as they are, other crates' only where they can't hold a text.
//!
//! The SDK puts whole tasks and results into its own spans and events: the fields of its span around a finished activity
//! hold the answer, and a warning within it prints them; the drivers of databases print parameters. None of that is
//! under our control, so what may be written is listed, and everything else is left out:
//!
//! * of a span, numbers and the fields of our vocabulary and of the SDK's ids ([`fields::SPAN_FIELDS`]), whoever made it;
//! * of another crate's event, the same, its message up to where values begin, and its error up to where a list of bytes
//!   could begin, both cut; and no event of another crate below INFO, whatever the filter says;
//! * of our own events, everything: that no text is among it is a rule of the house.
//!
//! Whose an event is its target tells, which is the path of the module unless a macro says otherwise. A crate that is not
//! listed counts as foreign: one that is forgotten loses fields, not secrets.

use std::{error::Error, fmt};

use tracing::{
    Level, Metadata,
    field::{Field, Visit},
};

use crate::fields;

/// The crates of this repository that run in a worker, as their targets begin.
const OWN: &[&str] = &[
    "activity_context",
    "ai_worker",
    "ai_workflows",
    "blob_store",
    "data_activities",
    "data_worker",
    "documents",
    "effect_journal",
    "llm_activities",
    "local_models",
    "model_clients",
    "worker_factory",
    "workflow_types",
];

/// The most characters of another crate's message or error that are written.
const FOREIGN_CHARS: usize = 300;

/// What of a span or an event is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trust {
    /// All of it.
    Whole,
    /// What the lists above say of a span.
    Span,
    /// What the lists above say of another crate's event.
    Foreign,
}

/// Tells whether a span or an event is one of ours.
pub(super) fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let krate = target.split_once("::").map_or(target, |(krate, _)| krate);
    OWN.contains(&krate)
}

/// Tells whether a span or an event may be made at all, whatever the filter says.
pub(super) fn is_let_through(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || is_own(metadata)
}

/// Hands on what may be written.
pub(super) struct Sieve<'v> {
    to: &'v mut dyn Visit,
    trust: Trust,
}

impl<'v> Sieve<'v> {
    pub(super) fn new(to: &'v mut dyn Visit, trust: Trust) -> Self {
        Self { to, trust }
    }

    fn text(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        if self.trust == Trust::Whole || fields::SPAN_FIELDS.contains(&name) {
            self.to.record_debug(field, value);
            return;
        }
        let ends: &[char] = match name {
            "message" => &['{', '['],
            "error" | "err" => &['['],
            _ => return,
        };
        if self.trust == Trust::Foreign {
            let text = format!("{value:?}");
            self.to.record_debug(field, &format_args!("{}", cut(&text, ends)));
        }
    }
}

/// Cuts a text before the first of the characters, or where it becomes long.
fn cut(text: &str, ends: &[char]) -> String {
    let kept = text.split(ends).next().unwrap_or_default();
    let short: String = kept.chars().take(FOREIGN_CHARS).collect();
    if short.len() < text.len() {
        short.trim_end().to_owned() + " …"
    } else {
        short
    }
}

impl Visit for Sieve<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.to.record_f64(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.to.record_i64(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.to.record_u64(field, value);
    }

    // The JSON form writes the wide numbers as texts, and a query for durations above a limit then finds none.
    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.to.record_i64(field, value),
            Err(_) => self.to.record_i128(field, value),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.to.record_u64(field, value),
            Err(_) => self.to.record_u128(field, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.to.record_bool(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.trust == Trust::Whole || fields::SPAN_FIELDS.contains(&field.name()) {
            self.to.record_str(field, value);
        } else {
            self.text(field, &format_args!("{value}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if self.trust == Trust::Whole {
            self.to.record_error(field, value);
        } else {
            self.text(field, &format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::{FOREIGN_CHARS, OWN, cut};

    #[test]
    fn every_crate_that_writes_lines_is_listed() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut listed: BTreeSet<String> = OWN.iter().map(ToString::to_string).collect();
        for folder in fs::read_dir(crates).unwrap() {
            let folder = folder.unwrap();
            let name = folder.file_name().into_string().unwrap().replace('-', "_");
            let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
            let known = listed.remove(&name);
            assert!(known || !manifest.contains("\ntracing."), "{name} is not listed");
        }
        assert!(listed.is_empty(), "there are no such crates: {listed:?}");
    }

    #[test]
    fn a_text_ends_where_values_begin_or_where_it_is_long() {
        assert_eq!(cut("all of it", &['[']), "all of it");
        assert_eq!(cut("Input [1, 2]", &['[']), "Input …");
        assert_eq!(
            cut("When sending Completion { x }", &['{']),
            "When sending Completion …"
        );
        let long = "é".repeat(FOREIGN_CHARS + 1);
        assert_eq!(cut(&long, &['[']).chars().count(), FOREIGN_CHARS + 2);
    }
}
