//! Settings that every provider behind HTTP shares, and how a wrong one is reported.
//!
//! A check returns all problems together, each with the path of its key, because a person who edits a file wants
//! one list and not one problem a start.

mod checks;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};

/// The longest time limit that is accepted, in seconds: one day.
pub const MAX_LIMIT_SECONDS: f64 = 86_400.0;

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path inside its options, such as `timeouts.connect_seconds`.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl Problem {
    /// Makes a problem.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The time limits of one call over HTTP, in seconds; fractions are allowed.
///
/// One limit for the whole call would have to be as long as the longest answer, so a dead connection would be
/// noticed after minutes; each phase has its own, and the error names the one that passed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Looking up the name, connecting, and the TLS handshake, in seconds.
    #[schemars(range(max = MAX_LIMIT_SECONDS), extend("exclusiveMinimum" = 0))]
    pub connect_seconds: f64,
    /// From sending the request to the first byte of the answer's body, in seconds. Without streaming this is the
    /// whole time that the model needs.
    #[schemars(range(max = MAX_LIMIT_SECONDS), extend("exclusiveMinimum" = 0))]
    pub first_byte_seconds: f64,
    /// Between two pieces of the answer's body, in seconds.
    #[schemars(range(max = MAX_LIMIT_SECONDS), extend("exclusiveMinimum" = 0))]
    pub between_bytes_seconds: f64,
    /// The whole call, in seconds; the caller's own deadline applies if it is shorter.
    #[schemars(range(max = MAX_LIMIT_SECONDS), extend("exclusiveMinimum" = 0))]
    pub whole_call_seconds: f64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_seconds: 10.0,
            first_byte_seconds: 120.0,
            between_bytes_seconds: 60.0,
            whole_call_seconds: 600.0,
        }
    }
}

impl Timeouts {
    /// Reports limits that are not above zero or are longer than a day.
    pub fn validate(&self, path: &str) -> Vec<Problem> {
        [
            ("connect_seconds", self.connect_seconds),
            ("first_byte_seconds", self.first_byte_seconds),
            ("between_bytes_seconds", self.between_bytes_seconds),
            ("whole_call_seconds", self.whole_call_seconds),
        ]
        .into_iter()
        .filter(|(_, seconds)| !(*seconds > 0.0 && *seconds <= MAX_LIMIT_SECONDS))
        .map(|(key, seconds)| {
            Problem::new(
                format!("{path}.{key}"),
                format!("is {seconds}; must be above 0 and at most {MAX_LIMIT_SECONDS}"),
            )
        })
        .collect()
    }
}

/// Turns a number of seconds that has been validated into a duration.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

/// Says in a schema that keys have to be set although their type has a default, which is there for tests and for
/// validation to report all problems at once.
pub(crate) fn required(schema: &mut Schema, keys: &[&str]) {
    schema.insert("required".to_owned(), keys.to_vec().into());
    for key in keys {
        if let Some(property) = schema.pointer_mut(&format!("/properties/{key}")) {
            property
                .as_object_mut()
                .and_then(|property| property.remove("default"));
        }
    }
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
pub(crate) fn redacted<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "[redacted]").serialize(serializer)
}

pub(crate) fn redacted_values<S: Serializer>(
    secrets: &BTreeMap<String, SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(secrets.keys().map(|key| (key, "[redacted]")))
}

#[cfg(test)]
mod tests {
    use super::{Timeouts, duration};

    #[test]
    fn every_wrong_limit_is_reported_with_its_path() {
        let timeouts = Timeouts {
            connect_seconds: 0.0,
            first_byte_seconds: f64::NAN,
            between_bytes_seconds: 0.05,
            whole_call_seconds: 1e9,
        };
        let paths: Vec<_> = timeouts
            .validate("t")
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(
            paths,
            [
                "t.connect_seconds",
                "t.first_byte_seconds",
                "t.whole_call_seconds"
            ]
        );
        assert_eq!(Timeouts::default().validate("t"), []);
    }

    #[test]
    fn fractions_of_seconds_are_kept() {
        assert_eq!(duration(0.05).as_millis(), 50);
    }
}
