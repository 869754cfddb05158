//! Where a run is, for whoever waits: a bar on a terminal, a line per change in a log, nothing for programs.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use workflow_types::proto::{LlmBatchStatus, LlmPipelineStatus, Stage};

use crate::{output::Printer, waits};

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    stage: &'static str,
    done: u64,
    total: u64,
    unit: &'static str,
    stopping: bool,
    waiting: Option<&'static str>,
}

impl Snapshot {
    /// Takes what a pipeline answered.
    pub(super) fn of_pipeline(status: &LlmPipelineStatus) -> Self {
        Self {
            stage: stage_word(status.stage()),
            done: count(status.chunks_done),
            total: count(status.chunks_total),
            unit: "chunks",
            stopping: status.cancel_reason.is_some(),
            waiting: waits::briefly(status.awaiting.as_ref()),
        }
    }

    /// Takes what a batch answered.
    pub(super) fn of_batch(status: &LlmBatchStatus) -> Self {
        Self {
            stage: stage_word(status.stage()),
            done: count(status.items_done),
            total: count(status.items_total),
            unit: "items",
            stopping: status.cancel_reason.is_some(),
            waiting: waits::briefly(status.awaiting.as_ref()),
        }
    }

    fn words(&self) -> String {
        let waiting = self
            .waiting
            .map(|waiting| format!(", {waiting}"))
            .unwrap_or_default();
        let stopping = if self.stopping { " (stopping)" } else { "" };
        if self.total == 0 {
            return format!("{}{waiting}{stopping}", self.stage);
        }
        format!(
            "{} {} of {} {}{waiting}{stopping}",
            self.stage, self.done, self.total, self.unit
        )
    }
}

/// Shows snapshots as they come.
pub(super) enum Progress {
    /// Nothing is shown.
    Silent,
    /// A bar that moves.
    Bar(ProgressBar),
    /// A line per change.
    Lines {
        /// Where the lines go.
        printer: Printer,
        /// What the last one said.
        last: String,
    },
}

const NO_ANSWER: &str = "waiting for a worker to answer";

impl Progress {
    /// Chooses the form.
    pub(super) fn new(printer: Printer, wanted: bool) -> Self {
        if !wanted || printer.is_json() {
            return Self::Silent;
        }
        if printer.is_live() {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            return Self::Bar(bar);
        }
        Self::Lines {
            printer,
            last: String::new(),
        }
    }

    /// Tells whether looking would be in vain.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Silent)
    }

    /// Shows where the run is; `None` when it did not answer.
    pub(super) fn show(&mut self, snapshot: Option<Snapshot>) {
        let words = snapshot
            .as_ref()
            .map_or_else(|| NO_ANSWER.to_owned(), Snapshot::words);
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.total > 0) {
                    bar.set_style(style());
                    bar.set_length(snapshot.total);
                    bar.set_position(snapshot.done);
                }
                bar.set_message(words);
            }
            Self::Lines { printer, last } => {
                if *last != words {
                    printer.remark(&words);
                    *last = words;
                }
            }
        }
    }

    /// Takes a bar off the terminal.
    pub(super) fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} [{elapsed_precise}] {bar:30} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Gives a stage in one word.
pub(super) fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Unspecified => "starting",
        Stage::Validating => "validating",
        Stage::Preprocessing => "preprocessing",
        Stage::Inference => "inference",
        Stage::Reducing => "reducing",
        Stage::Publishing => "publishing",
        Stage::Compensating => "compensating",
        Stage::Done => "done",
        Stage::Review => "review",
    }
}

fn count(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use workflow_types::proto::{Awaiting, BudgetShortfall, awaiting::Reason};

    use super::*;
    use crate::output::Format;

    #[test]
    fn a_snapshot_says_how_far_a_run_is() {
        let mut status = LlmPipelineStatus::default();
        assert_eq!(Snapshot::of_pipeline(&status).words(), "starting");
        status.set_stage(Stage::Inference);
        status.chunks_total = 5;
        status.chunks_done = 2;
        assert_eq!(Snapshot::of_pipeline(&status).words(), "inference 2 of 5 chunks");
        status.awaiting = Some(Awaiting {
            reason: Some(Reason::Budget(BudgetShortfall::default())),
            ..Awaiting::default()
        });
        assert_eq!(
            Snapshot::of_pipeline(&status).words(),
            "inference 2 of 5 chunks, waiting for budget"
        );
        let batch = LlmBatchStatus {
            items_total: 3,
            cancel_reason: Some("x".into()),
            ..LlmBatchStatus::default()
        };
        assert_eq!(
            Snapshot::of_batch(&batch).words(),
            "starting 0 of 3 items (stopping)"
        );
    }

    #[test]
    fn programs_are_shown_nothing() {
        assert!(Progress::new(Printer::new(Format::Json, true), true).is_silent());
        assert!(Progress::new(Printer::new(Format::Text, false), false).is_silent());
    }
}
