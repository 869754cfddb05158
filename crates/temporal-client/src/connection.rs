//! The connection of a tool: resolved like every other Temporal program's, tried once, explained when it fails.
//!
//! Address, namespace, TLS and API key come from Temporal's own `TEMPORAL_*` variables and profile file through the
//! SDK's loader, so that this client, the `temporal` CLI and a worker on the same machine mean the same server. The
//! options here only override what a person gives on a command line. A worker waits for its server to come up; a
//! person who typed a command wants to know at once, so there is one attempt with a short limit.

use std::{collections::HashMap, path::Path, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use temporalio_client::{
    Connection, ConnectionOptions, GrpcCompression,
    errors::ClientConnectError,
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

/// How to connect; whatever is unset comes from `TEMPORAL_*` and the profile file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// `host:port`, or a URL with `http` or `https`; default `localhost:7233`.
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
    /// The server answered with a refusal.
    #[error("the Temporal server at {address} refused the connection: {reason}")]
    Refused {
        /// The address that was tried.
        address: String,
        /// What the server said, and what to do.
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
            if profile
                .tls
                .as_ref()
                .is_some_and(|tls| tls.disable_host_verification)
            {
                problems.at(
                    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
                    "is not supported by this SDK; set TEMPORAL_TLS_SERVER_CA_CERT_PATH or \
                     TEMPORAL_TLS_SERVER_NAME",
                );
            }
            profile.address = options.address.clone().or(profile.address.take());
            profile.api_key = profile.api_key.take().filter(|key| !key.is_empty());
            let namespace = options.namespace.clone().or_else(|| profile.namespace.clone());
            ConnectionOptions::try_from(profile)
                .map_err(|error| problems.at("TEMPORAL_ADDRESS or TEMPORAL_TLS_*", error.to_string()))
                .ok()
                .map(|connection| (connection, namespace.unwrap_or_else(|| "default".to_owned())))
        });
        let Some((mut connection, namespace)) = connection.filter(|_| problems.is_empty()) else {
            return Err(Error::Settings(problems));
        };
        let patience = Duration::from_secs(options.connect_timeout_seconds.max(1).into());
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

    /// Connects once and checks that the namespace exists.
    ///
    /// # Errors
    ///
    /// What is in the way, with what to do.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let address = self.address();
        let connection = match timeout(self.patience, Connection::connect(self.connection.clone())).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(explain(address, &error)),
            Err(_) => {
                let reason = format!("no answer within {:?}", self.patience);
                return Err(Error::Unreachable { address, reason });
            }
        };
        self.check_namespace(&connection).await?;
        Ok(connection)
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
                reason: format!("{:?}: {}", status.code(), status.message()),
            }),
            Err(_) => Err(Error::Unreachable {
                address,
                reason: format!("connected, but no answer within {:?}", self.patience),
            }),
        }
    }
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
    load_client_config_profile(request, Some(env)).map_err(|error| error.to_string())
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

fn explain(address: String, error: &ClientConnectError) -> Error {
    if let ClientConnectError::SystemInfoCallError(status) = error
        && matches!(
            status.code(),
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented
        )
    {
        let advice = if status.code() == Code::Unimplemented {
            "something else than Temporal listens there; check TEMPORAL_ADDRESS"
        } else {
            "check TEMPORAL_API_KEY, the client certificate and the namespace's permissions"
        };
        let reason = format!("{:?}: {}; {advice}", status.code(), status.message());
        return Error::Refused { address, reason };
    }
    let mut reason = innermost(error);
    if reason.contains("InvalidContentType") {
        reason.push_str("; the server speaks plain text while TLS is on: set TEMPORAL_TLS=false");
    }
    Error::Unreachable { address, reason }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        // An empty profile file keeps the machine's own out of the test.
        let mut env = HashMap::from([("TEMPORAL_CONFIG_FILE".to_owned(), "/dev/null".to_owned())]);
        env.extend(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        env
    }

    fn resolve(options: &Options, pairs: &[(&str, &str)]) -> Result<Target, Problems> {
        Target::resolve(options, &env(pairs)).map_err(|error| {
            let Error::Settings(problems) = error else {
                panic!("{error}")
            };
            problems
        })
    }

    #[test]
    fn nothing_set_means_the_local_default() {
        let target = resolve(&Options::default(), &[]).ok().unwrap();
        assert_eq!(target.address(), "localhost:7233");
        assert_eq!(target.namespace(), "default");
    }

    #[test]
    fn options_overrule_variables() {
        let options = Options {
            address: Some("127.0.0.1:9".into()),
            ..Options::default()
        };
        let target = resolve(
            &options,
            &[("TEMPORAL_ADDRESS", "x:1"), ("TEMPORAL_NAMESPACE", "team")],
        )
        .ok()
        .unwrap();
        assert_eq!(target.address(), "127.0.0.1:9");
        assert_eq!(target.namespace(), "team");
    }

    #[test]
    fn an_api_key_never_shows() {
        let target = resolve(
            &Options::default(),
            &[("TEMPORAL_API_KEY", "k-123"), ("TEMPORAL_ADDRESS", "cloud:7233")],
        )
        .ok()
        .unwrap();
        assert_eq!(target.address(), "cloud:7233");
        assert_eq!(
            target.connection.target.scheme(),
            "https",
            "a key switches TLS on"
        );
    }

    #[test]
    fn every_bad_setting_is_named() {
        let options = Options {
            profile_file: Some("/nowhere/temporal.toml".into()),
            ..Options::default()
        };
        let Err(problems) = resolve(&options, &[("TEMPORAL_TLS", "maybe")]) else {
            panic!("was taken")
        };
        let paths: Vec<_> = problems
            .into_vec()
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(paths, ["profile_file", "TEMPORAL_TLS"]);
    }

    #[tokio::test]
    async fn no_server_says_how_to_get_one() {
        // Port 1 is reserved and nothing listens there.
        let options = Options {
            address: Some("127.0.0.1:1".into()),
            ..Options::default()
        };
        let error = resolve(&options, &[])
            .ok()
            .unwrap()
            .connect()
            .await
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(
            text.starts_with("no Temporal server at 127.0.0.1:1: start one with `pipelinectl dev`"),
            "{text}"
        );
    }
}
