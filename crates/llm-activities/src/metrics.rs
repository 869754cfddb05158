//! Every metric that the model activities emit. Labels are a provider, a model and closed sets of words: all bounded by
//! configuration, none from a request.

use effect_journal::{Limited, OverBudget, Spend, Why};
use model_clients::provider::{ErrorKind, GenerateResponse};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

const MODEL: [&str; 2] = ["provider", "model"];
const SECONDS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// The model activities' metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Calls,
    refusals: Refusals,
    offloads: IntCounterVec,
    stream_errors: IntCounter,
}

/// What calls ended with and what they used.
#[derive(Debug, Clone)]
struct Calls {
    ended: IntCounterVec,
    tokens: IntCounterVec,
    seconds: HistogramVec,
    spend: IntCounterVec,
    unknown: IntCounterVec,
    unknown_spend: IntCounterVec,
    replays: IntCounterVec,
}

/// Why calls were not made.
#[derive(Debug, Clone)]
struct Refusals {
    waits: IntCounterVec,
    circuit: IntGaugeVec,
    over_budget: IntCounterVec,
}

/// The model that a call is for, as labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The model's name.
    pub model: &'a str,
}

/// Makes and registers counters.
struct Maker<'r>(&'r Registry);

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn of_model(&self, name: &str, help: &str) -> Result<IntCounterVec, prometheus::Error> {
        self.counter(name, help, &MODEL)
    }

    fn of_model_and(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
        self.counter(name, help, &[MODEL[0], MODEL[1], label])
    }
}

impl Calls {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let seconds = HistogramOpts::new(
            "aiw_model_call_seconds",
            "Time from the start of an answered call to its end.",
        );
        let calls = Self {
            ended: maker.of_model_and(
                "aiw_model_calls_total",
                "Model calls that ended, by what they ended with.",
                "outcome",
            )?,
            tokens: maker.of_model_and(
                "aiw_model_tokens_total",
                "Tokens of answered model calls.",
                "direction",
            )?,
            seconds: HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &MODEL)?,
            spend: maker.of_model(
                "aiw_model_spend_micros_total",
                "Cost of answered calls, in millionths of the currency.",
            )?,
            unknown: maker.of_model(
                "aiw_model_unknown_calls_total",
                "Calls whose outcome could not be learned.",
            )?,
            unknown_spend: maker.of_model(
                "aiw_model_unknown_spend_micros_total",
                "The most that calls whose outcome could not be learned can cost, in millionths of the currency.",
            )?,
            replays: maker.of_model(
                "aiw_journal_replays_total",
                "Answers that came from the effect journal without a call.",
            )?,
        };
        registry.register(Box::new(calls.seconds.clone()))?;
        Ok(calls)
    }
}

impl Refusals {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let circuit = Opts::new(
            "aiw_circuit_open",
            "1 while no calls are made because the provider keeps failing, as last seen.",
        );
        let refusals = Self {
            waits: maker.of_model_and(
                "aiw_limit_waits_total",
                "Calls that have to wait for a provider's limit, by what they wait for.",
                "why",
            )?,
            circuit: IntGaugeVec::new(circuit, &MODEL)?,
            over_budget: maker.counter(
                "aiw_budget_refusals_total",
                "Calls that did not fit into a budget, by whose it is.",
                &["account"],
            )?,
        };
        registry.register(Box::new(refusals.circuit.clone()))?;
        Ok(refusals)
    }
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    ///
    /// That one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let offloads = Maker(registry).counter(
            "aiw_response_offloads_total",
            "Large answers, by where they were kept.",
            &["kept"],
        )?;
        let stream_errors = IntCounter::new(
            "aiw_stream_errors_total",
            "Writes of streamed answers that failed.",
        )?;
        registry.register(Box::new(stream_errors.clone()))?;
        Ok(Self {
            calls: Calls::register(registry)?,
            refusals: Refusals::register(registry)?,
            offloads,
            stream_errors,
        })
    }

    /// Counts an answered call and what it cost.
    pub(crate) fn answered(&self, of: Of<'_>, response: &GenerateResponse, spend: &Spend) {
        self.calls
            .ended
            .with_label_values(&[of.provider, of.model, "answered"])
            .inc();
        for (direction, tokens) in [("input", spend.input_tokens), ("output", spend.output_tokens)] {
            self.calls
                .tokens
                .with_label_values(&[of.provider, of.model, direction])
                .inc_by(tokens);
        }
        let seconds = std::time::Duration::from_millis(response.total_ms).as_secs_f64();
        self.calls
            .seconds
            .with_label_values(&of.labels())
            .observe(seconds);
        self.calls
            .spend
            .with_label_values(&of.labels())
            .inc_by(micros(spend));
    }

    /// Counts a failed call.
    pub(crate) fn failed(&self, of: Of<'_>, kind: ErrorKind) {
        self.calls
            .ended
            .with_label_values(&[of.provider, of.model, kind.as_str()])
            .inc();
    }

    /// Counts a call whose outcome could not be learned, and the most that it can cost.
    pub(crate) fn lost(&self, of: Of<'_>, bound: &Spend) {
        self.calls.unknown.with_label_values(&of.labels()).inc();
        self.calls
            .unknown_spend
            .with_label_values(&of.labels())
            .inc_by(micros(bound));
    }

    /// Counts a replayed answer.
    pub(crate) fn replayed(&self, of: Of<'_>) {
        self.calls.replays.with_label_values(&of.labels()).inc();
    }

    /// Counts a call that has to wait.
    pub(crate) fn limited(&self, of: Of<'_>, limited: &Limited) {
        self.refusals
            .waits
            .with_label_values(&[of.provider, of.model, limited.why.as_str()])
            .inc();
        if limited.why == Why::CircuitOpen {
            self.refusals.circuit.with_label_values(&of.labels()).set(1);
        }
    }

    /// Notes that calls are made.
    pub(crate) fn granted(&self, of: Of<'_>) {
        self.refusals.circuit.with_label_values(&of.labels()).set(0);
    }

    /// Counts a call that did not fit into a budget.
    pub(crate) fn over_budget(&self, over: &OverBudget) {
        let account = if over.account.tenant_name().is_some() {
            "tenant"
        } else {
            "run"
        };
        self.refusals.over_budget.with_label_values(&[account]).inc();
    }

    /// Counts a large answer: kept in the blob store, or in the journal because that was away.
    pub(crate) fn offloaded(&self, away: bool) {
        let kept = if away { "blob_store" } else { "journal" };
        self.offloads.with_label_values(&[kept]).inc();
    }

    /// Counts a write of a streamed answer that failed.
    pub(crate) fn stream_failed(&self) {
        self.stream_errors.inc();
    }
}

impl<'a> Of<'a> {
    fn labels(self) -> [&'a str; 2] {
        [self.provider, self.model]
    }
}

fn micros(spend: &Spend) -> u64 {
    u64::try_from(spend.cost_micros).unwrap_or(0)
}
