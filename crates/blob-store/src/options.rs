//! Which store is used, as plain data.
//!
//! One address names the store and a flat map holds what its provider needs, in the keys that `object_store` and the
//! providers' own tools use: a typed section for each of three clouds would restate a hundred keys and lag behind
//! them. An unknown key is a problem and not ignored, as the library would.
//!
//! Pods are handed their identity by variables (a role and a token file), and only a binary may read those; it passes
//! them to [`Options::fill`], where every worker that is told nothing also gets the same folder.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::backend::Scheme;

/// The folder of a worker that is told of no store, below the user's state folder.
pub const LOCAL_FOLDER: &str = "blobs";

/// The largest object that is held in memory as a whole unless the options say otherwise: 256 MiB.
pub const DEFAULT_MAX_OBJECT_BYTES: u64 = 256 * 1024 * 1024;

const SUPPORTED: &str =
    "give file:///absolute/folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix";

/// Configures the blob store; plain data, checked by [`Options::validate`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The store: `file:///absolute/folder` (created if missing), `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`. All workers need the same one. `.` and `..` segments are resolved as in any URL.
    #[schemars(extend(
        "x-unset" = "the folder `blobs` in the user's state folder",
        "examples" = ["s3://my-bucket/pipelines"]
    ))]
    pub url: String,
    /// What the provider needs, by `object_store`'s keys such as `aws_region`, `aws_endpoint`, `allow_http`,
    /// `google_service_account` or `azure_storage_account_name`. What is not set here is taken from the provider's own
    /// variables, `AWS_*`, `GOOGLE_*` or `AZURE_*`. Values are secret: they are shown as `[redacted]`.
    #[serde(serialize_with = "redacted")]
    #[schemars(extend(
        "writeOnly" = true,
        "x-unset" = "the provider's variables alone",
        "examples" = [{"aws_region": "eu-central-1"}]
    ))]
    pub options: BTreeMap<String, String>,
    /// Whether `file:///` references are read from this machine. For development only.
    pub allow_file_references: bool,
    /// The largest object that is read or written as a whole, in bytes. Files that are read line by line may be
    /// larger.
    #[schemars(range(min = 1))]
    pub max_object_bytes: u64,
}

/// Describes one wrong option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The option's path within [`Options`], for example `options.aws_regoin`.
    pub path: String,
    /// What is wrong and what to give instead.
    pub message: String,
}

impl Options {
    /// Returns every problem at once; an empty list means that the options are valid.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match self.scheme() {
            Err(message) => problems.push(Problem::new("url", message)),
            Ok((_, scheme)) => {
                let unknown = self.options.keys().filter(|key| !scheme.knows(key));
                problems.extend(unknown.map(|key| {
                    Problem::new(
                        format!("options.{key}"),
                        format!("is no option of {}", scheme.name()),
                    )
                }));
            }
        }
        if self.max_object_bytes == 0 {
            problems.push(Problem::new("max_object_bytes", "is 0; give at least 1"));
        }
        problems
    }

    /// Fills in what nobody set: the address, from `folder_url`, and what [`Options::fill_from`] finds.
    pub fn fill(
        &mut self,
        folder_url: Option<String>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) {
        if self.url.is_empty() {
            self.url = folder_url.unwrap_or_default();
        }
        self.fill_from(variables);
    }

    /// Takes over the variables of the environment that belong to the store's provider (`AWS_…`, `GOOGLE_…`,
    /// `AZURE_…`) and that [`Options::options`] does not set already, under whichever spelling.
    pub fn fill_from(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let Ok((_, scheme)) = self.scheme() else { return };
        for (name, value) in variables {
            let key = name.to_ascii_lowercase();
            let wanted = scheme
                .variable_prefix()
                .is_some_and(|prefix| name.starts_with(prefix))
                && scheme.knows(&key);
            if wanted && !self.options.keys().any(|set| scheme.same_key(set, &key)) {
                self.options.insert(key, value);
            }
        }
    }

    /// Gives the files that the provider's options name, each under its path within these options. The store reads
    /// them when it is used.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        let Ok((_, scheme)) = self.scheme() else {
            return Vec::new();
        };
        let named = self.options.iter().filter(|(key, _)| scheme.names_file(key));
        named
            .map(|(key, path)| (format!("options.{key}"), PathBuf::from(path)))
            .collect()
    }

    /// Parses the address, or says what is wrong with it.
    pub(crate) fn scheme(&self) -> Result<(Url, Scheme), String> {
        if self.url.is_empty() {
            return Err(format!("is not set; {SUPPORTED}"));
        }
        // Not quoted: an address that is not understood may hold a key anywhere.
        let url = Url::parse(&self.url).map_err(|error| format!("is not a URL ({error}); {SUPPORTED}"))?;
        let scheme = Scheme::of(&url).ok_or_else(|| format!("names no store; {SUPPORTED}"))?;
        if url.query().is_some() || url.fragment().is_some() || url.password().is_some() {
            return Err("holds a query, a fragment or a password; put settings into options".to_owned());
        }
        Ok((url, scheme))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            options: BTreeMap::new(),
            allow_file_references: false,
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .field("allow_file_references", &self.allow_file_references)
            .field("max_object_bytes", &self.max_object_bytes)
            .finish()
    }
}

impl Problem {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
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

/// Any of the values may be a secret, and a provider's next key will not be on a list of those that are.
fn redacted<S: Serializer>(values: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.keys().map(|key| (key, "[redacted]")))
}

#[cfg(test)]
mod tests;
