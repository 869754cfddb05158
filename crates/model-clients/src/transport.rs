//! The HTTP client of remote providers, and one call through it under its limits.
//!
//! The client is set up to do nothing on its own: no retries, no redirects (a key would travel to wherever the
//! answer points), no proxy from the environment. What is sent is sent once, because the effect journal counts
//! calls and a resend below it would be a paid call that nobody sees.

pub(crate) mod draft;
pub(crate) mod endpoint;
mod flight;
mod heard;
mod reader;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use flight::Flight;
pub(crate) use reading::{Assembly, Next};

/// How long an unused connection is kept. Shorter than the minute after which many servers close theirs, so that a
/// call rarely meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(30);

/// A client that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with certificates cannot be read.
    #[error("cannot read the certificates in {path}; give a PEM file that this process may read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The proxy's address is not one.
    #[error("the proxy's address cannot be used; give a URL such as http://proxy.internal:3128")]
    Proxy,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The client cannot be built; usually the system has no root certificates.
    #[error("cannot set up the HTTP client; are the system's root certificates installed?")]
    Client(#[source] reqwest::Error),
}

/// What the client is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientSettings<'a> {
    pub(crate) plain_http: bool,
    pub(crate) proxy: Option<&'a SecretString>,
    pub(crate) ca_file: Option<&'a Path>,
    pub(crate) connect: Duration,
}

/// Builds the client. Reads the certificate file, so it belongs to start-up.
pub(crate) fn client(settings: ClientSettings<'_>) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("temporal-ai-workers/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect)
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy();
    if let Some(proxy) = settings.proxy {
        // The error would show the address, and with it a password.
        builder = builder.proxy(reqwest::Proxy::all(proxy.expose_secret()).map_err(|_| Error::Proxy)?);
    } else if settings.plain_http {
        // No TLS will be spoken, so a machine without root certificates is good enough.
        builder = builder.tls_backend_preconfigured(no_roots()?);
    }
    if let Some(path) = settings.ca_file {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    install_crypto_provider();
    builder.build().map_err(Error::Client)
}

/// reqwest takes the process's crypto provider and panics where there is none. Only ring is compiled in, so it does
/// not matter who installs it first.
fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // The error means that another thread was faster.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
}

fn no_roots() -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, Error> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::CaFile {
        path: path.to_owned(),
        source,
    };
    let pem = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.into()))?;
    if found.is_empty() {
        return Err(failed("no certificate in the file".into()));
    }
    Ok(found)
}
