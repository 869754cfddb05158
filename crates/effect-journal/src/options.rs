//! Where the journal is and how long a lease lasts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configures a journal; plain data, checked by [`Options::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The store, as `sqlite:///absolute/path/journal.db`. The path is taken as it stands, and missing folders are
    /// created.
    #[schemars(extend(
        "x-unset" = "the file `journal.db` in the user's state folder",
        "examples" = ["sqlite:///var/lib/ai-worker/journal.db"]
    ))]
    pub url: String,
    /// How long a claim holds without renewal, in seconds. A holder renews every 10 seconds, so a shorter lease
    /// would be lost to one slow renewal; a longer one makes work wait longer after a crash.
    #[schemars(range(min = 20, max = 3600))]
    pub lease_seconds: u32,
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
        let url = self
            .sqlite_path()
            .err()
            .map(|message| Problem { path: "url", message });
        let lease = (!(20..=3600).contains(&self.lease_seconds)).then(|| Problem {
            path: "lease_seconds",
            message: format!("{} is outside 20 to 3600", self.lease_seconds),
        });
        url.into_iter().chain(lease).collect()
    }

    /// Returns how long a lease lasts.
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease_seconds))
    }

    /// Returns the file that the URL names, or what is wrong with the URL.
    pub(crate) fn sqlite_path(&self) -> Result<PathBuf, String> {
        const SUPPORTED: &str = "supported is sqlite:///absolute/path/journal.db";
        if self.url.is_empty() {
            return Err(format!("not set; {SUPPORTED}"));
        }
        let Some((scheme, path)) = self.url.split_once("://") else {
            // Not quoted as a whole: a connection text that is no URL may hold a password anywhere.
            return Err(format!("not a URL; {SUPPORTED}"));
        };
        if scheme != "sqlite" {
            return Err(format!("no store is called {scheme:?}; {SUPPORTED}"));
        }
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            lease_seconds: 45,
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
        assert_eq!(
            url("sqlite:///var/lib/j.db").sqlite_path(),
            Ok(PathBuf::from("/var/lib/j.db"))
        );
    }

    #[test]
    fn any_other_url_is_told_what_is_supported() {
        for text in [
            "",
            "journal.db",
            "postgres://u:secret@db/j",
            "sqlite://journal.db",
            "sqlite:///",
            "sqlite:///j.db?mode=ro",
        ] {
            let problems = url(text).validate();
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(problems[0].path, "url", "{text}");
            assert!(
                problems[0]
                    .message
                    .ends_with("supported is sqlite:///absolute/path/journal.db"),
                "{text}"
            );
            assert!(!problems[0].message.contains("secret"), "{text}");
        }
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
