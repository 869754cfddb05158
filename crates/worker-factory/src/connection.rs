//! The connection to Temporal: resolved once, retried at start, then left to the SDK.
//!
//! Address, namespace, credentials and TLS come from Temporal's own `TEMPORAL_*` variables and profile
//! file and from nowhere else, so that a worker, the `temporal` CLI and a worker in another language on
//! the same machine mean the same server. Our options say only how to connect.
//!
//! A worker that starts before its server is normal (both come up in one `docker compose`), so the first
//! connection is retried for a bounded time with a line per attempt. A wrong credential, certificate or name
//! is not retried: waiting does not mend it ([`obstacle`] tells the two apart).

mod address;
pub mod api_key;
pub mod namespace;
mod obstacle;
pub mod profile;
mod tls;

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use temporalio_client::{Connection, errors::ClientConnectError};
use tokio::time::{Instant, sleep, timeout};

use obstacle::Obstacle;
pub use profile::{Deployment, Profile};

use crate::{
    config::{Problem, Validate},
    fields,
};

/// The least time of an attempt: the last one begins when the time is up.
const LAST_ATTEMPT: Duration = Duration::from_millis(500);

/// How to connect; section `temporal`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The profile file.
    #[schemars(extend(
        "format" = "path",
        "x-unset" = "`TEMPORAL_CONFIG_FILE`, or Temporal's default place",
        "examples" = ["/etc/temporal/temporal.toml"]
    ))]
    pub profile_file: Option<PathBuf>,
    /// The profile in that file.
    #[schemars(extend("x-unset" = "`TEMPORAL_PROFILE`, or the profile `default`"))]
    pub profile: Option<String>,
    /// A file with the API key, read again when it changes.
    #[schemars(extend(
        "format" = "path",
        "x-unset" = "`TEMPORAL_API_KEY`, the profile's key, or none",
        "examples" = ["/run/secrets/temporal-key"]
    ))]
    pub api_key_file: Option<PathBuf>,
    /// How often the API key file is looked at, in seconds.
    #[schemars(range(min = 1))]
    pub api_key_refresh_seconds: u32,
    /// How long the first connection is tried before the process gives up, in seconds.
    #[schemars(range(min = 1))]
    pub connect_timeout_seconds: u32,
    /// How long one attempt may take, in seconds.
    #[schemars(range(min = 1))]
    pub attempt_timeout_seconds: u32,
    /// The compression of requests and responses.
    pub grpc_compression: Compression,
}

/// The compression of gRPC messages.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
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
    /// The server refused, or its certificate was refused, and trying again does not change that.
    #[error("no connection to the Temporal server at {address}: {reason}")]
    Refused {
        /// The address that was tried.
        address: String,
        /// What was said, and what to do.
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
    if profile.connection.api_key.is_some() && profile.connection.tls_options.is_none() {
        tracing::warn!(
            { fields::ADDRESS } = address,
            "the API key is sent in plain text, because TLS is switched off"
        );
    }
    let started = Instant::now();
    let patience = Duration::from_secs(options.connect_timeout_seconds.into());
    let attempt_limit = Duration::from_secs(options.attempt_timeout_seconds.into());
    let mut pause = Duration::from_millis(250);
    loop {
        let left = patience.saturating_sub(started.elapsed());
        let limit = attempt_limit.min(left.max(LAST_ATTEMPT));
        let attempt = timeout(limit, Connection::connect(profile.connection.clone())).await;
        let reason = match attempt {
            Ok(Ok(connection)) => {
                tracing::info!({ fields::ADDRESS } = address, "connected to Temporal");
                return Ok(connection);
            }
            Ok(Err(error)) => match obstacle::of(&error, &profile.connection) {
                Obstacle::Lasting(reason) => {
                    return Err(Error::Refused {
                        address,
                        reason,
                        source: Box::new(error),
                    });
                }
                Obstacle::Passing(reason) | Obstacle::Broken(reason) => reason,
            },
            Err(_) => format!("no answer within {limit:?}"),
        };
        let waited = started.elapsed();
        if waited >= patience {
            return Err(Error::Unreachable {
                address,
                waited,
                start: start_command,
                reason,
            });
        }
        let pause_now = pause.min(patience.saturating_sub(waited));
        tracing::warn!(
            { fields::ADDRESS } = address,
            { fields::ERROR } = reason,
            "no Temporal server yet; trying again in {pause_now:?}"
        );
        sleep(pause_now).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

#[cfg(test)]
mod tests;
