//! The probes' server: a thread, a runtime, a few bytes an answer.
//!
//! It faces whoever can reach the pod, so it is bounded everywhere: a connection has five seconds to send
//! its headers and ten in all, at most 64 are open, each serves one request, and what does not fit is
//! closed without an answer. A probe's body says which check fails and nothing else about the process.

use std::{collections::BTreeMap, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::{Health, Options, Verdict};
use crate::{
    fields,
    telemetry::metrics::{self, Metrics},
};

/// The most connections that are open at once, over both listeners.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take over its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be bound.
    #[error(
        "health.listen or health.metrics_listen: {address} cannot be bound: {source}; choose another address or port 0"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The thread or its runtime did not start.
    #[error("the health server's thread did not start")]
    Thread(#[source] io::Error),
    /// Metrics did not start.
    #[error(transparent)]
    Metrics(#[from] metrics::Error),
    /// The process's own metrics could not be registered.
    #[error("the process's metrics could not be registered")]
    Registry(#[from] prometheus::Error),
    /// The thread ended before it served.
    #[error("the health server's thread ended while it started")]
    Ended,
}

/// A server that runs until the process ends.
#[derive(Clone, Debug)]
pub struct Running {
    /// What the probes show.
    pub health: Health,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Where the probes are served.
    pub listen: SocketAddr,
    /// Where `/metrics` is served, when it is not beside the probes.
    pub metrics_listen: Option<SocketAddr>,
}

/// Starts metrics, health and the server on a thread of their own.
///
/// # Errors
///
/// Returns an error when an address cannot be bound or the thread cannot start.
pub fn start(options: &Options, tags: BTreeMap<String, String>) -> Result<Running, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Thread)?;
    let (ready, started) = oneshot::channel();
    let options = options.clone();
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                match prepare(&options, tags).await {
                    Ok((running, listeners)) => {
                        let state = Arc::new(State {
                            running: running.clone(),
                            open: Semaphore::new(MAX_CONNECTIONS),
                        });
                        // The receiver waits in the function that started this thread.
                        drop(ready.send(Ok(running)));
                        serve(state, listeners).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        })
        .map_err(Error::Thread)?;
    started.blocking_recv().map_err(|_| Error::Ended)?
}

#[derive(Debug)]
struct Listeners {
    probes: TcpListener,
    metrics: Option<TcpListener>,
}

#[derive(Debug)]
struct State {
    running: Running,
    open: Semaphore,
}

/// Which paths a listener serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pages {
    All,
    Probes,
    Metrics,
}

async fn prepare(options: &Options, tags: BTreeMap<String, String>) -> Result<(Running, Listeners), Error> {
    let probes = bind(options.listen).await?;
    let metrics_listener = match options.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let metrics = Metrics::start(tags)?;
    let health = Health::new(options, metrics.registry(), Arc::clone(metrics.polls()))?;
    let unbound = |source| Error::Bind {
        address: options.listen,
        source,
    };
    let running = Running {
        health,
        metrics,
        listen: probes.local_addr().map_err(unbound)?,
        metrics_listen: metrics_listener
            .as_ref()
            .map(TcpListener::local_addr)
            .transpose()
            .map_err(unbound)?,
    };
    Ok((
        running,
        Listeners {
            probes,
            metrics: metrics_listener,
        },
    ))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Bind { address, source })
}

async fn serve(state: Arc<State>, listeners: Listeners) {
    match listeners.metrics {
        None => accept(state, listeners.probes, Pages::All).await,
        Some(metrics) => {
            tokio::join!(
                accept(Arc::clone(&state), listeners.probes, Pages::Probes),
                accept(state, metrics, Pages::Metrics)
            );
        }
    }
}

async fn accept(state: Arc<State>, listener: TcpListener, pages: Pages) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&state), stream, pages))),
            Err(error) => {
                // Out of file descriptors, most likely: waiting is all there is to do.
                tracing::warn!({ fields::ERROR } = %error, "the health server cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(state: Arc<State>, stream: TcpStream, pages: Pages) {
    let Ok(_permit) = state.open.try_acquire() else {
        return;
    };
    let service = service_fn(|request| answer(Arc::clone(&state), request, pages));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off, or is too slow, is its own affair.
    drop(timeout(CONNECTION_TIMEOUT, serving).await);
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
    pages: Pages,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let health = &state.running.health;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"));
    }
    Ok(match (request.uri().path(), pages) {
        ("/livez", Pages::All | Pages::Probes) => probe(&health.live()),
        ("/readyz", Pages::All | Pages::Probes) => probe(&health.ready()),
        ("/startupz", Pages::All | Pages::Probes) => probe(&health.started()),
        ("/metrics", Pages::All | Pages::Metrics) => match state.running.metrics.page().await {
            Ok(page) => {
                let mut response = Response::new(Full::new(Bytes::from(page)));
                response.headers_mut().insert(
                    CONTENT_TYPE,
                    hyper::header::HeaderValue::from_static(prometheus::TEXT_FORMAT),
                );
                response
            }
            Err(error) => {
                tracing::warn!({ fields::ERROR } = %error, "the metrics page could not be made");
                text(StatusCode::INTERNAL_SERVER_ERROR, "metrics unavailable\n")
            }
        },
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    })
}

fn probe(verdict: &Verdict) -> Response<Full<Bytes>> {
    match verdict {
        Verdict::Well => text(StatusCode::OK, "ok\n"),
        Verdict::Failing(names) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("failing: {}\n", names.join(", ")),
        ),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
