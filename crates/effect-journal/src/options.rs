//! Where the journal is and how long a lease lasts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::postgres::{Address, PostgresOptions};

/// What a URL can be.
const SUPPORTED: &str =
    "supported are sqlite:///absolute/path/journal.db and postgres://user@host:5432/database";

/// Configures a journal; plain data, checked by [`Options::validate`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The store: `sqlite:///absolute/path/journal.db`, whose path is taken as it stands and whose missing folders are
    /// created; or `postgres://user@host:5432/database`, with special characters percent-encoded, and `sslmode=require`
    /// or `sslmode=disable` if the server of another machine is not to be verified.
    #[schemars(extend(
        "x-unset" = "the file `journal.db` in the user's state folder",
        "examples" = ["sqlite:///var/lib/ai-worker/journal.db"]
    ))]
    pub url: String,
    /// How long a claim holds without renewal, in seconds. A holder renews every 10 seconds, so a shorter lease
    /// would be lost to one slow renewal; a longer one makes work wait longer after a crash.
    #[schemars(range(min = 20, max = 3600))]
    pub lease_seconds: u32,
    /// How a PostgreSQL server is reached; not looked at for SQLite.
    pub postgres: PostgresOptions,
}

/// Describes one wrong option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The option's path within [`Options`].
    pub path: &'static str,
    /// What is wrong and what to give instead.
    pub message: String,
}

impl Options {
    /// Returns every problem at once; an empty list means that the options are valid.
    pub fn validate(&self) -> Vec<Problem> {
        let mut found = match self.store() {
            Ok(Store::Sqlite(_)) => Vec::new(),
            Ok(Store::Postgres(address)) => self.postgres.problems(Some(&address)),
            Err(message) => vec![Problem { path: "url", message }],
        };
        let lease = (!(20..=3600).contains(&self.lease_seconds)).then(|| Problem {
            path: "lease_seconds",
            message: format!("{} is outside 20 to 3600", self.lease_seconds),
        });
        found.extend(lease);
        found
    }

    /// Returns how long a lease lasts.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease_seconds))
    }

    /// Returns the file that the URL names, or every problem.
    pub(crate) fn sqlite_path(&self) -> Result<PathBuf, Vec<Problem>> {
        match (self.validate(), self.store()) {
            (problems, Ok(Store::Sqlite(path))) if problems.is_empty() => Ok(path),
            (problems, Ok(Store::Postgres(_))) => Err(with(problems, "names no SQLite file")),
            (problems, _) => Err(problems),
        }
    }

    /// Returns the server that the URL names, or every problem.
    pub(crate) fn address(&self) -> Result<Address, Vec<Problem>> {
        match (self.validate(), self.store()) {
            (problems, Ok(Store::Postgres(address))) if problems.is_empty() => Ok(*address),
            (problems, Ok(Store::Sqlite(_))) => Err(with(problems, "names no PostgreSQL server")),
            (problems, _) => Err(problems),
        }
    }

    /// Returns what the URL names, or what is wrong with it.
    pub(crate) fn store(&self) -> Result<Store, String> {
        if self.url.is_empty() {
            return Err(format!("not set; {SUPPORTED}"));
        }
        let Some((scheme, path)) = self.url.split_once("://") else {
            // Not quoted as a whole: a connection text that is no URL may hold a password anywhere.
            return Err(format!("not a URL; {SUPPORTED}"));
        };
        match scheme {
            "sqlite" => sqlite_path(path).map(Store::Sqlite),
            "postgres" | "postgresql" => Address::parse(&self.url).map(Box::new).map(Store::Postgres),
            _ => Err(format!("no store is called {scheme:?}; {SUPPORTED}")),
        }
    }
}

/// What a URL names.
#[derive(Debug)]
pub(crate) enum Store {
    /// A file.
    Sqlite(PathBuf),
    /// A server and its database.
    Postgres(Box<Address>),
}

fn with(mut problems: Vec<Problem>, message: &str) -> Vec<Problem> {
    let message = message.to_owned();
    problems.push(Problem { path: "url", message });
    problems
}

fn sqlite_path(path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(format!("{path:?} is no absolute path of a file; {SUPPORTED}"));
    }
    if path.contains('?') {
        return Err(format!(
            "{path:?} has parameters, and there are none; {SUPPORTED}"
        ));
    }
    Ok(PathBuf::from(path))
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL itself may hold a password.
        f.debug_struct("Options")
            .field("store", &self.store().map_err(|_| "not usable"))
            .field("lease_seconds", &self.lease_seconds)
            .field("postgres", &self.postgres)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            lease_seconds: 45,
            postgres: PostgresOptions::default(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn url(text: &str) -> Options {
        Options {
            url: text.to_owned(),
            ..Options::default()
        }
    }

    #[test]
    fn a_sqlite_url_names_an_absolute_file() {
        assert_eq!(url("sqlite:///var/lib/journal 1.db").validate(), []);
        let store = url("sqlite:///var/lib/j.db").store();
        assert!(matches!(store, Ok(Store::Sqlite(path)) if path == Path::new("/var/lib/j.db")));
    }

    #[test]
    fn any_other_url_is_told_what_is_supported() {
        for text in [
            "",
            "journal.db",
            "mysql://u:secret@db/j",
            "sqlite://journal.db",
            "sqlite:///",
            "sqlite:///j.db?mode=ro",
        ] {
            let problems = url(text).validate();
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(problems[0].path, "url", "{text}");
            assert!(problems[0].message.ends_with(SUPPORTED), "{text}");
            assert!(!problems[0].message.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_postgres_url_names_a_server_and_its_password_is_not_shown() {
        let options = url("postgres://me:secret@db/journal");
        assert_eq!(options.validate(), []);
        let shown = format!("{options:?}");
        assert!(shown.contains("postgres://me@db:5432/journal"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        let wrong = url("postgres://me:sec@ret@db/journal");
        assert_eq!(wrong.validate().len(), 1);
        assert!(
            !wrong.validate()[0].message.contains("ret"),
            "{:?}",
            wrong.validate()
        );
        assert!(!format!("{wrong:?}").contains("ret"), "{wrong:?}");
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        for lease_seconds in [19, 3601] {
            let problems = Options {
                lease_seconds,
                ..Options::default()
            }
            .validate();
            let paths: Vec<_> = problems.iter().map(|problem| problem.path).collect();
            assert_eq!(paths, ["url", "lease_seconds"]);
        }
        for lease_seconds in [20, 3600] {
            assert_eq!(
                Options {
                    lease_seconds,
                    ..url("sqlite:///j.db")
                }
                .validate(),
                []
            );
        }
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let read = serde_json::from_str::<Options>(r#"{"url":"sqlite:///j.db","lease":9}"#);
        assert!(read.unwrap_err().to_string().contains("unknown field `lease`"));
    }
}
