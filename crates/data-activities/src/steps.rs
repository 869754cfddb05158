//! How long each part of an activity took.

use std::time::{Duration, Instant};

use workflow_types::proto::StepTiming;

/// The steps so far, in order.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<StepTiming>);

impl Steps {
    /// Notes a step that took as long as is given.
    pub(crate) fn took(&mut self, step: &str, duration: Duration) {
        self.0.push(StepTiming {
            step: step.to_owned(),
            milliseconds: duration.as_secs_f64() * 1e3,
        });
    }

    /// Notes a step that began then and ends now.
    pub(crate) fn since(&mut self, step: &str, began: Instant) {
        self.took(step, began.elapsed());
    }

    pub(crate) fn into_vec(self) -> Vec<StepTiming> {
        self.0
    }
}
