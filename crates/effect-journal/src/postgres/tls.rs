//! TLS to the server, by the rustls that the rest of the project speaks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::{PostgresOptions, Tls};

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be used.
    #[error("cannot use the PEM file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system vouches for nobody.
    #[error("this machine has no root certificates; install them, or give postgres.ca_file")]
    NoRoots,
    /// The library refuses.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

/// Prepares TLS for a server that is to be verified, or only encrypted to.
pub(crate) fn connector(options: &PostgresOptions, tls: Tls) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match tls {
        Tls::Verified => builder.with_root_certificates(roots(options.ca_file.as_deref())?),
        // A plain connection never comes to ask.
        Tls::Encrypted | Tls::Plain => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer::new(&provider))),
    };
    let config = match (&options.client_certificate_file, &options.client_key_file) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
            builder.with_client_auth_cert(certificates(certificate)?, key)?
        }
        (Some(_) | None, None) | (None, Some(_)) => builder.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        // What of the system's store cannot be read is left out: most of it is enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() {
            Err(Error::NoRoots)
        } else {
            Ok(roots)
        };
    };
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(failed(path))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_file_iter(path).map_err(failed(path))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(failed(path))?;
    if found.is_empty() {
        return Err(failed(path)("no certificate in the file"));
    }
    Ok(found)
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(path: &Path) -> impl Fn(E) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        path: path.clone(),
        source: source.into(),
    }
}

/// Takes whoever answers for the server, which is what `sslmode=require` means to every client of PostgreSQL.
#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl AnyServer {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
