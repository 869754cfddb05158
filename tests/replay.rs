//! Recorded runs against today's code.
//!
//! A run that is under way when a worker is replaced goes on in the new code, which has to come to the same decisions in
//! the same order; where it doesn't, Temporal stops the run. `histories` holds runs of every workflow as they really
//! happened, with retries, cancellation and failures, and each is replayed here. Today's types also have to read every
//! payload in them, because replay alone stops at the first command that differs and never looks at a result that no
//! decision depends on.
//!
//! `make histories` records all of them anew, which is right until a release is out. From then on runs under way are
//! older than the code, so files are only added: those of a new behaviour, beside those of the old.

// Marked as tests, although the whole binary is: only so do the lints that spare tests know the functions that tests
// share.
#[cfg(test)]
#[path = "replay/gate.rs"]
mod gate;
#[cfg(test)]
#[path = "replay/kinds.rs"]
mod kinds;
#[cfg(test)]
#[path = "replay/payloads.rs"]
mod payloads;
