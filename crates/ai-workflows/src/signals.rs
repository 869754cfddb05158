//! What signals leave behind.
//!
//! A signal can't be refused once it is sent, and a run that failed because of a mistyped one would lose work that is
//! paid for. A signal that can't be used is therefore recorded, and shown by the query `status`.

use temporalio_workflow::WorkflowCancellationToken;
use workflow_types::{
    names,
    problem::Problems,
    proto::{CancelRequest, RejectedSignal},
    wire::Wire,
};

const MOST_REJECTED: usize = 10;
const REASON_LIMIT_BYTES: usize = 1024;

/// Whether a run was asked to stop, and which signals it could not use.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    cancel: Option<CancelRequest>,
    rejected: Vec<RejectedSignal>,
    stop: Option<WorkflowCancellationToken>,
}

impl Signals {
    /// Starts with the rejections of an earlier run.
    pub(crate) fn resumed(rejected: Vec<RejectedSignal>) -> Self {
        Self {
            rejected,
            ..Self::default()
        }
    }

    /// Takes the signal `cancel`.
    pub(crate) fn cancel(&mut self, request: Wire<CancelRequest>) {
        match request.into_message().and_then(check) {
            Ok(request) => {
                if let Some(stop) = &self.stop {
                    stop.cancel_with_reason(request.reason.clone().unwrap_or_default());
                }
                self.cancel.get_or_insert(request);
            }
            Err(problems) => self.reject(names::CANCEL, problems),
        }
    }

    /// Hands over the token that stops the run's work; a stop that was asked for before takes effect at once.
    pub(crate) fn arm(&mut self, stop: WorkflowCancellationToken) {
        if let Some(request) = &self.cancel {
            stop.cancel_with_reason(request.reason.clone().unwrap_or_default());
        }
        self.stop = Some(stop);
    }

    /// Gives why the run was asked to stop by signal.
    pub(crate) fn cancel_reason(&self) -> Option<String> {
        self.cancel
            .as_ref()
            .map(|request| request.reason.clone().unwrap_or_default())
    }

    /// Gives the last signals that could not be used.
    pub(crate) fn rejected(&self) -> Vec<RejectedSignal> {
        self.rejected.clone()
    }

    /// Records a signal that could not be used.
    pub(crate) fn reject(&mut self, signal: &str, problems: Problems) {
        if self.rejected.len() == MOST_REJECTED {
            self.rejected.remove(0);
        }
        self.rejected.push(RejectedSignal {
            signal: signal.to_owned(),
            problems: problems.into_vec(),
        });
    }
}

fn check(request: CancelRequest) -> Result<CancelRequest, Problems> {
    match &request.reason {
        Some(reason) if reason.len() > REASON_LIMIT_BYTES => Err(Problems::one(
            "reason",
            format!("is longer than {REASON_LIMIT_BYTES} bytes"),
        )),
        Some(_) | None => Ok(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Wire<CancelRequest> {
        Wire::new(CancelRequest {
            reason: Some(text.into()),
        })
    }

    #[test]
    fn a_stop_takes_effect_whether_it_comes_before_or_after_the_work() {
        for early in [true, false] {
            let token = WorkflowCancellationToken::new();
            let mut signals = Signals::default();
            if early {
                signals.cancel(reason("no need"));
                signals.arm(token.clone());
            } else {
                signals.arm(token.clone());
                signals.cancel(reason("no need"));
            }
            assert!(token.is_cancelled());
            assert_eq!(signals.cancel_reason().as_deref(), Some("no need"));
        }
    }

    #[test]
    fn a_signal_that_cannot_be_used_is_recorded_and_stops_nothing() {
        let token = WorkflowCancellationToken::new();
        let mut signals = Signals::default();
        signals.arm(token.clone());
        for _ in 0..12 {
            signals.cancel(reason(&"x".repeat(REASON_LIMIT_BYTES + 1)));
        }
        assert!(!token.is_cancelled());
        assert_eq!(signals.rejected().len(), MOST_REJECTED);
        assert_eq!(signals.rejected()[0].problems[0].path, "reason");
    }
}
