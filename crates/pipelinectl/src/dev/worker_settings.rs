//! What the processes of `dev` are told: the one place that knows the keys of both workers' configuration.
//!
//! Each worker gets a file in the state folder and the two variables that every Temporal program knows. A file rather
//! than a row of variables, because it can be read, changed and used to start the worker by hand. Variables of the
//! caller's such as `AI_WORKER__WORKER__MAX_CONCURRENT_ACTIVITIES` still reach the workers and win over the file, as
//! everywhere.

use std::{net::SocketAddr, path::Path};

use toml::{Table, Value};

use crate::failure::Failure;

/// Where what the workers share lies.
#[derive(Debug, Clone)]
pub(super) struct Shared<'a> {
    /// The state folder, absolute.
    pub(super) state_folder: &'a Path,
    /// The blob store's URL.
    pub(super) blob_store: &'a str,
    /// What set-up fetched, absolute; the workers find the local model there by themselves.
    pub(super) cache: &'a Path,
    /// The server, `host:port`.
    pub(super) address: &'a str,
    /// The profile file that names the server.
    pub(super) profile_file: &'a Path,
}

/// The file of the local model in the cache, without which neither worker starts.
pub(super) const LOCAL_MODEL_FILE: &str = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// How long a worker may take to drain; longer than the hard deadline in its file.
pub(super) const DRAIN_PATIENCE_SECONDS: u64 = 25;

/// The ai-worker's file.
pub(super) fn ai_worker(shared: &Shared<'_>, health: SocketAddr) -> Result<String, Failure> {
    let mut settings = common(shared, health);
    let journal = format!("sqlite://{}", shared.state_folder.join("journal.db").display());
    settings.insert("journal".into(), section([("url", journal.into())]));
    render(&settings)
}

/// The data-worker's file.
pub(super) fn data_worker(shared: &Shared<'_>, health: SocketAddr) -> Result<String, Failure> {
    render(&common(shared, health))
}

/// The variables of a worker.
pub(super) fn variables(shared: &Shared<'_>) -> Vec<(String, String)> {
    vec![
        ("TEMPORAL_ADDRESS".into(), shared.address.to_owned()),
        ("TEMPORAL_NAMESPACE".into(), super::start::NAMESPACE.to_owned()),
        (
            "TEMPORAL_CONFIG_FILE".into(),
            shared.profile_file.display().to_string(),
        ),
        ("TAW_CACHE".into(), shared.cache.display().to_string()),
        ("TAW_STATE".into(), shared.state_folder.display().to_string()),
    ]
}

/// The caller's variables that mean another server.
pub(super) fn hidden<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names
        .filter(|name| name.starts_with("TEMPORAL_"))
        .cloned()
        .collect()
}

fn common(shared: &Shared<'_>, health: SocketAddr) -> Table {
    let mut settings = Table::new();
    settings.insert("health".into(), section([("listen", health.to_string().into())]));
    // A person who presses Ctrl-C does not wait a minute.
    settings.insert(
        "worker".into(),
        section([
            ("graceful_shutdown_seconds", 5.into()),
            ("drain_hard_deadline_seconds", 20.into()),
        ]),
    );
    // The end of a log is shown when a worker ends.
    settings.insert("telemetry".into(), section([("log_format", "pretty".into())]));
    settings.insert(
        "blob_store".into(),
        section([
            ("url", shared.blob_store.into()),
            ("allow_file_references", true.into()),
        ]),
    );
    settings
}

fn section<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn render(settings: &Table) -> Result<String, Failure> {
    toml::to_string(settings)
        .map_err(|error| Failure::internal(format!("the workers' settings cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_told_where_everything_is() {
        let shared = Shared {
            state_folder: Path::new("/x/a \"b\""),
            blob_store: "file:///x/blobs/",
            cache: Path::new("/cache"),
            address: "127.0.0.1:1",
            profile_file: Path::new("/x/temporal.toml"),
        };
        let text = ai_worker(&shared, SocketAddr::from(([127, 0, 0, 1], 9))).unwrap();
        let settings: Table = text.parse().unwrap();
        assert_eq!(
            settings["journal"]["url"].as_str(),
            Some("sqlite:///x/a \"b\"/journal.db")
        );
        assert_eq!(settings["blob_store"]["url"].as_str(), Some("file:///x/blobs/"));
        assert_eq!(settings["health"]["listen"].as_str(), Some("127.0.0.1:9"));
        let variables = variables(&shared);
        for (name, value) in [("TEMPORAL_ADDRESS", "127.0.0.1:1"), ("TAW_CACHE", "/cache")] {
            assert!(
                variables.contains(&(name.to_owned(), value.to_owned())),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn the_callers_own_server_is_hidden_and_nothing_else() {
        let names = ["TEMPORAL_API_KEY", "AI_WORKER__WORKER__TASK_QUEUE", "PATH"].map(str::to_owned);
        assert_eq!(hidden(names.iter()), ["TEMPORAL_API_KEY"]);
    }
}
