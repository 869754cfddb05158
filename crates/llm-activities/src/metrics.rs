//! Every metric that the model activities emit. Labels are a provider, a model and a kind of error: all bounded by
//! configuration, none from a request.

use model_clients::provider::{ErrorKind, GenerateResponse};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// The model activities' metrics.
#[derive(Clone)]
pub struct Metrics {
    calls: IntCounterVec,
    tokens: IntCounterVec,
    replays: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    ///
    /// That one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            calls: IntCounterVec::new(
                Opts::new(
                    "aiw_model_calls_total",
                    "Model calls that ended, by what they ended with.",
                ),
                &["provider", "model", "outcome"],
            )?,
            tokens: IntCounterVec::new(
                Opts::new("aiw_model_tokens_total", "Tokens of answered model calls."),
                &["provider", "model", "direction"],
            )?,
            replays: IntCounterVec::new(
                Opts::new(
                    "aiw_journal_replays_total",
                    "Answers that came from the effect journal without a call.",
                ),
                &["provider", "model"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "aiw_model_call_seconds",
                    "Time from the start of an answered call to its end.",
                )
                .buckets(vec![
                    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
                ]),
                &["provider", "model"],
            )?,
        };
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.tokens.clone()))?;
        registry.register(Box::new(metrics.replays.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        Ok(metrics)
    }

    /// Counts an answered call.
    pub(crate) fn answered(&self, provider: &str, model: &str, response: &GenerateResponse) {
        self.calls.with_label_values(&[provider, model, "answered"]).inc();
        let tokens = |direction: &str, count: u32| {
            self.tokens
                .with_label_values(&[provider, model, direction])
                .inc_by(u64::from(count));
        };
        tokens("input", response.usage.input_tokens);
        tokens("output", response.usage.output_tokens);
        let seconds = std::time::Duration::from_millis(response.total_ms).as_secs_f64();
        self.seconds
            .with_label_values(&[provider, model])
            .observe(seconds);
    }

    /// Counts a failed call.
    pub(crate) fn failed(&self, provider: &str, model: &str, kind: ErrorKind) {
        self.calls
            .with_label_values(&[provider, model, kind.as_str()])
            .inc();
    }

    /// Counts a replayed answer.
    pub(crate) fn replayed(&self, provider: &str, model: &str) {
        self.replays.with_label_values(&[provider, model]).inc();
    }
}
