//! What every data activity is handed.

use std::{num::NonZero, thread::available_parallelism};

use activity_context::BlockingPool;
use blob_store::BlobStore;
use serde::Serialize;

use crate::{Error, Metrics, Models, Options};

/// What the activities need, put together where the worker is composed.
#[derive(Debug)]
pub struct Services {
    pub(crate) store: BlobStore,
    pub(crate) models: Models,
    pub(crate) metrics: Metrics,
    pub(crate) pool: BlockingPool,
    pub(crate) max_text_bytes: u64,
}

impl Services {
    /// Puts the services together; `options` are those that `models` were opened with.
    pub fn new(options: &Options, store: BlobStore, models: Models, metrics: Metrics) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let slots = if options.cpu_slots == 0 {
            processors
        } else {
            options.cpu_slots
        };
        Self {
            store,
            models,
            metrics,
            pool: BlockingPool::new(slots),
            max_text_bytes: options.max_text_bytes,
        }
    }
}

/// The scope that an activity works in.
pub(crate) type Scope = activity_context::Scope<Progress>;

/// What a heartbeat says; for people who look at a pending activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    /// What is counted: bytes, lines, chunks, results or parts.
    pub(crate) unit: &'static str,
    /// How many are done.
    pub(crate) done: u64,
}

/// Notes how far the work is, and ends it when the activity is to stop.
pub(crate) fn proceed(scope: &Scope, unit: &'static str, done: u64) -> Result<(), Error> {
    scope.report(Progress { unit, done });
    if scope.is_cancelled() {
        Err(Error::Stopped)
    } else {
        Ok(())
    }
}
