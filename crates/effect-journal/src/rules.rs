//! Which state may follow which, and which answer becomes the result.
//!
//! Kept apart from any store, so that every store decides alike and the decisions are tested as a table.

use crate::State;

/// What happens to an attempt through its owner, on time or late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The request is about to leave.
    Send,
    /// An answer arrived, and with it the spend.
    Settle,
    /// The provider will not bill: nothing was sent, or it refused.
    Release,
    /// The outcome cannot be learned.
    Lose,
}

/// Why a takeover released an attempt.
pub(crate) const EXPIRED_UNSENT: &str = "the lease ran out before anything was sent";
/// Why a takeover made an attempt unknown.
pub(crate) const EXPIRED_SENT: &str = "the lease ran out after the request was sent";
/// Why an attempt was released instead of being sent.
pub(crate) const SUPERSEDED: &str = "the answer of an earlier attempt arrived first";

impl Event {
    /// Returns what the event is called in an error: "the attempt is released and cannot ...".
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Send => "be sent",
            Self::Settle => "be settled",
            Self::Release => "be released",
            Self::Lose => "become unknown",
        }
    }
}

/// Returns the state after an event, the same state if nothing changes, or `None` if the event is not allowed.
///
/// An attempt that was given up as unknown can still be settled or released: a late answer is the only way to
/// learn what it cost. What ended is repeatable, because a store's confirmation can be lost; what was sent is not
/// sent again under the same attempt, because the second call would not be accounted for.
pub(crate) fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Reserved, Event::Send) => Some(State::Sent),
        (State::Sent | State::Unknown | State::Settled, Event::Settle) => Some(State::Settled),
        (State::Reserved | State::Sent | State::Unknown | State::Released, Event::Release) => {
            Some(State::Released)
        }
        (State::Sent | State::Unknown, Event::Lose) => Some(State::Unknown),
        (State::Reserved | State::Released, Event::Settle | Event::Lose)
        | (State::Settled, Event::Send | Event::Release | Event::Lose)
        | (State::Sent | State::Released | State::Unknown, Event::Send) => None,
    }
}

/// Returns where an attempt stands, given whether its lease has run out, and why if that changed it.
pub(crate) fn standing(stored: State, expired: bool) -> (State, Option<&'static str>) {
    match (stored, expired) {
        (State::Reserved, true) => (State::Released, Some(EXPIRED_UNSENT)),
        (State::Sent, true) => (State::Unknown, Some(EXPIRED_SENT)),
        (State::Reserved | State::Sent, false) | (State::Settled | State::Released | State::Unknown, _) => {
            (stored, None)
        }
    }
}

/// Tells whether an answer that arrives may become the result of an effect that has none.
///
/// It may, unless a later attempt is under way with its request sent: that one's caller is the one that is
/// listened to, and may already be passing on what it hears.
pub(crate) fn may_commit(is_latest: bool, latest_standing: State) -> bool {
    match latest_standing {
        State::Sent => is_latest,
        State::Reserved | State::Settled | State::Released | State::Unknown => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_transitions_is_complete() {
        use State::{Released, Reserved, Sent, Settled, Unknown};
        let table = [
            (Reserved, [Some(Sent), None, Some(Released), None]),
            (Sent, [None, Some(Settled), Some(Released), Some(Unknown)]),
            (Settled, [None, Some(Settled), None, None]),
            (Released, [None, None, Some(Released), None]),
            (Unknown, [None, Some(Settled), Some(Released), Some(Unknown)]),
        ];
        for (state, row) in table {
            let events = [Event::Send, Event::Settle, Event::Release, Event::Lose];
            assert_eq!(events.map(|event| next(state, event)), row, "{state}");
        }
    }

    #[test]
    fn only_a_lease_that_ran_out_changes_what_is_open() {
        for state in State::ALL {
            assert_eq!(standing(state, false), (state, None));
        }
        assert_eq!(
            standing(State::Reserved, true),
            (State::Released, Some(EXPIRED_UNSENT))
        );
        assert_eq!(standing(State::Sent, true), (State::Unknown, Some(EXPIRED_SENT)));
        for state in [State::Settled, State::Released, State::Unknown] {
            assert_eq!(standing(state, true), (state, None));
        }
    }

    #[test]
    fn a_late_answer_yields_only_to_a_later_request_under_way() {
        for state in State::ALL {
            assert!(may_commit(true, state));
            assert_eq!(may_commit(false, state), state != State::Sent, "{state}");
        }
    }
}
