//! The connection of a tool: resolved like every other Temporal program's, tried once, explained when it fails.
//!
//! Address, namespace, TLS and API key come from Temporal's own `TEMPORAL_*` variables and profile file through the
//! SDK's loader, so that this client, the `temporal` CLI and a worker on the same machine mean the same server. The
//! options here only override what a person gives on a command line. A worker waits for its server to come up; a
//! person who typed a command wants to know at once, so there is one attempt with a short limit.

mod address;
mod obstacle;
mod tls;

use std::{collections::HashMap, path::Path, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use temporalio_client::{
    Connection, ConnectionOptions, GrpcCompression,
    grpc::WorkflowService,
    tonic::{Code, Request},
};
use temporalio_common::{
    envconfig::{
        ClientConfigProfile, DataSource, LoadClientConfigProfileOptions, load_client_config_profile,
    },
    protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest,
};
use tokio::time::timeout;
use workflow_types::problem::Problems;

use obstacle::Obstacle;

/// Where a server of this machine listens.
const DEFAULT_ADDRESS: &str = "localhost:7233";

/// Attempts where the connection breaks before the server's reason is read.
const ATTEMPTS_TO_LEARN_WHY: u32 = 4;

/// How to connect; whatever is unset comes from `TEMPORAL_*` and the profile file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `host:port`, with `http://` or `https://` before it or without; default `localhost:7233`.
    pub address: Option<String>,
    /// The namespace; default `default`.
    pub namespace: Option<String>,
    /// The profile in the profile file, instead of `TEMPORAL_PROFILE`.
    pub profile: Option<String>,
    /// The profile file, instead of `TEMPORAL_CONFIG_FILE` or Temporal's default place.
    pub profile_file: Option<PathBuf>,
    /// The name under which the server records what this program does.
    pub identity: String,
    /// How long to wait for the server, in seconds.
    pub connect_timeout_seconds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: None,
            namespace: None,
            profile: None,
            profile_file: None,
            identity: format!("temporal-client/{}", std::process::id()),
            connect_timeout_seconds: 5,
        }
    }
}

/// Why there is no usable connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The variables or the profile file can't be used.
    #[error("the connection settings cannot be used: {0}")]
    Settings(Problems),
    /// Nothing answered in time.
    #[error(
        "no Temporal server at {address}: start one with `pipelinectl dev`, or set TEMPORAL_ADDRESS ({reason})"
    )]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the attempt ended with.
        reason: String,
    },
    /// The server refused, or its certificate was refused.
    #[error("no connection to the Temporal server at {address}: {reason}")]
    Refused {
        /// The address that was tried.
        address: String,
        /// What was said, and what to do.
        reason: String,
    },
    /// The namespace does not exist.
    #[error("the server at {address} has no namespace `{namespace}`: create it, or set TEMPORAL_NAMESPACE")]
    NamespaceMissing {
        /// The server's address.
        address: String,
        /// The namespace.
        namespace: String,
    },
}

/// What variables, profile file and options come to.
#[derive(Clone)]
pub struct Target {
    // Not `Debug`: the SDK's options may hold an API key.
    connection: ConnectionOptions,
    namespace: String,
    patience: Duration,
}

impl Target {
    /// Resolves the options over the given environment.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`] with every problem found.
    pub fn resolve(options: &Options, env: &HashMap<String, String>) -> Result<Self, Error> {
        let mut problems = check(options, env);
        let profile = load(options, env)
            .map_err(|message| problems.at("profile", message))
            .ok();
        let connection = profile.and_then(|mut profile| {
            // The SDK's own default has the scheme `http`, which would undo TLS.
            let key = address_key(options, env);
            let address = options.address.clone().or(profile.address.take());
            let address = address.filter(|address| !address.is_empty());
            let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
            if let Some(message) = address::mistake(&address) {
                problems.at(key, message);
                return None;
            }
            profile.address = Some(address);
            profile.api_key = checked_key(profile.api_key.take(), &mut problems);
            let namespace = options.namespace.clone().or_else(|| profile.namespace.clone());
            let connection = connection(profile, &mut problems)?;
            Some((connection, namespace.unwrap_or_else(|| "default".to_owned())))
        });
        let Some((mut connection, namespace)) = connection.filter(|_| problems.is_empty()) else {
            return Err(Error::Settings(problems));
        };
        let patience = Duration::from_secs(options.connect_timeout_seconds.max(1).into());
        name_namespace(&mut connection, &namespace);
        connection.identity.clone_from(&options.identity);
        connection.connect_timeout = Some(patience);
        // A tool makes few calls: spreading them over addresses is worth less than failing at once.
        connection.dns_load_balancing = None;
        connection.grpc_compression = GrpcCompression::None;
        Ok(Self {
            connection,
            namespace,
            patience,
        })
    }

    /// Gives `host:port`, without credentials.
    pub fn address(&self) -> String {
        let target = &self.connection.target;
        match (target.host_str(), target.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => "an address without a host".to_owned(),
        }
    }

    /// Gives the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Connects and checks that the namespace exists.
    ///
    /// # Errors
    ///
    /// What is in the way, with what to do.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let address = self.address();
        let connection = match timeout(self.patience, self.connect_once_or_learn_why()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(Obstacle::Lasting(reason))) => return Err(Error::Refused { address, reason }),
            Ok(Err(Obstacle::Passing(reason) | Obstacle::Broken(reason))) => {
                return Err(Error::Unreachable { address, reason });
            }
            Err(_) => {
                let reason = format!("no answer within {:?}", self.patience);
                return Err(Error::Unreachable { address, reason });
            }
        };
        self.check_namespace(&connection).await?;
        Ok(connection)
    }

    /// Tries again only where the reason of a refusal may have been lost.
    async fn connect_once_or_learn_why(&self) -> Result<Connection, Obstacle> {
        let mut left = ATTEMPTS_TO_LEARN_WHY;
        loop {
            let error = match Connection::connect(self.connection.clone()).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            left -= 1;
            let obstacle = obstacle::of(&error, &self.connection);
            if left == 0 || !matches!(obstacle, Obstacle::Broken(_)) {
                return Err(obstacle);
            }
        }
    }

    /// A missing namespace and a missing run are the same gRPC code later on; here they can still be told apart.
    async fn check_namespace(&self, connection: &Connection) -> Result<(), Error> {
        let mut service = connection.workflow_service();
        let request = DescribeNamespaceRequest {
            namespace: self.namespace.clone(),
            ..DescribeNamespaceRequest::default()
        };
        let call = WorkflowService::describe_namespace(&mut *service, Request::new(request));
        let address = self.address();
        match timeout(self.patience, call).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if status.code() == Code::NotFound => Err(Error::NamespaceMissing {
                address,
                namespace: self.namespace.clone(),
            }),
            // Who may start workflows need not be allowed to look at the namespace.
            Ok(Err(status)) if status.code() == Code::PermissionDenied => Ok(()),
            Ok(Err(status)) => Err(Error::Refused {
                address,
                reason: obstacle::refusal(&status, &self.connection)
                    .unwrap_or_else(|| format!("{} ({:?})", status.message(), status.code())),
            }),
            Err(_) => Err(Error::Unreachable {
                address,
                reason: format!("connected, but no answer within {:?}", self.patience),
            }),
        }
    }
}

/// Names what the address was set by, for a message about it.
fn address_key(options: &Options, env: &HashMap<String, String>) -> &'static str {
    if options.address.is_some() {
        "address"
    } else if env
        .get("TEMPORAL_ADDRESS")
        .is_some_and(|address| !address.is_empty())
    {
        "TEMPORAL_ADDRESS"
    } else {
        "the profile's key `address`"
    }
}

/// Turns the profile into the SDK's options, with TLS settled.
fn connection(profile: ClientConfigProfile, problems: &mut Problems) -> Option<ConnectionOptions> {
    let mut switched_off = false;
    if let Some(settings) = &profile.tls {
        if settings.disable_host_verification {
            problems.at(
                "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
                "is not supported by this SDK; set TEMPORAL_TLS_SERVER_CA_CERT_PATH or TEMPORAL_TLS_SERVER_NAME",
            );
        }
        switched_off = settings.disabled == Some(true);
        if !switched_off && !tls::check_files(settings, problems) {
            return None;
        }
    }
    match ConnectionOptions::try_from(profile) {
        Ok(mut connection) => {
            tls::settle(&mut connection, switched_off, problems);
            Some(connection)
        }
        Err(error) => {
            problems.at("TEMPORAL_ADDRESS or TEMPORAL_TLS_*", error.to_string());
            None
        }
    }
}

/// Names the namespace in every request: a server that many share finds it by this header, which the SDK leaves out of
/// the calls of an operator.
fn name_namespace(connection: &mut ConnectionOptions, namespace: &str) {
    if !namespace.chars().all(|character| character.is_ascii_graphic()) {
        return;
    }
    let headers = connection.headers.get_or_insert_default();
    let named = headers.entry("temporal-namespace".to_owned());
    named.or_insert_with(|| namespace.to_owned());
}

/// The SDK sends no key at all in place of one that no header can carry, such as one with a newline.
fn checked_key(key: Option<String>, problems: &mut Problems) -> Option<String> {
    let key = key?.trim().to_owned();
    if !key
        .chars()
        .all(|character| character.is_ascii_graphic() || character == ' ')
    {
        problems.at(
            "TEMPORAL_API_KEY",
            "holds a character that no header can carry; set it to the key as it was issued",
        );
    }
    (!key.is_empty()).then_some(key)
}

fn load(options: &Options, env: &HashMap<String, String>) -> Result<ClientConfigProfile, String> {
    let source = options
        .profile_file
        .as_ref()
        .map(|path| DataSource::Path(path.display().to_string()));
    let request = LoadClientConfigProfileOptions::builder()
        .maybe_config_source(source)
        .maybe_config_file_profile(options.profile.clone())
        .build();
    load_client_config_profile(request, Some(env)).map_err(|error| without_quotes(&error.to_string()))
}

/// Leaves out the lines with which an error quotes the profile file: the API key may stand in them.
fn without_quotes(error: &str) -> String {
    let lines = error.lines().map(str::trim);
    let said: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('|') && !line.contains(" |"))
        .collect();
    said.join(": ")
}

/// The loader takes these in silence.
fn check(options: &Options, env: &HashMap<String, String>) -> Problems {
    let mut problems = Problems::new();
    let named = match &options.profile_file {
        Some(path) => Some(("profile_file", path.clone())),
        None => env
            .get("TEMPORAL_CONFIG_FILE")
            .filter(|path| !path.is_empty())
            .map(|path| ("TEMPORAL_CONFIG_FILE", PathBuf::from(path))),
    };
    if let Some((key, path)) = named.filter(|(_, path)| !Path::exists(path)) {
        problems.at(key, format!("the profile file {} does not exist", path.display()));
    }
    for name in ["TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"] {
        if let Some(value) = env.get(name)
            && !["true", "false", "1", "0"].contains(&value.to_lowercase().as_str())
        {
            problems.at(name, format!("`{value}` is neither `true` nor `false`"));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
