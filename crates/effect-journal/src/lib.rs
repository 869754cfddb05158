#![doc = include_str!("../README.md")]
//!
//! # Layout
//!
//! `journal` holds the trait and what crosses it; `rules` decides which state may follow which, without a store;
//! `sqlite` keeps the states. A second store implements the trait, asks the same rules, and runs the same
//! behaviour suite (`tests/store/behaviour`). Rules spread over the SQL of each store would drift apart.

mod attempt;
mod clock;
mod digest;
mod error;
mod journal;
mod key;
mod options;
mod rules;
mod scope;
mod spend;
mod sqlite;

use std::sync::Arc;

pub use attempt::{AttemptFilter, AttemptRecord, State};
pub use clock::Clock;
pub use digest::RequestDigest;
pub use error::Error;
pub use journal::{
    Claim, ClaimRequest, Clearance, Committed, Journal, Lease, OnUnknown, Settled, Settlement,
};
pub use key::{EffectKey, InvalidKey, Part};
pub use options::{Options, Problem};
pub use scope::Scope;
pub use spend::{EffectClass, Spend, Tally, Totals};
pub use sqlite::Sqlite;

/// Opens the store that the options' URL names, and creates or migrates its tables.
///
/// # Errors
///
/// [`Error::Options`] with every problem at once, or what [`Sqlite::open`] returns.
pub async fn open(options: &Options) -> Result<Arc<dyn Journal>, Error> {
    Ok(Arc::new(Sqlite::open(options).await?))
}
