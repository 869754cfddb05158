//! The connection to Temporal: resolved once, retried at start, then left to the SDK.
//!
//! Address, namespace, credentials and TLS come from Temporal's own `TEMPORAL_*` variables and profile
//! file and from nowhere else, so that a worker, the `temporal` CLI and a worker in another language on
//! the same machine mean the same server. Our options say only how to connect.
//!
//! A worker that starts before its server is normal (both come up in one `docker compose`), so the first
//! connection is retried for a bounded time with a line per attempt. A wrong credential is not retried:
//! waiting does not mend it.

pub mod api_key;
pub mod namespace;
pub mod profile;

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use temporalio_client::{Connection, errors::ClientConnectError, tonic::Code};
use tokio::time::{Instant, sleep, timeout};

pub use profile::{Deployment, Profile};

use crate::{
    config::{Problem, Validate},
    fields,
};

/// How to connect; section `temporal`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The profile file, instead of `TEMPORAL_CONFIG_FILE` or Temporal's default place.
    pub profile_file: Option<PathBuf>,
    /// The profile in that file, instead of `TEMPORAL_PROFILE`.
    pub profile: Option<String>,
    /// A file with the API key, read again when it changes; instead of `TEMPORAL_API_KEY`.
    pub api_key_file: Option<PathBuf>,
    /// How often the API key file is looked at, in seconds.
    pub api_key_refresh_seconds: u32,
    /// How long the first connection is tried before the process gives up, in seconds.
    pub connect_timeout_seconds: u32,
    /// How long one attempt may take, in seconds.
    pub attempt_timeout_seconds: u32,
    /// The compression of requests and responses.
    pub grpc_compression: Compression,
}

/// The compression of gRPC messages.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None: our payloads are small references, and the processor time buys nothing on a local network.
    #[default]
    None,
    /// Gzip: for a server across a slow or metered link.
    Gzip,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile_file: None,
            profile: None,
            api_key_file: None,
            api_key_refresh_seconds: 10,
            connect_timeout_seconds: 60,
            attempt_timeout_seconds: 10,
            grpc_compression: Compression::None,
        }
    }
}

impl Validate for Options {
    fn validate(&self) -> Vec<Problem> {
        [
            ("api_key_refresh_seconds", self.api_key_refresh_seconds),
            ("connect_timeout_seconds", self.connect_timeout_seconds),
            ("attempt_timeout_seconds", self.attempt_timeout_seconds),
        ]
        .into_iter()
        .filter(|(_, value)| *value == 0)
        .map(|(key, _)| Problem::new(key, "must be at least 1"))
        .collect()
    }
}

/// Why there is no usable connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answered in time.
    #[error(
        "no Temporal server at {address} after {waited:?}: start one with `{start}` or set TEMPORAL_ADDRESS ({reason})"
    )]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// How long it was tried.
        waited: Duration,
        /// The command that starts a server on this machine.
        start: &'static str,
        /// The last attempt's failure.
        reason: String,
    },
    /// The server answered with a refusal that trying again does not change.
    #[error("the Temporal server at {address} refused the connection: {reason}")]
    Refused {
        /// The address that was tried.
        address: String,
        /// What the server said, and what to do.
        reason: String,
        /// The SDK's error.
        #[source]
        source: Box<ClientConnectError>,
    },
    /// The namespace is not there or may not be described.
    #[error(transparent)]
    Namespace(#[from] namespace::Error),
}

/// Connects, trying again until the options' time is up.
///
/// # Errors
///
/// Returns [`Error::Refused`] at once where trying again is useless, else [`Error::Unreachable`].
pub async fn connect(
    profile: &Profile,
    options: &Options,
    start_command: &'static str,
) -> Result<Connection, Error> {
    let address = profile.address();
    let started = Instant::now();
    let patience = Duration::from_secs(options.connect_timeout_seconds.into());
    let attempt_limit = Duration::from_secs(options.attempt_timeout_seconds.into());
    let mut pause = Duration::from_millis(250);
    loop {
        let attempt = timeout(attempt_limit, Connection::connect(profile.connection.clone())).await;
        let reason = match attempt {
            Ok(Ok(connection)) => {
                tracing::info!({ fields::ADDRESS } = address, "connected to Temporal");
                return Ok(connection);
            }
            Ok(Err(error)) if is_final(&error) => {
                let reason = refusal(&error);
                return Err(Error::Refused {
                    address,
                    reason,
                    source: Box::new(error),
                });
            }
            Ok(Err(error)) => brief(&error),
            Err(_) => format!("no answer within {attempt_limit:?}"),
        };
        let waited = started.elapsed();
        if waited + pause >= patience {
            return Err(Error::Unreachable {
                address,
                waited,
                start: start_command,
                reason,
            });
        }
        tracing::warn!(
            { fields::ADDRESS } = address,
            { fields::ERROR } = reason,
            "no Temporal server yet; trying again in {pause:?}"
        );
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Tells whether trying again cannot help.
fn is_final(error: &ClientConnectError) -> bool {
    if let ClientConnectError::SystemInfoCallError(status) = error {
        return matches!(
            status.code(),
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented
        );
    }
    matches!(
        error,
        ClientConnectError::InvalidUri(_)
            | ClientConnectError::InvalidHeaders(_)
            | ClientConnectError::InvalidConfig(_)
    )
}

fn refusal(error: &ClientConnectError) -> String {
    if let ClientConnectError::SystemInfoCallError(status) = error {
        let advice = if status.code() == Code::Unimplemented {
            "something else than Temporal listens there; check TEMPORAL_ADDRESS"
        } else {
            "check TEMPORAL_API_KEY, the client certificate and the namespace's permissions"
        };
        return format!("{}: {}; {advice}", status.code(), status.message());
    }
    error.to_string()
}

/// The innermost cause in one line, with the hint for the one mistake that its text does not explain.
fn brief(error: &ClientConnectError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = if let ClientConnectError::SystemInfoCallError(status) = error {
        let mut source = std::error::Error::source(status);
        let mut innermost = status.message().to_owned();
        while let Some(inner) = source {
            innermost = inner.to_string();
            source = inner.source();
        }
        innermost
    } else {
        cause.to_string()
    };
    if text.contains("InvalidContentType") {
        return format!("{text}; the server speaks plain text while TLS is on: set TEMPORAL_TLS=false");
    }
    text
}

#[cfg(test)]
mod tests;
