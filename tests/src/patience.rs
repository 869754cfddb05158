//! Waiting for something that no signal tells of.
//!
//! A process that another program starts has no channel to the test, so its state is asked for again and again, up to a
//! limit that is part of the assertion. What a test can be told of (a call, an exit) is waited for without this.

use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::time::sleep;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Asks until the answer is yes; an error after `limit` says what was waited for.
///
/// # Errors
///
/// That the time passed, or what the question failed with.
pub async fn within(
    limit: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        if ask().await? {
            return Ok(began.elapsed());
        }
        if began.elapsed() > limit {
            bail!("not within {limit:?}: {what}");
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Lets an outage last: here the passing of time is itself the fault.
pub async fn outage(length: Duration) {
    sleep(length).await;
}
