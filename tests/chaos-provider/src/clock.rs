//! Times in milliseconds, as the account and the limits count them.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The clock of the limits: it begins with the system's and never jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    began_unix_ms: u64,
}

impl Clock {
    /// Sets a clock to the system's time.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            began_unix_ms: unix_ms(),
        }
    }

    /// The time in milliseconds since 1970.
    pub(crate) fn now_ms(self) -> u64 {
        self.began_unix_ms + millis_since(self.began)
    }
}

/// The system's time in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// The milliseconds that have passed since a moment.
pub(crate) fn millis_since(moment: Instant) -> u64 {
    u64::try_from(moment.elapsed().as_millis()).unwrap_or(u64::MAX)
}
