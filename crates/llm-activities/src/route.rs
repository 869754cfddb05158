//! Whether a failed call is tried again, or left to the next model.
//!
//! The workflow chooses the next model, but only the activity knows, while a failure is still being retried, how long it
//! has been: a workflow sees the last failure alone. So the input says for how long this model is tried, and a failure that
//! would be retried beyond that comes back as final. What retrying can't mend is final in any case.

use std::time::{Duration, SystemTime};

use workflow_types::{failure::FailureCode, proto::CandidateRoute};

/// The wait before a retry whose failure says none, as the activity's retry policy has it: from a second, doubling, to a
/// minute.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// One attempt of an activity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// When the activity was scheduled, which is before its first attempt.
    pub first_scheduled: Option<SystemTime>,
}

/// Another model follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    patience: Duration,
    leaves_on: Vec<FailureCode>,
}

impl Route {
    /// Reads the input's word; `None` when no model follows. A code that this version doesn't know leaves nothing.
    pub(crate) fn of(route: Option<&CandidateRoute>) -> Option<Self> {
        let route = route.filter(|route| route.has_next)?;
        let patience = u64::try_from(route.patience_seconds).unwrap_or(0);
        Some(Self {
            patience: Duration::from_secs(patience),
            leaves_on: route
                .fallback_on
                .iter()
                .filter_map(|code| code.parse().ok())
                .collect(),
        })
    }

    /// Tells whether a failure leaves the model for the next: the wait before another attempt would end after the time
    /// that the model is tried for.
    pub(crate) fn leaves(&self, code: FailureCode, wait: Option<Duration>, attempt: Attempt) -> bool {
        if !self.leaves_on.contains(&code) {
            return false;
        }
        let wait = wait.unwrap_or_else(|| attempt.usual_wait());
        self.patience.is_zero() || attempt.age().saturating_add(wait) > self.patience
    }
}

impl Attempt {
    /// How long the activity has been tried. A clock that is behind the server's counts as no time at all.
    fn age(self) -> Duration {
        self.first_scheduled
            .and_then(|then| SystemTime::now().duration_since(then).ok())
            .unwrap_or_default()
    }

    fn usual_wait(self) -> Duration {
        let doublings = self.number.saturating_sub(1).min(6);
        Duration::from_secs(1 << doublings).min(LONGEST_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, age_seconds: u64) -> Attempt {
        let age = Duration::from_secs(age_seconds);
        Attempt {
            number,
            first_scheduled: SystemTime::now().checked_sub(age),
        }
    }

    fn route(patience_seconds: i32, on: &[&str]) -> CandidateRoute {
        CandidateRoute {
            has_next: true,
            patience_seconds,
            fallback_on: on.iter().map(|code| (*code).to_owned()).collect(),
        }
    }

    #[test]
    fn without_a_next_model_nothing_leaves() {
        assert_eq!(Route::of(None), None);
        let last = CandidateRoute {
            has_next: false,
            ..route(0, &["Overloaded"])
        };
        assert_eq!(Route::of(Some(&last)), None);
    }

    #[test]
    fn a_listed_failure_leaves_once_its_wait_ends_after_the_patience() {
        let route = Route::of(Some(&route(60, &["RateLimited", "Overloaded", "Unheard"]))).unwrap();
        let wait = |seconds| Some(Duration::from_secs(seconds));
        let cases = [
            (FailureCode::RateLimited, wait(59), attempt(1, 0), false),
            (FailureCode::RateLimited, wait(61), attempt(1, 0), true),
            (FailureCode::RateLimited, wait(20), attempt(3, 50), true),
            (FailureCode::RateLimited, wait(2), attempt(3, 50), false),
            // Without a word the policy's own wait counts: 8 seconds before the fifth attempt, 16 before the sixth.
            (FailureCode::Overloaded, None, attempt(4, 50), false),
            (FailureCode::Overloaded, None, attempt(5, 50), true),
            (FailureCode::Transport, wait(600), attempt(9, 600), false),
            (FailureCode::Storage, wait(600), attempt(9, 600), false),
        ];
        for (code, wait, attempt, leaves) in cases {
            assert_eq!(
                route.leaves(code, wait, attempt),
                leaves,
                "{code} {wait:?} {attempt:?}"
            );
        }
    }

    #[test]
    fn without_patience_the_first_listed_failure_leaves() {
        let route = Route::of(Some(&route(0, &["Transport"]))).unwrap();
        let unknown = Attempt {
            number: 1,
            first_scheduled: None,
        };
        assert!(route.leaves(FailureCode::Transport, Some(Duration::ZERO), unknown));
        assert!(!route.leaves(FailureCode::Internal, None, unknown));
    }
}
