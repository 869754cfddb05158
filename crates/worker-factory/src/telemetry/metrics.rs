//! The metrics page: the SDK's metrics and ours.
//!
//! The SDK keeps its Prometheus registry to itself and serves it on a port of its own, so that port is
//! bound to the loopback interface and the page is fetched from it and put in front of ours. One page on
//! one address is what a scrape configuration expects; two pages would double every pod's scrape.
//!
//! Names come out as the documentation's alert rules expect them (`_total`, `_seconds`), which the SDK
//! does not do by default.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes, header::HOST};
use hyper_util::rt::TokioIo;
use prometheus::{Encoder as _, Registry, TextEncoder};
use temporalio_common::telemetry::{
    PrometheusExporterOptions, TelemetryOptions,
    metrics::{CoreMeter, TemporalMeter},
    start_prometheus_metric_exporter, telemetry_init,
};
use tokio::{net::TcpStream, time::timeout};

use super::polls::{Meter, Polls};

/// The largest page taken from the SDK's exporter, in bytes.
const MAX_PAGE: usize = 16 * 1024 * 1024;
/// How long the SDK's exporter may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why metrics cannot be kept or shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The SDK's exporter or meter did not start.
    #[error("the SDK's metrics exporter did not start: {0}")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The SDK's page could not be fetched.
    #[error("the SDK's metrics page could not be fetched: {0}")]
    Page(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Our registry could not be written.
    #[error("the process's metrics could not be written")]
    Encode(#[from] prometheus::Error),
}

/// The metrics of a process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    sdk_page: SocketAddr,
    meter: Arc<dyn CoreMeter>,
    polls: Arc<Polls>,
}

impl Metrics {
    /// Starts the SDK's exporter on the current runtime, with tags on every one of its metrics.
    ///
    /// # Errors
    ///
    /// Returns an error when no loopback port can be bound.
    pub fn start(tags: BTreeMap<String, String>) -> Result<Self, Error> {
        let options = PrometheusExporterOptions::builder()
            .socket_addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .global_tags(tags.into_iter().collect())
            .counters_total_suffix(true)
            .unit_suffix(true)
            .use_seconds_for_durations(true)
            .build();
        let server = start_prometheus_metric_exporter(options)
            .map_err(|error| Error::Exporter(error.into_boxed_dyn_error()))?;
        let polls = Arc::new(Polls::default());
        let meter: Arc<dyn CoreMeter> = Arc::new(Meter::new(server.meter, Arc::clone(&polls)));
        Ok(Self {
            registry: Registry::new(),
            sdk_page: server.bound_addr,
            meter,
            polls,
        })
    }

    /// Returns the registry for the process's own metrics.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the health of the polls.
    #[must_use]
    pub fn polls(&self) -> &Arc<Polls> {
        &self.polls
    }

    /// Returns what the SDK's runtime needs to record here.
    #[must_use]
    pub fn telemetry_options(&self) -> TelemetryOptions {
        // The service's name is a tag already; the SDK's own would say `temporal-core-sdk`.
        TelemetryOptions::builder()
            .metrics(Arc::clone(&self.meter))
            .attach_service_name(false)
            .build()
    }

    /// Returns the meter for a connection: without one, a client counts no requests.
    ///
    /// # Errors
    ///
    /// Returns an error when the SDK refuses the options.
    pub fn client_meter(&self) -> Result<Option<TemporalMeter>, Error> {
        let instance = telemetry_init(self.telemetry_options())
            .map_err(|error| Error::Exporter(error.into_boxed_dyn_error()))?;
        Ok(instance.get_temporal_metric_meter())
    }

    /// Renders the page in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// Returns an error when either half is not to be had: half a page would look like a drop to zero.
    pub async fn page(&self) -> Result<Vec<u8>, Error> {
        let fetched = timeout(PATIENCE, self.fetch())
            .await
            .map_err(|error| Error::Page(error.into()))?;
        let mut page = fetched.map_err(Error::Page)?.to_vec();
        TextEncoder::new().encode(&self.registry.gather(), &mut page)?;
        Ok(page)
    }

    async fn fetch(&self) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.sdk_page).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get("/metrics")
            .header(HOST, self.sdk_page.to_string())
            .body(Empty::<Bytes>::new())?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                Limited::new(response, MAX_PAGE).collect().await?.to_bytes(),
            )
        };
        // The connection ends by itself once the sender is dropped and the body is read.
        let (page, ended) = tokio::join!(exchange, connection);
        ended?;
        page
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use temporalio_common::telemetry::metrics::{
        CounterBase as _, MetricAttributable as _, MetricParameters,
    };

    use super::Metrics;

    #[tokio::test]
    async fn one_page_holds_the_sdks_metrics_with_our_tags_and_our_own() {
        let tags = BTreeMap::from([("service_name".to_owned(), "test-worker".to_owned())]);
        let metrics = Metrics::start(tags).unwrap();
        let own = prometheus::IntCounter::new("worker_things_total", "Things.").unwrap();
        metrics.registry().register(Box::new(own.clone())).unwrap();
        own.inc();
        let meter = metrics.client_meter().unwrap().unwrap();
        let counter = meter.counter(MetricParameters::from("request"));
        counter
            .with_attributes(meter.get_default_attributes())
            .unwrap()
            .adds(3);

        let page = String::from_utf8(metrics.page().await.unwrap()).unwrap();
        assert!(
            page.contains("temporal_request_total{service_name=\"test-worker\"} 3"),
            "{page}"
        );
        assert!(page.contains("worker_things_total 1"), "{page}");
    }
}
