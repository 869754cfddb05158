//! Every metric that the data activities emit. Labels are closed sets; none comes from a request.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The data activities' metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    validated: IntCounterVec,
    read_bytes: IntCounter,
    chunks: IntCounter,
    items: IntCounterVec,
    results: IntCounter,
    discarded: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    ///
    /// That one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            validated: IntCounterVec::new(
                Opts::new(
                    "aiw_data_validated_total",
                    "Documents, JSONL files and values that were found usable.",
                ),
                &["kind"],
            )?,
            read_bytes: IntCounter::new("aiw_data_read_bytes_total", "Bytes read from the blob store.")?,
            chunks: IntCounter::new("aiw_data_chunks_total", "Chunks that texts were cut into.")?,
            items: IntCounterVec::new(
                Opts::new(
                    "aiw_data_items_total",
                    "Items of JSONL files, by how they are to be run.",
                ),
                &["route"],
            )?,
            results: IntCounter::new("aiw_data_results_total", "Results written to JSONL files.")?,
            discarded: IntCounter::new("aiw_data_discarded_objects_total", "Staged objects removed.")?,
        };
        registry.register(Box::new(metrics.validated.clone()))?;
        registry.register(Box::new(metrics.read_bytes.clone()))?;
        registry.register(Box::new(metrics.chunks.clone()))?;
        registry.register(Box::new(metrics.items.clone()))?;
        registry.register(Box::new(metrics.results.clone()))?;
        registry.register(Box::new(metrics.discarded.clone()))?;
        Ok(metrics)
    }

    /// Counts a usable document (`text`), file (`jsonl`) or value (`json`).
    pub(crate) fn validated(&self, kind: &str) {
        self.validated.with_label_values(&[kind]).inc();
    }

    /// Counts bytes read from the blob store.
    pub(crate) fn read(&self, bytes: usize) {
        self.read_bytes.inc_by(bytes as u64);
    }

    /// Counts chunks.
    pub(crate) fn chunks(&self, count: usize) {
        self.chunks.inc_by(count as u64);
    }

    /// Counts an item: `line`, `child` or `invalid`.
    pub(crate) fn item(&self, route: &str) {
        self.items.with_label_values(&[route]).inc();
    }

    /// Counts a result.
    pub(crate) fn result(&self) {
        self.results.inc();
    }

    /// Counts objects removed.
    pub(crate) fn discarded(&self, objects: u64) {
        self.discarded.inc_by(objects);
    }
}
