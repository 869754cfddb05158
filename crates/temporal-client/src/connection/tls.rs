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
use workflow_types::problem::Problems;

/// Names the files that cannot be read, or hold no certificate or key; tells whether all are in order.
pub(super) fn check_files(tls: &ClientConfigTLS, problems: &mut Problems) -> bool {
    let wanted = [
        ("TEMPORAL_TLS_CLIENT_CERT", &tls.client_cert, "CERTIFICATE-----"),
        ("TEMPORAL_TLS_CLIENT_KEY", &tls.client_key, "PRIVATE KEY-----"),
        (
            "TEMPORAL_TLS_SERVER_CA_CERT",
            &tls.server_ca_cert,
            "CERTIFICATE-----",
        ),
    ];
    let mut in_order = true;
    for (variable, source, holds) in wanted {
        if let Some(source) = source
            && let Err((path, message)) = check_file(variable, source, holds)
        {
            problems.at(path, message);
            in_order = false;
        }
    }
    in_order
}

fn check_file(variable: &str, source: &DataSource, holds: &str) -> Result<(), (String, String)> {
    let (path, name, bytes) = match source {
        DataSource::Path(file) => {
            let path = format!("{variable}_PATH");
            match fs::read(file) {
                Ok(bytes) => (path, format!("the file {file}"), bytes),
                Err(error) => return Err((path, format!("the file {file} cannot be read: {error}"))),
            }
        }
        DataSource::Data(bytes) => (format!("{variable}_DATA"), "the value".to_owned(), bytes.clone()),
        _ => return Ok(()),
    };
    if String::from_utf8_lossy(&bytes).contains(holds) {
        Ok(())
    } else {
        Err((path, format!("{name} holds no `{holds}`; PEM is expected")))
    }
}

/// Brings TLS and the address's scheme together, and tries the settings as the connection will use them.
pub(super) fn settle(connection: &mut ConnectionOptions, switched_off: bool, problems: &mut Problems) {
    let secure = connection.target.scheme() == "https";
    if secure && connection.tls_options.is_none() && !switched_off {
        connection.tls_options = Some(TlsOptions::default());
    }
    match (&connection.tls_options, secure) {
        (None, false) => {}
        (Some(tls), true) => check_together(tls, problems),
        (Some(_), false) => problems.at(
            "TEMPORAL_ADDRESS",
            "begins with `http://`, but the API key or the TLS settings switch TLS on; leave the scheme out, or set \
             TEMPORAL_TLS=false",
        ),
        (None, true) => problems.at(
            "TEMPORAL_ADDRESS",
            "begins with `https://`, but TEMPORAL_TLS=false switches TLS off; leave one of them out",
        ),
    }
}

fn check_together(tls: &TlsOptions, problems: &mut Problems) {
    let server = match &tls.server_root_ca_cert {
        Some(certificate) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let server = match &tls.domain {
        Some(name) => server.domain_name(name),
        None => server,
    };
    if let Err(error) = try_out(server) {
        problems.at(
            "TEMPORAL_TLS_SERVER_*",
            format!(
                "the server's certificate could not be verified with these: {error}; check \
                 TEMPORAL_TLS_SERVER_CA_CERT_PATH (without it this machine's own CA certificates are used) and \
                 TEMPORAL_TLS_SERVER_NAME"
            ),
        );
    }
    if let Some(client) = &tls.client_tls_options {
        let identity = Identity::from_pem(&client.client_cert, &client.client_private_key);
        if let Err(error) = try_out(ClientTlsConfig::new().identity(identity)) {
            problems.at(
                "TEMPORAL_TLS_CLIENT_*",
                format!(
                    "the client certificate cannot be used with its key: {error}; give a certificate as PEM and the \
                     unencrypted key that belongs to it"
                ),
            );
        }
    }
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
