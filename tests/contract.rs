//! What crosses Temporal, pinned.
//!
//! Running workflows, recorded histories and programs in other languages hold what was sent yesterday. So every payload,
//! every name and every field's number is written down in `snapshots`, made from the contracts themselves: a change shows
//! up in review as a changed line, and a field that is new is covered without anybody thinking of it. What a snapshot
//! can't say, such as that an unknown field is let pass, is tried on every message.
//!
//! With `INSTA_UPDATE=always` in the environment the tests write down a difference that is meant.

// Marked as tests, although the whole binary is: only so do the lints that spare tests know the functions that tests
// share.
#[cfg(test)]
#[path = "contract/definitions.rs"]
mod definitions;
#[cfg(test)]
#[path = "contract/examples.rs"]
mod examples;
#[cfg(test)]
#[path = "contract/forms.rs"]
mod forms;
#[cfg(test)]
#[path = "contract/messages.rs"]
mod messages;
#[cfg(test)]
#[path = "contract/payloads.rs"]
mod payloads;
#[cfg(test)]
#[path = "contract/registration.rs"]
mod registration;
#[cfg(test)]
#[path = "contract/schema.rs"]
mod schema;

/// Settings of every snapshot: one folder, named by what is in it, independent of a map's order.
#[cfg(test)]
fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_sort_maps(true);
    settings.set_omit_expression(true);
    settings
}
