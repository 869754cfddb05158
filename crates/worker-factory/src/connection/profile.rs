//! What the variables and the profile file say, resolved by the SDK and checked for what it drops silently.
//!
//! The SDK's loader is used because a second reading of `TEMPORAL_*` would differ from every other SDK in
//! some corner. It is lenient where a mistake should stop a worker, so four cases are refused before it
//! runs: a profile file that is named and not there, a switch that is neither true nor false, host
//! verification switched off (the SDK reads the variable and verifies all the same), and half of a
//! deployment version.

use std::{collections::HashMap, path::Path};

use temporalio_client::{ConnectionOptions, GrpcCompression};
use temporalio_common::envconfig::{
    ClientConfigProfile, DataSource, LoadClientConfigProfileOptions, load_client_config_profile,
};

use super::{Compression, Options};
use crate::config::Problem;

/// The longest deployment name and build id that Temporal's worker controller takes.
const MAX_VERSION_PART: usize = 63;

/// The deployment version of a worker, from the variables that the worker controller injects.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deployment {
    /// The deployment's name, `TEMPORAL_DEPLOYMENT_NAME`; `None` leaves versioning off.
    pub name: Option<String>,
    /// The build id, `TEMPORAL_WORKER_BUILD_ID`.
    pub build_id: String,
}

/// Everything that the environment says about the connection.
#[derive(Clone)]
pub struct Profile {
    /// The SDK's options; their own `Debug` output holds the API key.
    pub connection: ConnectionOptions,
    /// The namespace.
    pub namespace: String,
    /// The deployment version; `None` when no build id is given.
    pub deployment: Option<Deployment>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Profile")
            .field("address", &self.address())
            .field("namespace", &self.namespace)
            .field("deployment", &self.deployment)
            .finish_non_exhaustive()
    }
}

impl Profile {
    /// Resolves variables and profile file.
    ///
    /// # Errors
    ///
    /// Returns every problem found, each under the variable or key that causes it.
    pub fn resolve(options: &Options, env: &HashMap<String, String>) -> Result<Self, Vec<Problem>> {
        let mut problems = check_variables(options, env);
        let deployment = deployment(env, &mut problems);
        let api_key = api_key(options, env, &mut problems);
        let profile = load(options, env).map_err(|problem| problems.push(problem)).ok();
        let resolved = profile.and_then(|mut profile| {
            if profile.tls.as_ref().is_some_and(|tls| tls.disable_host_verification) {
                problems.push(Problem::new(
                    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
                    "is not supported by this SDK; set TEMPORAL_TLS_SERVER_CA_CERT_PATH or TEMPORAL_TLS_SERVER_NAME",
                ));
            }
            profile.api_key = api_key.or_else(|| profile.api_key.take().filter(|key| !key.is_empty()));
            let namespace = profile.namespace.clone().unwrap_or_else(|| "default".to_owned());
            match ConnectionOptions::try_from(profile) {
                Ok(connection) => Some((connection, namespace)),
                Err(error) => {
                    problems.push(Problem::new("TEMPORAL_ADDRESS or TEMPORAL_TLS_*", error.to_string()));
                    None
                }
            }
        });
        match resolved {
            Some((mut connection, namespace)) if problems.is_empty() => {
                connection.grpc_compression = match options.grpc_compression {
                    Compression::None => GrpcCompression::None,
                    Compression::Gzip => GrpcCompression::Gzip,
                };
                Ok(Self {
                    connection,
                    namespace,
                    deployment,
                })
            }
            Some(_) | None => Err(problems),
        }
    }

    /// Returns the server's address without credentials.
    #[must_use]
    pub fn address(&self) -> String {
        let target = &self.connection.target;
        match (target.host_str(), target.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => "an address without a host".to_owned(),
        }
    }
}

fn load(options: &Options, env: &HashMap<String, String>) -> Result<ClientConfigProfile, Problem> {
    let source = options
        .profile_file
        .as_ref()
        .map(|path| DataSource::Path(path.display().to_string()));
    let request = LoadClientConfigProfileOptions::builder()
        .maybe_config_source(source)
        .maybe_config_file_profile(options.profile.clone())
        .build();
    load_client_config_profile(request, Some(env))
        .map_err(|error| Problem::new("TEMPORAL_* or the profile file", error.to_string()))
}

fn check_variables(options: &Options, env: &HashMap<String, String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let named = match &options.profile_file {
        Some(path) => Some(("temporal.profile_file", path.display().to_string())),
        None => env
            .get("TEMPORAL_CONFIG_FILE")
            .map(|path| ("TEMPORAL_CONFIG_FILE", path.clone())),
    };
    if let Some((key, path)) = named.filter(|(_, path)| !path.is_empty())
        && !Path::new(&path).exists()
    {
        problems.push(Problem::new(
            key,
            format!("the profile file {path} does not exist"),
        ));
    }
    for name in ["TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"] {
        if let Some(value) = env.get(name)
            && !["true", "false", "1", "0"].contains(&value.to_lowercase().as_str())
        {
            problems.push(Problem::new(
                name,
                format!("`{value}` is neither `true` nor `false`"),
            ));
        }
    }
    problems
}

fn api_key(options: &Options, env: &HashMap<String, String>, problems: &mut Vec<Problem>) -> Option<String> {
    let path = options.api_key_file.as_ref()?;
    if env.get("TEMPORAL_API_KEY").is_some_and(|key| !key.is_empty()) {
        problems.push(Problem::new(
            "temporal.api_key_file",
            "TEMPORAL_API_KEY is set as well; leave one of them out",
        ));
    }
    super::api_key::read(path)
        .map_err(|error| problems.push(Problem::new("temporal.api_key_file", error.to_string())))
        .ok()
}

fn deployment(env: &HashMap<String, String>, problems: &mut Vec<Problem>) -> Option<Deployment> {
    let read = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
    let name = read("TEMPORAL_DEPLOYMENT_NAME");
    let build_id = read("TEMPORAL_WORKER_BUILD_ID");
    for (key, value) in [
        ("TEMPORAL_DEPLOYMENT_NAME", &name),
        ("TEMPORAL_WORKER_BUILD_ID", &build_id),
    ] {
        if value.as_ref().is_some_and(|value| value.len() > MAX_VERSION_PART) {
            problems.push(Problem::new(
                key,
                format!("is longer than {MAX_VERSION_PART} bytes"),
            ));
        }
    }
    if name.is_some() && build_id.is_none() {
        problems.push(Problem::new(
            "TEMPORAL_DEPLOYMENT_NAME",
            "needs TEMPORAL_WORKER_BUILD_ID beside it; set both, or neither for a worker without versions",
        ));
    }
    build_id.map(|build_id| Deployment { name, build_id })
}

#[cfg(test)]
mod tests;
