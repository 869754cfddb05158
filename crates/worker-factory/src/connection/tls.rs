//! TLS settings, checked before anything connects.
//!
//! The SDK's loader passes certificates on as bytes, so a file that is missing is an error without a name, and one that
//! holds something else, or the key of another certificate, shows only as a connection that fails for ever. And the
//! scheme of the address wins over everything in silence: with `http://` the API key and all payloads would cross in
//! plain text although TLS is on. All of that is a mistake in settings, so it is found with the other ones.

use std::fs;

use temporalio_client::{
    ConnectionOptions, TlsOptions,
    tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Error as TransportError, Identity},
};
use temporalio_common::envconfig::{ClientConfigTLS, DataSource};

use crate::config::Problem;

/// Names the files that cannot be read, or hold no certificate or key.
pub(super) fn check_files(tls: &ClientConfigTLS) -> Vec<Problem> {
    [
        ("TEMPORAL_TLS_CLIENT_CERT", &tls.client_cert, "CERTIFICATE-----"),
        ("TEMPORAL_TLS_CLIENT_KEY", &tls.client_key, "PRIVATE KEY-----"),
        (
            "TEMPORAL_TLS_SERVER_CA_CERT",
            &tls.server_ca_cert,
            "CERTIFICATE-----",
        ),
    ]
    .into_iter()
    .filter_map(|(variable, source, holds)| check_file(variable, source.as_ref()?, holds))
    .collect()
}

fn check_file(variable: &str, source: &DataSource, holds: &str) -> Option<Problem> {
    let (key, name, bytes) = match source {
        DataSource::Path(path) => {
            let key = format!("{variable}_PATH");
            match fs::read(path) {
                Ok(bytes) => (key, format!("the file {path}"), bytes),
                Err(error) => {
                    return Some(Problem::new(
                        key,
                        format!("the file {path} cannot be read: {error}"),
                    ));
                }
            }
        }
        DataSource::Data(bytes) => (format!("{variable}_DATA"), "the value".to_owned(), bytes.clone()),
        _ => return None,
    };
    let found = String::from_utf8_lossy(&bytes).contains(holds);
    (!found).then(|| Problem::new(key, format!("{name} holds no `{holds}`; PEM is expected")))
}

/// Brings TLS and the address's scheme together, and tries the settings as the connection will use them.
pub(super) fn settle(connection: &mut ConnectionOptions, switched_off: bool) -> Vec<Problem> {
    let secure = connection.target.scheme() == "https";
    if secure && connection.tls_options.is_none() && !switched_off {
        connection.tls_options = Some(TlsOptions::default());
    }
    match (&connection.tls_options, secure) {
        (None, false) => Vec::new(),
        (Some(tls), true) => check_together(tls),
        (Some(_), false) => vec![Problem::new(
            "TEMPORAL_ADDRESS",
            "begins with `http://`, but the API key or the TLS settings switch TLS on; leave the scheme out, or set \
             TEMPORAL_TLS=false",
        )],
        (None, true) => vec![Problem::new(
            "TEMPORAL_ADDRESS",
            "begins with `https://`, but TEMPORAL_TLS=false switches TLS off; leave one of them out",
        )],
    }
}

fn check_together(tls: &TlsOptions) -> Vec<Problem> {
    let server = match &tls.server_root_ca_cert {
        Some(certificate) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let server = match &tls.domain {
        Some(name) => server.domain_name(name),
        None => server,
    };
    let mut problems = Vec::new();
    if let Err(error) = try_out(server) {
        problems.push(Problem::new(
            "TEMPORAL_TLS_SERVER_*",
            format!(
                "the server's certificate could not be verified with these: {error}; check \
                 TEMPORAL_TLS_SERVER_CA_CERT_PATH (without it this machine's own CA certificates are used) and \
                 TEMPORAL_TLS_SERVER_NAME"
            ),
        ));
    }
    if let Some(client) = &tls.client_tls_options {
        let identity = Identity::from_pem(&client.client_cert, &client.client_private_key);
        if let Err(error) = try_out(ClientTlsConfig::new().identity(identity)) {
            problems.push(Problem::new(
                "TEMPORAL_TLS_CLIENT_*",
                format!(
                    "the client certificate cannot be used with its key: {error}; give a certificate as PEM and the \
                     unencrypted key that belongs to it"
                ),
            ));
        }
    }
    problems
}

/// Builds what a connection would be made with; the host is never asked.
fn try_out(settings: ClientTlsConfig) -> Result<(), String> {
    match Endpoint::from_static("https://localhost").tls_config(settings) {
        Ok(_) => Ok(()),
        Err(error) => Err(innermost(&error)),
    }
}

fn innermost(error: &TransportError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
