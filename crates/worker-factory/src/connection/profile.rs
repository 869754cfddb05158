//! What the variables and the profile file say, resolved by the SDK and checked for what it drops silently.
//!
//! The SDK's loader is used because a second reading of `TEMPORAL_*` would differ from every other SDK in
//! some corner. It is lenient where a mistake should stop a worker, so these are refused before it runs: a
//! profile file that is named and not there, a switch that is neither true nor false, host verification
//! switched off (the SDK reads the variable and verifies all the same), an API key that no header can carry
//! (the SDK would send none), an address without a port (the SDK would take that of web pages), half of a
//! deployment version, and TLS settings that cannot work ([`tls`]).

use std::{collections::HashMap, path::Path};

use temporalio_client::{ConnectionOptions, GrpcCompression};
use temporalio_common::envconfig::{
    ClientConfigProfile, DataSource, LoadClientConfigProfileOptions, load_client_config_profile,
};

use super::{Compression, Options, address, api_key, tls};
use crate::config::Problem;

/// Where a server of this machine listens.
const DEFAULT_ADDRESS: &str = "localhost:7233";

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
        let api_key = key_from_file(options, env, &mut problems);
        let profile = load(options, env).map_err(|problem| problems.push(problem)).ok();
        let resolved = profile.and_then(|mut profile| {
            let named = profile.api_key.take();
            profile.api_key = api_key.or_else(|| checked_key(named.as_deref()?, &mut problems));
            let namespace = profile.namespace.clone().unwrap_or_else(|| "default".to_owned());
            check_address(&mut profile, env)
                .map_err(|problem| problems.push(problem))
                .ok();
            Some((connection(profile, &mut problems)?, namespace))
        });
        match resolved {
            Some((mut connection, namespace)) if problems.is_empty() => {
                name_namespace(&mut connection, &namespace);
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

/// Takes out an address that is none, so that the rest is checked, and says what is wrong with it.
fn check_address(profile: &mut ClientConfigProfile, env: &HashMap<String, String>) -> Result<(), Problem> {
    // The SDK leaves an empty address to its default.
    profile.address = profile.address.take().filter(|address| !address.is_empty());
    let Some(message) = profile.address.as_deref().and_then(address::mistake) else {
        return Ok(());
    };
    profile.address = None;
    let from_variable = env
        .get("TEMPORAL_ADDRESS")
        .is_some_and(|address| !address.is_empty());
    let key = if from_variable {
        "TEMPORAL_ADDRESS"
    } else {
        "the profile's key `address`"
    };
    Err(Problem::new(key, message))
}

/// Turns the profile into the SDK's options, with TLS settled.
fn connection(mut profile: ClientConfigProfile, problems: &mut Vec<Problem>) -> Option<ConnectionOptions> {
    // The SDK's own default has the scheme `http`, which would undo TLS.
    profile.address.get_or_insert_with(|| DEFAULT_ADDRESS.to_owned());
    let mut switched_off = false;
    if let Some(settings) = &profile.tls {
        if settings.disable_host_verification {
            problems.push(Problem::new(
                "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
                "is not supported by this SDK; set TEMPORAL_TLS_SERVER_CA_CERT_PATH or TEMPORAL_TLS_SERVER_NAME",
            ));
        }
        switched_off = settings.disabled == Some(true);
        let files = if switched_off {
            Vec::new()
        } else {
            tls::check_files(settings)
        };
        if !files.is_empty() {
            problems.extend(files);
            return None;
        }
    }
    match ConnectionOptions::try_from(profile) {
        Ok(mut connection) => {
            problems.extend(tls::settle(&mut connection, switched_off));
            Some(connection)
        }
        Err(error) => {
            problems.push(Problem::new(
                "TEMPORAL_ADDRESS or TEMPORAL_TLS_*",
                error.to_string(),
            ));
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

fn checked_key(key: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let key = key.trim();
    if !api_key::can_be_sent(key) {
        problems.push(Problem::new(
            "TEMPORAL_API_KEY",
            "holds a character that no header can carry; set it to the key as it was issued",
        ));
    }
    (!key.is_empty()).then(|| key.to_owned())
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
    load_client_config_profile(request, Some(env)).map_err(|error| {
        Problem::new(
            "TEMPORAL_* or the profile file",
            without_quotes(&error.to_string()),
        )
    })
}

/// Leaves out the lines with which an error quotes the profile file: the API key may stand in them.
fn without_quotes(error: &str) -> String {
    let lines = error.lines().map(str::trim);
    let said: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('|') && !line.contains(" |"))
        .collect();
    said.join(": ")
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

fn key_from_file(
    options: &Options,
    env: &HashMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let path = options.api_key_file.as_ref()?;
    if env.get("TEMPORAL_API_KEY").is_some_and(|key| !key.is_empty()) {
        problems.push(Problem::new(
            "temporal.api_key_file",
            "TEMPORAL_API_KEY is set as well; leave one of them out",
        ));
    }
    api_key::read(path)
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
