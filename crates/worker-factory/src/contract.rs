//! What is registered must be what the queue's contract lists, or the worker does not start.
//!
//! A worker that lacks an activity fails every attempt of it, and one that lacks a workflow fails its
//! tasks until the execution times out; both look like a slow system from outside. The check compares the
//! two lists before the first poll.
//!
//! The SDK keeps the names of registered activities and workflows private and shows them in its `Debug`
//! output alone, so that is where they are read. A test here registers real ones, so a release of the SDK
//! that prints them otherwise fails the build and not a deployment; a text that cannot be read is an
//! error, never an empty list.

use std::collections::BTreeSet;

use temporalio_sdk::WorkerOptions;

/// The names that a task queue's callers rely on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Contract {
    /// The workflow types.
    pub workflows: &'static [&'static str],
    /// The activity types.
    pub activities: &'static [&'static str],
}

/// Why a worker may not serve its queue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lists differ.
    #[error("this worker does not serve what the contract of the task queue `{queue}` lists: {}", differences.join("; "))]
    Differs {
        /// The task queue.
        queue: String,
        /// One entry a name.
        differences: Vec<String>,
    },
    /// The SDK's output has another shape than this crate knows.
    #[error(
        "the names of registered {what} cannot be read from the SDK's `{text}`; this release of the SDK is not supported"
    )]
    Unreadable {
        /// Workflows or activities.
        what: &'static str,
        /// What was printed.
        text: String,
    },
}

/// Compares what is registered with the contract.
///
/// # Errors
///
/// Returns [`Error::Differs`] with every missing and every unexpected name.
pub fn check(options: &WorkerOptions, contract: &Contract) -> Result<(), Error> {
    let workflows = names("workflows", &format!("{:?}", options.workflows()))?;
    let activities = names("activities", &format!("{:?}", options.activities()))?;
    let mut differences = compare("workflow", &workflows, contract.workflows);
    differences.extend(compare("activity", &activities, contract.activities));
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Error::Differs {
            queue: options.task_queue.clone(),
            differences,
        })
    }
}

/// Tells whether any activity is registered.
pub(crate) fn has_activities(options: &WorkerOptions) -> bool {
    names("activities", &format!("{:?}", options.activities())).is_ok_and(|names| !names.is_empty())
}

fn compare(what: &str, registered: &BTreeSet<String>, listed: &[&str]) -> Vec<String> {
    let missing = listed.iter().filter(|name| !registered.contains(**name));
    let unexpected = registered.iter().filter(|name| !listed.contains(&name.as_str()));
    missing
        .map(|name| format!("the {what} `{name}` is listed and not registered"))
        .chain(unexpected.map(|name| format!("the {what} `{name}` is registered and not listed")))
        .collect()
}

/// Reads `Name { what: ["a", "b"] }`: a list of quoted texts, which is also a TOML array.
fn names(what: &'static str, text: &str) -> Result<BTreeSet<String>, Error> {
    let unreadable = || Error::Unreadable {
        what,
        text: text.to_owned(),
    };
    let start = text
        .find(&format!("{what}: ["))
        .map(|at| at + what.len() + 2)
        .ok_or_else(unreadable)?;
    let end = text.rfind(']').ok_or_else(unreadable)?;
    let list = text.get(start..=end).ok_or_else(unreadable)?;
    let table: toml::Table = format!("names = {list}").parse().map_err(|_| unreadable())?;
    table
        .get("names")
        .and_then(toml::Value::as_array)
        .and_then(|values| {
            values
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect()
        })
        .ok_or_else(unreadable)
}

#[cfg(test)]
mod tests;
