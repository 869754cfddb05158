//! The command line that every worker shares.
//!
//! Five flags and no more: what a flag could set is a configuration key, and `--set` reaches every key, so
//! there is one list of settings and not two that drift apart.

use std::{ffi::OsString, path::PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::{config::LoadRequest, exit::Exit, process::Service};

/// What the operating system handed to the binary; only a binary reads it.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// The command line, the program's name first.
    pub args: Vec<OsString>,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Invocation {
    /// Takes the command line and the environment from the binary.
    pub fn new(
        args: impl IntoIterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        Self {
            args: args.into_iter().collect(),
            env: env.into_iter().collect(),
        }
    }
}

/// The flags of a worker.
#[derive(Clone, Debug, Default, clap::Parser)]
pub struct CommonArgs {
    /// Reads the configuration from this TOML file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one configuration key, above file and environment; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Checks the configuration and the files that it names, prints every mistake, and ends.
    #[arg(long)]
    pub check_config: bool,
    /// Prints the configuration as it will be used as TOML, secrets redacted, and ends.
    #[arg(long)]
    pub print_config: bool,
    /// Prints the JSON Schema of the configuration, and ends.
    #[arg(long)]
    pub print_schema: bool,
}

impl CommonArgs {
    /// Parses the command line.
    ///
    /// # Errors
    ///
    /// Returns how the process should end: after `--help` or `--version`, or because of a usage error.
    /// What there is to print has been printed.
    pub fn parse(service: &Service, args: &[OsString]) -> Result<Self, Exit> {
        let prefix = service.env_prefix;
        let command = Self::command()
            .name(service.name)
            .bin_name(service.name)
            .version(service.version)
            .about(service.about)
            .after_help(format!(
                "Any configuration key can also be set by a variable: {prefix}__SECTION__KEY=value, and the \
                 file by {prefix}_CONFIG_FILE. The connection is set by Temporal's own TEMPORAL_* variables."
            ));
        command
            .try_get_matches_from(args)
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(|error| {
                // Nothing is left to do when the terminal is gone; the exit code still tells.
                drop(error.print());
                if error.use_stderr() {
                    Exit::Config
                } else {
                    Exit::Drained
                }
            })
    }

    /// Returns where the configuration is to be loaded from.
    #[must_use]
    pub fn load_request(&self, service: &Service, env: &[(OsString, OsString)]) -> LoadRequest {
        LoadRequest {
            prefix: service.env_prefix.to_owned(),
            file: self.config.clone(),
            overrides: self.set.clone(),
            env: env.to_vec(),
        }
    }
}
