//! One HTTP call under its limits, which knows at every moment whether its request has left.
//!
//! Whether the request left decides what the effect journal records, and an error alone does not tell: a timeout
//! while connecting and one while waiting for the answer look alike from outside. So the request's body notes the
//! moment at which the connection asks for it. Before that moment at most a header has been written, and no server
//! acts on half a request. A call that ends before it seals its body, so a connection that is made too late finds
//! nothing to send and "not sent" stays true.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use reqwest::Response;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::heard::Heard;
use crate::provider::{CallOutcome, Error, ErrorKind};
use crate::settings::{Timeouts, duration};

/// One call on its way.
pub(crate) struct Flight {
    limits: Timeouts,
    started: Instant,
    deadline: Instant,
    deadline_is_the_callers: bool,
    cancel: CancellationToken,
    departure: watch::Sender<Departure>,
    heard: OnceLock<Heard>,
}

/// Whether the request has left.
#[derive(Clone, Copy)]
enum Departure {
    Waiting,
    Left(Instant),
    Sealed,
}

impl Departure {
    /// Notes the departure, unless the call has ended; says whether the request may leave.
    fn leave(&mut self) -> bool {
        if matches!(self, Self::Waiting) {
            *self = Self::Left(Instant::now());
        }
        matches!(self, Self::Left(_))
    }

    /// Makes sure that the request does not leave from now on; says whether it has left.
    fn seal(&mut self) -> bool {
        if matches!(self, Self::Waiting) {
            *self = Self::Sealed;
        }
        matches!(self, Self::Left(_))
    }

    fn time(&self) -> Option<Instant> {
        match self {
            Self::Left(at) => Some(*at),
            Self::Waiting | Self::Sealed => None,
        }
    }
}

/// A time limit inside a call.
#[derive(Clone, Copy)]
pub(super) enum Phase {
    FirstByte,
    BetweenBytes,
}

impl Flight {
    /// Starts the clock; `left` is the caller's own deadline.
    pub(crate) fn start(limits: Timeouts, left: Duration, cancel: CancellationToken) -> Self {
        let started = Instant::now();
        let whole = duration(limits.whole_call_seconds);
        Self {
            limits,
            started,
            deadline: started + whole.min(left),
            deadline_is_the_callers: left < whole,
            cancel,
            departure: watch::Sender::new(Departure::Waiting),
            heard: OnceLock::new(),
        }
    }

    /// Milliseconds since the start.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends the call as a failure and says what became of it.
    fn outcome(&self) -> CallOutcome {
        let mut has_left = false;
        self.departure
            .send_modify(|departure| has_left = departure.seal());
        if has_left {
            CallOutcome::Unknown
        } else {
            CallOutcome::NotSent
        }
    }

    /// Ends the call with an error.
    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.outcome(), message)
    }

    /// Wraps a request's body so that the flight notes when the connection takes it.
    ///
    /// A body of this form cannot be sent twice, whatever the client below might want.
    pub(crate) fn body(&self, bytes: Bytes) -> reqwest::Body {
        reqwest::Body::wrap_stream(self.departing(bytes))
    }

    fn departing(&self, bytes: Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let departure = self.departure.clone();
        futures::stream::once(async move {
            let mut may_leave = false;
            departure.send_modify(|departure| may_leave = departure.leave());
            if may_leave {
                Ok(bytes)
            } else {
                Err(io::Error::other("the call has ended"))
            }
        })
    }

    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<Response, Error> {
        let response = self.within(Phase::FirstByte, client.execute(request)).await?;
        // A server may refuse before it has taken the body.
        self.departure.send_modify(|departure| {
            departure.leave();
        });
        self.heard.get_or_init(|| Heard::of(&response));
        Ok(response)
    }

    /// Gives what the head of the answer said; nothing before it has come.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.get().cloned().unwrap_or_default()
    }

    /// Adds to an error what the head of the answer said, however far the call had come after that.
    pub(crate) fn with_heard(&self, mut error: Error) -> Error {
        let heard = self.heard();
        if let Some(id) = &heard.request_id {
            error.message = format!("{} (request id {id})", error.message);
        }
        error.request_id = heard.request_id;
        error.limits = Box::new(heard.limits);
        error
    }

    pub(super) async fn within<T>(
        &self,
        phase: Phase,
        work: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {
                Err(self.error(ErrorKind::Cancelled, "the call was cancelled"))
            }
            done = work => done.map_err(|error| self.broken(error)),
            () = sleep_until(self.deadline) => Err(self.out_of_time()),
            () = self.passed(phase) => Err(self.stalled(phase)),
        }
    }

    async fn passed(&self, phase: Phase) {
        match phase {
            Phase::BetweenBytes => sleep(duration(self.limits.between_bytes_seconds)).await,
            Phase::FirstByte => {
                let mut departures = self.departure.subscribe();
                let left = departures.wait_for(|departure| departure.time().is_some()).await;
                // The sender lives as long as the flight, so there is always a time.
                let at = left
                    .ok()
                    .and_then(|departure| departure.time())
                    .unwrap_or(self.started);
                sleep_until(at + duration(self.limits.first_byte_seconds)).await;
            }
        }
    }

    fn out_of_time(&self) -> Error {
        let message = if self.deadline_is_the_callers {
            "the time that was left for the call is used up".to_owned()
        } else {
            format!(
                "the call took longer than whole_call_seconds ({})",
                self.limits.whole_call_seconds
            )
        };
        self.error(ErrorKind::DeadlineExceeded, message)
    }

    fn stalled(&self, phase: Phase) -> Error {
        match phase {
            Phase::FirstByte => self.error(
                ErrorKind::Transport,
                format!(
                    "no answer within first_byte_seconds ({})",
                    self.limits.first_byte_seconds
                ),
            ),
            Phase::BetweenBytes => self.error(
                ErrorKind::StreamBroken,
                format!(
                    "the answer stalled for longer than between_bytes_seconds ({})",
                    self.limits.between_bytes_seconds
                ),
            ),
        }
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let error_of = |kind, outcome, message: String| Error::new(kind, outcome, message);
        if error.is_builder() {
            let message = "the request cannot be built; check the provider's settings".to_owned();
            return error_of(ErrorKind::Internal, CallOutcome::NotSent, message).with_source(error);
        }
        if error.is_connect() {
            let message = if error.is_timeout() {
                format!(
                    "no connection within connect_seconds ({})",
                    self.limits.connect_seconds
                )
            } else {
                "cannot connect; check base_url, and whether the server runs".to_owned()
            };
            return error_of(ErrorKind::Transport, CallOutcome::NotSent, message).with_source(error);
        }
        let (kind, message) = if error.is_body() || error.is_decode() {
            (ErrorKind::StreamBroken, "the answer broke off")
        } else {
            (
                ErrorKind::Transport,
                "the connection broke before the answer began",
            )
        };
        self.error(kind, message).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::StreamExt as _;
    use tokio_util::sync::CancellationToken;

    use super::Flight;
    use crate::provider::{CallOutcome, ErrorKind};
    use crate::settings::Timeouts;

    fn flight() -> Flight {
        Flight::start(
            Timeouts::default(),
            Duration::from_secs(9),
            CancellationToken::new(),
        )
    }

    #[tokio::test]
    async fn a_request_that_has_left_has_an_unknown_outcome() {
        let flight = flight();
        let body = std::pin::pin!(flight.departing(Bytes::from_static(b"x")));
        let sent: Vec<_> = body.collect().await;
        assert_eq!(sent[0].as_ref().unwrap(), "x");
        assert_eq!(
            flight.error(ErrorKind::Cancelled, "").billing,
            CallOutcome::Unknown
        );
    }

    #[tokio::test]
    async fn a_request_that_has_not_left_when_its_call_fails_never_leaves() {
        let flight = flight();
        let body = std::pin::pin!(flight.departing(Bytes::from_static(b"x")));
        assert_eq!(
            flight.error(ErrorKind::Cancelled, "").billing,
            CallOutcome::NotSent
        );
        let sent: Vec<_> = body.collect().await;
        assert!(sent[0].is_err());
        assert_eq!(
            flight.error(ErrorKind::Cancelled, "").billing,
            CallOutcome::NotSent
        );
    }

    #[tokio::test]
    async fn the_shorter_of_both_deadlines_counts() {
        let flight = flight();
        assert!(flight.deadline_is_the_callers);
        assert_eq!(flight.deadline - flight.started, Duration::from_secs(9));
        let flight = Flight::start(Timeouts::default(), Duration::MAX, CancellationToken::new());
        assert_eq!(flight.deadline - flight.started, Duration::from_mins(10));
    }
}
