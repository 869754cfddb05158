#![doc = include_str!("../README.md")]
//!
//! What the tests that cross crates share: a real server, real workers, a provider that misbehaves, and an audit.
//!
//! Nothing here stands in for a part of the product. The server is the dev server in a process of its own, the workers
//! are the binaries as they are shipped, and the only thing that is scripted is the provider, which keeps its own account
//! of every call on disk. So a test asks three witnesses that do not know each other: Temporal's history, the effect
//! journal and the provider's account.
//!
//! - [`Rig`] is all of it in one temporary folder; a test starts one.
//! - [`Process`] is a child that is stopped by its id when it is dropped, and whose log is shown when a test fails.
//! - [`Server`] can be killed, and comes back on the same port and database.
//! - [`SkippingRig`] is the same around a server whose clock jumps over hours.
//! - [`Worker`] is an `ai-worker` or a `data-worker` with its probes.
//! - [`Front`] stands before the server as TLS, client certificates or an API key; [`Authority`] makes its certificates.
//! - [`Proxy`] is a way to a server that can be cut.
//! - [`Ledger`] reads the journal; [`Rig::audit`] holds it against the provider's bill and all histories.

mod authority;
mod command;
mod front;
mod history;
mod ledger;
mod patience;
mod probe;
mod process;
mod proxy;
pub mod request;
mod rig;
mod server;
mod skipping;
mod worker;

pub use auditor::{Rule, Verdict};
pub use authority::{Authority, Credential, CredentialFiles};
pub use command::Said;
pub use front::{Call, Front, Terms};
pub use history::Attempts;
pub use ledger::Ledger;
pub use patience::{outage, within};
pub use process::Process;
pub use proxy::Proxy;
pub use request::{CLAUDE, MODEL, SPARE, prompt};
pub use rig::{Plan, Rig};
pub use server::Server;
pub use skipping::{SkippingRig, Times};
pub use worker::{Settings, Worker};
