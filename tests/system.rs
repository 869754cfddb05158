//! The whole of it, as a user has it: a real Temporal server, the real workers, and the real local model.
//!
//! Each test owns an installation of its own, started by `pipelinectl dev` as a person would, because a shared one would
//! let a test see what another left. Where a test is about what a model does, the model is the local one; where it is
//! about what happens around a model, a provider answers by script, so that nothing depends on what a model says.

// Marked as tests, although the whole binary is: only so do the lints that spare tests know the functions that tests
// share.
#[cfg(test)]
#[path = "system/answers_kept.rs"]
mod answers_kept;
#[cfg(test)]
#[path = "system/anthropic.rs"]
mod anthropic;
#[cfg(test)]
#[path = "system/api_keys.rs"]
mod api_keys;
#[cfg(test)]
#[path = "system/bad_input.rs"]
mod bad_input;
#[cfg(test)]
#[path = "system/batches.rs"]
mod batches;
#[cfg(test)]
#[path = "system/budgets.rs"]
mod budgets;
#[cfg(test)]
#[path = "system/cancelling.rs"]
mod cancelling;
#[cfg(test)]
#[path = "system/chunks.rs"]
mod chunks;
#[cfg(test)]
#[path = "system/clean_up.rs"]
mod clean_up;
#[cfg(test)]
#[path = "system/command_line.rs"]
mod command_line;
#[cfg(test)]
#[path = "system/configuration.rs"]
mod configuration;
#[cfg(test)]
#[path = "system/deadlines.rs"]
mod deadlines;
#[cfg(test)]
#[path = "system/exit_codes.rs"]
mod exit_codes;
#[cfg(test)]
#[path = "system/fallback.rs"]
mod fallback;
#[cfg(test)]
#[path = "system/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "system/local_model.rs"]
mod local_model;
#[cfg(test)]
#[path = "system/logs.rs"]
mod logs;
#[cfg(test)]
#[path = "system/mutual_tls.rs"]
mod mutual_tls;
#[cfg(test)]
#[path = "system/other_clients.rs"]
mod other_clients;
#[cfg(test)]
#[path = "system/refused.rs"]
mod refused;
#[cfg(test)]
#[path = "system/repair.rs"]
mod repair;
#[cfg(test)]
#[path = "system/reviews.rs"]
mod reviews;
#[cfg(test)]
#[path = "system/secured.rs"]
mod secured;
#[cfg(test)]
#[path = "system/spend.rs"]
mod spend;
#[cfg(test)]
#[path = "system/stack.rs"]
mod stack;
#[cfg(test)]
#[path = "system/time_skipping.rs"]
mod time_skipping;
