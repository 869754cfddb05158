//! What stands between this process and the server: said in one line with what to do, and whether waiting may help.
//!
//! The SDK hands over a chain of errors whose outer texts are all "transport error"; only the innermost one says
//! anything, and what it says is TLS's own language. A certificate that is refused is told from a server that is not up
//! yet by that text: the types behind it belong to a TLS library that no crate above the SDK sees. The texts are held
//! by the tests that shake hands in earnest.

use std::io::{self, ErrorKind};

use temporalio_client::{
    ConnectionOptions,
    errors::ClientConnectError,
    tonic::{Code, Status},
};

/// Why an attempt to connect failed, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It may be gone at the next attempt.
    Passing(String),
    /// The connection was made and broke; a reason that the server gave may have been lost, and is read at another
    /// attempt.
    Broken(String),
    /// It stays until somebody changes a setting, a certificate or a key.
    Lasting(String),
}

/// A part of a text of the TLS library, and what to do about what it says; the first that is found counts.
const TLS_SIGNS: &[(&str, &str)] = &[
    (
        "certificate: UnknownIssuer",
        "the server's certificate is of a CA that is not trusted here: set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the \
         certificate of that CA",
    ),
    (
        "not valid for name",
        "set TEMPORAL_TLS_SERVER_NAME to a name that the server's certificate has",
    ),
    (
        "invalid peer certificate",
        "the server's certificate cannot be used: have it renewed, and check this machine's clock",
    ),
    (
        "alert: CertificateRequired",
        "the server demands a client certificate: set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH",
    ),
    (
        "alert: CertificateExpired",
        "the client certificate has expired: renew what TEMPORAL_TLS_CLIENT_CERT_PATH names",
    ),
    (
        "alert: UnknownCA",
        "the server does not trust the CA of the client certificate: set TEMPORAL_TLS_CLIENT_CERT_PATH and \
         TEMPORAL_TLS_CLIENT_KEY_PATH to a certificate of a CA that it trusts",
    ),
    (
        "received fatal alert",
        "the server refused the TLS handshake: check TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH and \
         TEMPORAL_TLS_SERVER_NAME",
    ),
    (
        "InvalidContentType",
        "the server speaks plain text while TLS is on: set TEMPORAL_TLS=false, or correct TEMPORAL_ADDRESS",
    ),
];

/// What an attempt fails with that reached nobody.
const UNREACHED: &[ErrorKind] = &[
    ErrorKind::ConnectionRefused,
    ErrorKind::TimedOut,
    ErrorKind::HostUnreachable,
    ErrorKind::NetworkUnreachable,
    ErrorKind::NetworkDown,
    ErrorKind::AddrNotAvailable,
];

/// Tells what an attempt failed with.
pub(super) fn of(error: &ClientConnectError, options: &ConnectionOptions) -> Obstacle {
    if let ClientConnectError::SystemInfoCallError(status) = error
        && let Some(reason) = refusal(status, options)
    {
        return Obstacle::Lasting(reason);
    }
    if matches!(
        error,
        ClientConnectError::InvalidUri(_)
            | ClientConnectError::InvalidHeaders(_)
            | ClientConnectError::InvalidConfig(_)
    ) {
        return Obstacle::Lasting(error.to_string());
    }
    let text = innermost(error);
    if let Some((_, advice)) = TLS_SIGNS.iter().find(|(sign, _)| text.contains(sign)) {
        return Obstacle::Lasting(format!("{text}; {advice}"));
    }
    if is_broken(error) {
        return Obstacle::Broken(format!("{text}; {}", guess(options)));
    }
    Obstacle::Passing(text)
}

/// Says what to do about an answer that asking again does not change; nothing for any other answer.
pub(super) fn refusal(status: &Status, options: &ConnectionOptions) -> Option<String> {
    let advice = match status.code() {
        Code::Unimplemented => "something else than Temporal listens there; check TEMPORAL_ADDRESS",
        Code::Unauthenticated | Code::PermissionDenied if options.api_key.is_some() => {
            "check the API key (TEMPORAL_API_KEY or temporal.api_key_file) and that it may use this namespace"
        }
        Code::Unauthenticated | Code::PermissionDenied if has_certificate(options) => {
            "check that the client certificate may use this namespace, or set TEMPORAL_API_KEY if the server wants a key"
        }
        Code::Unauthenticated | Code::PermissionDenied => {
            "the server wants to know who asks: set TEMPORAL_API_KEY, or TEMPORAL_TLS_CLIENT_CERT_PATH and \
             TEMPORAL_TLS_CLIENT_KEY_PATH"
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => return None,
    };
    let said = status.message().trim_end_matches('.');
    Some(format!("{said} ({:?}); {advice}", status.code()))
}

/// Tells whether the transport failed under the first call, although somebody had been reached.
fn is_broken(error: &ClientConnectError) -> bool {
    let ClientConnectError::SystemInfoCallError(status) = error else {
        return false;
    };
    let mut source = std::error::Error::source(status);
    let broken = source.is_some();
    while let Some(cause) = source {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind.is_some_and(|kind| UNREACHED.contains(&kind)) {
            return false;
        }
        source = cause.source();
    }
    broken
}

/// What a connection that breaks in its first moments most often means. The client's part of a handshake ends before the
/// server has looked at the client certificate, so its refusal meets the first request and may be lost there.
fn guess(options: &ConnectionOptions) -> &'static str {
    if options.tls_options.is_none() {
        "if the server wants TLS, set TEMPORAL_TLS=true"
    } else if has_certificate(options) {
        "if the server does not trust the CA of the client certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH and \
         TEMPORAL_TLS_CLIENT_KEY_PATH to a certificate of a CA that it trusts"
    } else {
        "if the server demands a client certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH and \
         TEMPORAL_TLS_CLIENT_KEY_PATH"
    }
}

fn has_certificate(options: &ConnectionOptions) -> bool {
    options
        .tls_options
        .as_ref()
        .is_some_and(|tls| tls.client_tls_options.is_some())
}

/// The innermost cause in one line.
fn innermost(error: &ClientConnectError) -> String {
    let (mut text, mut source) = if let ClientConnectError::SystemInfoCallError(status) = error {
        (status.message().to_owned(), std::error::Error::source(status))
    } else {
        (error.to_string(), std::error::Error::source(error))
    };
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}
