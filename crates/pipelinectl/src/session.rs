//! What every command is handed: the global flags, the environment, the printer; and how it gets a connection.

use std::{collections::HashMap, path::Path};

use temporal_client::{Client, connection};

use crate::{cli::GlobalArgs, dev::state::DevState, failure::Failure, output::Printer};

/// What every command is handed.
pub(crate) struct Session {
    /// How to print.
    pub(crate) printer: Printer,
    /// The environment.
    pub(crate) env: HashMap<String, String>,
    options: connection::Options,
}

impl Session {
    /// Takes over flags and environment.
    pub(crate) fn new(global: GlobalArgs, env: HashMap<String, String>, printer: Printer) -> Self {
        let options = connection::Options {
            address: global.address,
            namespace: global.namespace,
            profile: global.profile,
            profile_file: global.profile_file,
            identity: format!("pipelinectl/{}", std::process::id()),
            ..connection::Options::default()
        };
        Self {
            printer,
            env,
            options,
        }
    }

    /// Gives who acts: the name that was given, or the login name. Nobody vouches for either.
    pub(crate) fn actor(&self, given: Option<&str>) -> Result<String, Failure> {
        let login = || {
            ["LOGNAME", "USER"]
                .into_iter()
                .find_map(|name| self.env.get(name).cloned())
        };
        given
            .map(str::to_owned)
            .or_else(login)
            .filter(|name| !name.trim().is_empty())
            .ok_or_else(|| {
                Failure::bad_input(
                    "who does this is kept, and the login name is not known: say it with --actor NAME",
                )
            })
    }

    /// Gives the namespace that flags or environment name, without asking a profile.
    pub(crate) fn named_namespace(&self) -> Option<&str> {
        let named = self.options.namespace.as_deref();
        named.or_else(|| self.env.get("TEMPORAL_NAMESPACE").map(String::as_str))
    }

    /// Connects to the server that flags, environment and profile name.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.options, &self.env).await?)
    }
}

/// Finds the state of a `pipelinectl dev` that runs from this folder and serves the client's very address.
pub(crate) fn local_dev(client: &Client) -> Option<DevState> {
    let state = DevState::read(Path::new(crate::dev::STATE_FOLDER))?;
    let same = port_of(&state.address) == port_of(client.address()) && is_local(client.address());
    same.then_some(state)
}

fn port_of(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port)
}

fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn who_acts_is_the_login_name_unless_said() {
        let session = |login: Option<&str>| {
            let global = GlobalArgs {
                output: Format::Text,
                verbose: false,
                address: None,
                namespace: None,
                profile: None,
                profile_file: None,
            };
            let env = login.map(|login| ("USER".to_owned(), login.to_owned()));
            Session::new(
                global,
                env.into_iter().collect(),
                Printer::new(Format::Text, false),
            )
        };
        assert_eq!(session(Some("ana")).actor(None).unwrap(), "ana");
        assert_eq!(session(Some("ana")).actor(Some("bo")).unwrap(), "bo");
        let failure = session(None).actor(None).unwrap_err();
        assert!(failure.message.contains("--actor NAME"), "{}", failure.message);
        assert!(session(Some("ana")).actor(Some(" ")).is_err());
    }

    #[test]
    fn only_this_machine_counts_as_local() {
        assert!(is_local("localhost:7233"));
        assert!(is_local("127.0.0.1:1"));
        assert!(!is_local("temporal.example:7233"));
        assert_eq!(port_of("127.0.0.1:17233"), Some("17233"));
    }
}
