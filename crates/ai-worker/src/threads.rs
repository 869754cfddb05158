//! How many threads the local model's tokens are computed on.
//!
//! The inference engine reads the number from the environment, once, and its default spins on every core: beside other
//! work that is several times slower than one thread. Nothing but the environment can change it, and a running process
//! can't safely change its own, so the worker starts itself again with the variable set. The process id stays.

use std::{env, os::unix::process::CommandExt as _, process::Command};

use local_models::provider::TOKEN_THREADS_VARIABLE;
use worker_factory::Invocation;

/// Sees to it that the number of threads is set; returns when it is, or when nothing can be done about it.
///
/// A process that can't be started again goes on, and the engine's loading warns about the number.
pub(crate) fn limit(invocation: &Invocation) {
    if invocation
        .env
        .iter()
        .any(|(name, _)| name == TOKEN_THREADS_VARIABLE)
    {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    // Returns only when the program could not be started again.
    let _could_not_start = Command::new(program)
        .args(invocation.args.iter().skip(1))
        .env(TOKEN_THREADS_VARIABLE, "1")
        .exec();
}
