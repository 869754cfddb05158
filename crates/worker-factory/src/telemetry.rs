//! Logs and metrics of a worker process.
//!
//! Logs go to standard error, one line for a person or JSON for a collector. [`crate::worker`] opens a span around
//! every activity with its ids, type and attempt in our vocabulary; a line carries all spans around it, so one written
//! deep inside an activity names the workflow it belongs to.
//!
//! The texts of prompts and answers pass through crates that print what they handle when asked to be talkative, and one
//! that does so when asked nothing. What of them reaches a line is listed in `trust`; `lines` writes it.
//!
//! Metrics have two sources, the SDK's exporter and our own registry, and one page: see [`metrics`].

mod lines;
pub mod metrics;
pub mod polls;
mod trust;

use std::io::IsTerminal as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    filter::filter_fn,
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    util::{SubscriberInitExt as _, TryInitError},
};

use lines::Lines;

use crate::{
    config::{Problem, Validate},
    fields,
};

/// What is logged and how; section `telemetry`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The form of a log line.
    pub log_format: LogFormat,
    /// What is logged, as a `tracing` filter. Of other crates than the worker's own, such as the SDK, nothing below INFO is
    /// logged whatever this says, and no field that could hold a text.
    #[schemars(extend("examples" = ["info,worker_factory=debug"]))]
    pub log_filter: String,
    /// Lifts that restriction, for a search for a defect away from real data. The SDK's spans and lines hold the texts of
    /// prompts, documents and answers, at INFO too; the worker warns of it when it starts.
    pub unsafe_log_payloads: bool,
    /// Whether a panic's message is logged. It quotes the text where a panic is over the boundaries of one; its place in
    /// the code is always logged.
    pub panic_messages: bool,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One line for a person.
    Pretty,
    /// One JSON object a line, with all spans and their fields.
    Json,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Auto,
            log_filter: "info".to_owned(),
            unsafe_log_payloads: false,
            panic_messages: false,
        }
    }
}

impl Validate for Options {
    fn validate(&self) -> Vec<Problem> {
        EnvFilter::try_new(&self.log_filter)
            .err()
            .map(|error| {
                Problem::new(
                    "log_filter",
                    format!("not a filter ({error}); for example `info,worker_factory=debug`"),
                )
            })
            .into_iter()
            .collect()
    }
}

/// Installs the process's log subscriber on standard error.
///
/// # Errors
///
/// Returns an error when another subscriber was installed before.
pub fn init(options: &Options) -> Result<(), TryInitError> {
    let json = match options.log_format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    subscriber(options, json, std::io::stderr).try_init()?;
    if options.unsafe_log_payloads {
        tracing::warn!(
            "telemetry.unsafe_log_payloads is on: this log holds the texts of prompts, documents and answers"
        );
    }
    Ok(())
}

/// Makes panics log lines like any other, without the text that they might quote.
pub fn log_panics(options: &Options) {
    let messages = options.panic_messages;
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = if messages {
            info.payload_as_str().unwrap_or("no text")
        } else {
            "withheld"
        };
        tracing::error!(
            { fields::PANIC_PLACE } = place,
            { fields::ERROR } = message,
            "a panic"
        );
    }));
}

/// Builds the subscriber over any writer.
fn subscriber<W>(options: &Options, json: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let unsafe_payloads = options.unsafe_log_payloads;
    let lines = Lines {
        json,
        unsafe_payloads,
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .fmt_fields(lines)
        .event_format(lines)
        .with_writer(writer);
    Box::new(
        tracing_subscriber::registry()
            .with(EnvFilter::new(&options.log_filter))
            .with(filter_fn(move |metadata| {
                unsafe_payloads || trust::is_let_through(metadata)
            }))
            .with(layer),
    )
}

/// Gives what is logged meanwhile, for tests.
#[cfg(test)]
pub(crate) fn captured(options: &Options, json: bool, act: impl FnOnce()) -> String {
    use std::{
        io::{Read as _, Seek as _},
        sync::Arc,
    };

    let mut log = tempfile::tempfile().unwrap();
    let writer = Arc::new(log.try_clone().unwrap());
    tracing::subscriber::with_default(subscriber(options, json, writer), act);
    let mut text = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    text
}

#[cfg(test)]
mod tests {
    use super::{Options, captured};
    use crate::{config::Validate as _, fields};

    fn logged(options: &Options, json: bool) -> String {
        captured(options, json, || {
            let span = tracing::info_span!(
                "activity",
                { fields::WORKFLOW_ID } = "wf-1",
                { fields::ACTIVITY_ID } = "7"
            );
            span.in_scope(|| tracing::info!({ fields::ATTEMPT } = 2, "called"));
            tracing::debug!("hidden");
        })
    }

    #[test]
    fn a_json_line_carries_the_ids_of_the_spans_around_it() {
        let text = logged(&Options::default(), true);
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "called");
        assert_eq!(line["temporal.activity.attempt"], 2);
        assert_eq!(line["spans"][0]["temporal.workflow.id"], "wf-1");
        assert_eq!(line["spans"][0]["temporal.activity.id"], "7");
    }

    #[test]
    fn a_pretty_line_carries_them_too_and_the_filter_holds() {
        let text = logged(&Options::default(), false);
        assert!(
            text.contains("wf-1") && text.contains("called") && !text.contains("hidden"),
            "{text}"
        );
        let options = Options {
            log_filter: "debug".to_owned(),
            ..Options::default()
        };
        assert!(logged(&options, false).contains("hidden"));
    }

    #[test]
    fn a_panic_is_a_log_line_that_quotes_nothing_unless_asked_to() {
        let panicked = |options: &Options| {
            let before = std::panic::take_hook();
            super::log_panics(options);
            let text = captured(options, true, || {
                assert!(std::panic::catch_unwind(|| panic!("the prompt says hello")).is_err());
            });
            std::panic::set_hook(before);
            text
        };
        let text = panicked(&Options::default());
        assert!(
            text.contains("telemetry.rs:") && !text.contains("hello"),
            "{text}"
        );
        let options = Options {
            panic_messages: true,
            ..Options::default()
        };
        assert!(panicked(&options).contains("hello"));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_a_mistake() {
        let options = Options {
            log_filter: "worker=loud=2".to_owned(),
            ..Options::default()
        };
        assert_eq!(options.validate().len(), 1);
        assert!(Options::default().validate().is_empty());
    }
}
