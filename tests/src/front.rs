//! What stands before a secured Temporal server: it ends TLS, and asks for a client certificate or an API key.
//!
//! The dev server speaks plain text and lets everybody in, so the handshakes of a product with a secured cluster could
//! not be seen with it alone. Behind this front it is the same server: requests, streams and trailers pass as they come.
//! The front keeps what it saw of every request, which is a witness that the clients under test do not know.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use http_body_util::{Either, Empty};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http2::SendRequest,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier},
};

use crate::authority::{Authority, Credential};

/// How long a client whose handshake failed may take to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The namespace, as Temporal's own front ends read it.
const NAMESPACE_HEADER: &str = "temporal-namespace";
const UNAUTHENTICATED: u16 = 16;

/// What a client has to bring.
#[derive(Default)]
pub struct Terms<'a> {
    /// The authority of the client certificates; without one, none is asked for.
    pub clients_of: Option<&'a Authority>,
    /// The API key; without one, none is asked for.
    pub api_key: Option<&'a str>,
}

/// What the front saw of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method's path, such as `/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo`.
    pub path: String,
    /// The header with the namespace.
    pub namespace: Option<String>,
    /// What stood behind `Bearer`.
    pub key: Option<String>,
    /// Whether it was passed on.
    pub passed: bool,
}

/// A front before a server, on a port of its own.
pub struct Front {
    address: SocketAddr,
    desk: Arc<Desk>,
    listening: JoinHandle<()>,
}

/// What all connections share.
struct Desk {
    upstream: String,
    wanted: watch::Sender<Option<String>>,
    calls: watch::Sender<Vec<Call>>,
}

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

impl Front {
    /// Starts a front with this certificate before the server at `upstream`, `host:port`.
    ///
    /// # Errors
    ///
    /// That the certificates can't be used, or no port is free.
    pub async fn start(upstream: &str, server: Credential, terms: &Terms<'_>) -> anyhow::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(server, terms.clients_of)?));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let desk = Arc::new(Desk {
            upstream: upstream.to_owned(),
            wanted: watch::Sender::new(terms.api_key.map(str::to_owned)),
            calls: watch::Sender::new(Vec::new()),
        });
        Ok(Self {
            address: listener.local_addr()?,
            listening: tokio::spawn(listen(listener, acceptor, Arc::clone(&desk))),
            desk,
        })
    }

    /// Gives the address to connect to, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Takes another API key from now on, and the one before no longer.
    pub fn replace_key(&self, key: &str) {
        self.desk.wanted.send_replace(Some(key.to_owned()));
    }

    /// Gives what it has seen so far.
    pub fn calls(&self) -> Vec<Call> {
        self.desk.calls.borrow().clone()
    }

    /// Waits until some request is like this.
    ///
    /// # Errors
    ///
    /// That none was within the limit.
    pub async fn saw(
        &self,
        limit: Duration,
        what: &str,
        is_it: impl Fn(&Call) -> bool + Send,
    ) -> anyhow::Result<()> {
        let mut calls = self.desk.calls.subscribe();
        let seen = calls.wait_for(|calls| calls.iter().any(&is_it));
        let seen = timeout(limit, seen).await;
        seen.with_context(|| format!("not within {limit:?}: {what}"))??;
        Ok(())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn tls(server: Credential, clients_of: Option<&Authority>) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let settings =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let settings = match clients_of {
        None => settings.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate().der().clone())?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            settings.with_client_cert_verifier(verifier.build()?)
        }
    };
    let (certificate, key) = server.parts();
    let mut settings = settings.with_single_cert(vec![certificate.der().clone()], key.into())?;
    settings.alpn_protocols = vec![b"h2".to_vec()];
    Ok(settings)
}

/// Serves connections until it is dropped, and all of them with it.
async fn listen(listener: TcpListener, acceptor: TlsAcceptor, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&desk)));
            }
            // A connection that ends in an error is for the client to tell of.
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, desk: Arc<Desk>) -> anyhow::Result<()> {
    let stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((_refused, stream)) => return part(stream).await,
    };
    let upstream = TcpStream::connect(&desk.upstream).await?;
    let (sender, upstream) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(upstream)).await?;
    let service = service_fn(|request| {
        let (desk, sender) = (Arc::clone(&desk), sender.clone());
        async move { desk.answer(request, sender).await }
    });
    let downstream = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = downstream => ended?,
        ended = upstream => ended?,
    }
    Ok(())
}

/// Lets the client read the alert: closing with unread bytes would reset the connection, and the alert would be lost.
async fn part(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.shutdown().await?;
    let mut rest = Vec::new();
    timeout(LAST_WORDS, stream.read_to_end(&mut rest)).await??;
    Ok(())
}

impl Desk {
    async fn answer(
        &self,
        request: Request<Incoming>,
        mut sender: SendRequest<Incoming>,
    ) -> anyhow::Result<Answer> {
        if !self.note(&request) {
            return unauthenticated();
        }
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().context("no path")?.clone();
        parts.uri = Uri::builder()
            .scheme("http")
            .authority(self.upstream.as_str())
            .path_and_query(path)
            .build()?;
        sender.ready().await?;
        let answer = sender.send_request(Request::from_parts(parts, body)).await?;
        Ok(answer.map(Either::Left))
    }

    /// Writes the request down and tells whether it may pass.
    fn note(&self, request: &Request<Incoming>) -> bool {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let header = request.headers().get(AUTHORIZATION).and_then(text);
        let key = header.and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
        let wanted = self.wanted.borrow();
        let passed = wanted.is_none() || *wanted == key;
        self.calls.send_modify(|calls| {
            calls.push(Call {
                path: request.uri().path().to_owned(),
                namespace: request.headers().get(NAMESPACE_HEADER).and_then(text),
                key,
                passed,
            });
        });
        passed
    }
}

/// Answers as a Temporal server does: headers that are trailers at once.
fn unauthenticated() -> anyhow::Result<Answer> {
    Ok(Response::builder()
        .header(CONTENT_TYPE, "application/grpc")
        .header("grpc-status", UNAUTHENTICATED)
        .header("grpc-message", "Request unauthorized.")
        .body(Either::Right(Empty::new()))?)
}
