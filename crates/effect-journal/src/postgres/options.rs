//! How the server is reached: the settings beside the URL, and what the URL says.
//!
//! The URL is PostgreSQL's own, with few of its parameters: one that changed the session, or a password among the
//! parameters, would pass unseen by everything that checks or hides. Nothing of the user's part is ever quoted in a
//! message, because a password with an `@` in it moves into the host's place.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::Problem;

/// What a URL of a server looks like.
pub(crate) const FORM: &str = "postgres://user@host:5432/database";

/// The parameters that a URL may have, beside `sslmode`.
const PARAMETERS: [&str; 4] = [
    "application_name",
    "channel_binding",
    "load_balance_hosts",
    "target_session_attrs",
];

/// Configures the connections to a PostgreSQL server; plain data, checked with the URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresOptions {
    /// A file that holds the password, read again for every new connection, so that it can be rotated.
    #[schemars(extend(
        "format" = "path",
        "x-unset" = "the password in the URL, or none",
        "examples" = ["/run/secrets/journal/password"]
    ))]
    pub password_file: Option<PathBuf>,
    /// A PEM file with the authorities that may vouch for the server.
    #[schemars(extend("format" = "path", "x-unset" = "the system's", "examples" = ["/etc/ssl/our-ca.pem"]))]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate that this process shows, for servers that ask for one.
    #[schemars(extend("format" = "path", "x-unset" = "none is shown", "examples" = ["/run/secrets/journal/tls.crt"]))]
    pub client_certificate_file: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    #[schemars(extend("format" = "path", "x-unset" = "none is shown", "examples" = ["/run/secrets/journal/tls.key"]))]
    pub client_key_file: Option<PathBuf>,
    /// The schema that holds the tables; lower-case letters, digits and `_`.
    pub schema: String,
    /// How many connections are held open at most; one of them is kept for reading.
    #[schemars(range(min = 2, max = 64))]
    pub connections: u32,
    /// How long a connection or a transaction may take, in seconds. A server that is silent for longer counts as away.
    #[schemars(range(min = 1, max = 60))]
    pub timeout_seconds: u32,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            password_file: None,
            ca_file: None,
            client_certificate_file: None,
            client_key_file: None,
            schema: "taw_journal".to_owned(),
            connections: 4,
            timeout_seconds: 10,
        }
    }
}

/// How the server and the connection to it are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Not at all: what is sent can be read and changed on the way.
    Plain,
    /// Encrypted, and whoever answers is taken for the server.
    Encrypted,
    /// Encrypted, and the server proves that it is the host of the URL.
    Verified,
}

/// What the URL says.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Hosts, user, database and, if the URL has one, the password; without TLS.
    pub(crate) config: Config,
    /// How the connection is protected.
    pub(crate) tls: Tls,
    /// The address as it may be shown.
    pub(crate) shown: String,
}

impl PostgresOptions {
    /// Returns what is wrong with the settings for an address; paths are those within the journal's options.
    pub(crate) fn problems(&self, address: Option<&Address>) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut wrong = |path, message: String| found.push(Problem { path, message });
        if !is_schema(&self.schema) {
            let message = format!(
                "{:?} is no lower-case name of at most 63 letters, digits and _",
                self.schema
            );
            wrong("postgres.schema", message);
        }
        if !(2..=64).contains(&self.connections) {
            wrong(
                "postgres.connections",
                format!("{} is outside 2 to 64", self.connections),
            );
        }
        if !(1..=60).contains(&self.timeout_seconds) {
            let message = format!("{} is outside 1 to 60", self.timeout_seconds);
            wrong("postgres.timeout_seconds", message);
        }
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            let message = "a certificate and its key go together: give both files or none";
            wrong("postgres.client_certificate_file", message.to_owned());
        }
        let Some(address) = address else { return found };
        if self.password_file.is_some() && address.config.get_password().is_some() {
            let message = "the URL has a password too: keep one of the two";
            wrong("postgres.password_file", message.to_owned());
        }
        if self.ca_file.is_some() && address.tls != Tls::Verified {
            let message = "nothing is verified with this sslmode: use sslmode=verify-full";
            wrong("postgres.ca_file", message.to_owned());
        }
        if self.client_certificate_file.is_some() && address.tls == Tls::Plain {
            let message = "a certificate is shown over TLS only: use sslmode=verify-full";
            wrong("postgres.client_certificate_file", message.to_owned());
        }
        found
    }
}

impl Address {
    /// Reads a URL, or says what is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let mut kept = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some((name, _)) if PARAMETERS.contains(&name) => kept.push(parameter),
                Some(_) | None => {
                    let names = PARAMETERS.join(", ");
                    return Err(format!("has an unknown parameter; known are sslmode, {names}"));
                }
            }
        }
        let config: Config = format!("{base}?{}", kept.join("&")).parse().map_err(|_| {
            format!("cannot be read; its form is {FORM}, with special characters percent-encoded")
        })?;
        let shown = shown(&config)?;
        let tls = tls(mode, &config)?;
        Ok(Self { config, tls, shown })
    }
}

/// Composes the address without its password.
fn shown(config: &Config) -> Result<String, String> {
    let (Some(user), Some(database)) = (config.get_user(), config.get_dbname()) else {
        return Err(format!("names no user or no database; its form is {FORM}"));
    };
    let mut hosts = Vec::new();
    for (position, host) in config.get_hosts().iter().enumerate() {
        let ports = config.get_ports();
        let port = ports.get(position).or(ports.first()).unwrap_or(&5432);
        hosts.push(match host {
            Host::Unix(folder) => format!("{}:{port}", folder.display()),
            Host::Tcp(name) if name.bytes().all(is_of_host) && !name.is_empty() => format!("{name}:{port}"),
            Host::Tcp(_) => return Err("names no host that can be; percent-encode the password".to_owned()),
        });
    }
    if hosts.is_empty() {
        return Err(format!("names no host; its form is {FORM}"));
    }
    Ok(format!("postgres://{user}@{}/{database}", hosts.join(",")))
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)
}

fn is_schema(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let mut bytes = name.bytes();
    let reserved = name.starts_with("pg_");
    !reserved
        && name.len() <= 63
        && bytes.next().is_some_and(letters)
        && bytes.all(|byte| letters(byte) || byte.is_ascii_digit())
}

/// Decides on the protection: what the URL asks for, else what the way to the server needs.
fn tls(mode: Option<&str>, config: &Config) -> Result<Tls, String> {
    let sockets = config
        .get_hosts()
        .iter()
        .any(|host| matches!(host, Host::Unix(_)));
    let near = config.get_hosts().iter().all(is_near);
    match mode {
        None if near => Ok(Tls::Plain),
        Some("disable") => Ok(Tls::Plain),
        Some("require" | "verify-full") if sockets => {
            Err("asks for TLS over a socket of this machine".to_owned())
        }
        None | Some("verify-full") => Ok(Tls::Verified),
        Some("require") => Ok(Tls::Encrypted),
        Some(_) => Err("has an unknown sslmode; known are disable, require and verify-full".to_owned()),
    }
}

/// Tells whether a host is this machine, so that nobody is on the way.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn another_machine_is_verified_unless_the_url_says_otherwise() {
        assert_eq!(parse("postgres://u@db/j").tls, Tls::Verified);
        assert_eq!(
            parse("postgresql://u@db/j?sslmode=verify-full").tls,
            Tls::Verified
        );
        assert_eq!(parse("postgres://u@db/j?sslmode=require").tls, Tls::Encrypted);
        assert_eq!(parse("postgres://u@db/j?sslmode=disable").tls, Tls::Plain);
        assert_eq!(parse("postgres://u@localhost,db/j").tls, Tls::Verified);
    }

    #[test]
    fn this_machine_is_spoken_to_in_the_clear() {
        for url in [
            "postgres://u@127.0.0.1/j",
            "postgres://u@localhost:1/j",
            "postgres://u@%2Frun/j",
        ] {
            assert_eq!(parse(url).tls, Tls::Plain, "{url}");
        }
        assert_eq!(
            parse("postgres://u@localhost/j?sslmode=require").tls,
            Tls::Encrypted
        );
    }

    #[test]
    fn what_is_shown_has_no_password() {
        let address = parse("postgres://me:s%40cret@a:1,b/j?target_session_attrs=read-write");
        assert_eq!(address.shown, "postgres://me@a:1,b:5432/j");
        assert_eq!(address.config.get_password(), Some(&b"s@cret"[..]));
        assert!(!format!("{address:?}").contains("cret"), "{address:?}");
    }

    #[test]
    fn a_url_that_cannot_be_used_is_told_without_its_text() {
        for (url, part) in [
            ("postgres://me:%zzcret@db:port/j", "percent-encoded"),
            ("postgres://me:se@cret@db/j", "percent-encode the password"),
            ("postgres://db/j", "no user"),
            ("postgres://me@db", "no database"),
            ("postgres://me@/j", "no host"),
            ("postgres://me@db/j?sslmode=prefer", "unknown sslmode"),
            ("postgres://me@db/j?password=secret", "unknown parameter"),
            (
                "postgres://me@db/j?options=-csynchronous_commit=off",
                "unknown parameter",
            ),
            ("postgres://me@%2Frun/j?sslmode=require", "socket"),
        ] {
            let problem = Address::parse(url).unwrap_err();
            assert!(problem.contains(part), "{url}: {problem}");
            assert!(!problem.contains("cret"), "{url}: {problem}");
        }
    }

    #[test]
    fn settings_that_contradict_are_all_told() {
        let options = PostgresOptions {
            password_file: Some("password".into()),
            ca_file: Some("ca.pem".into()),
            client_certificate_file: Some("client.pem".into()),
            schema: "Journal".to_owned(),
            connections: 1,
            timeout_seconds: 0,
            ..PostgresOptions::default()
        };
        let address = parse("postgres://me:secret@localhost/j");
        let paths: Vec<_> = options
            .problems(Some(&address))
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(
            paths,
            [
                "postgres.schema",
                "postgres.connections",
                "postgres.timeout_seconds",
                "postgres.client_certificate_file",
                "postgres.password_file",
                "postgres.ca_file",
                "postgres.client_certificate_file",
            ]
        );
        assert_eq!(PostgresOptions::default().problems(Some(&address)), []);
    }
}
