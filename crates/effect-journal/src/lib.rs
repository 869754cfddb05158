#![doc = include_str!("../README.md")]
//!
//! # Layout
//!
//! `journal` holds the trait and what crosses it. `engine` decides, as a function over rows in memory; `rules` is its
//! table of which state may follow which. A store loads the rows, applies the engine and writes them back: `sqlite`
//! in a file, `postgres` in a server's database. Every store runs the same behaviour suite (`tests/store/behaviour`).

mod account;
mod attempt;
mod clock;
mod digest;
mod engine;
mod error;
mod journal;
mod key;
mod limit;
mod note;
mod options;
mod postgres;
mod report;
mod rules;
mod scope;
mod spend;
mod sqlite;

use std::sync::Arc;

use options::Store;

pub use account::{
    Account, AccountClaim, Allowance, Amount, InvalidAccount, InvalidPeriod, OverBudget, Period,
    TenantBudget, TenantStanding,
};
pub use attempt::{AttemptFilter, AttemptRecord, State};
pub use clock::Clock;
pub use digest::RequestDigest;
pub use error::Error;
pub use journal::{
    Claim, ClaimRequest, Clearance, Committed, Journal, Lease, OnUnknown, Settled, Settlement,
};
pub use key::{EffectKey, InvalidKey, Part};
pub use limit::{Circuit, Counts, Feedback, LimitClaim, Limited, RateLimit, Why};
pub use note::{HandOutcome, HandSettlement, Note, NoteAction, NoteFilter};
pub use options::{Options, Problem};
pub use postgres::{Postgres, PostgresOptions};
pub use report::{Dimension, SpendQuery, SpendRow};
pub use scope::Scope;
pub use spend::{EffectClass, Spend, Tally, Totals};
pub use sqlite::Sqlite;

/// Opens the store that the options' URL names, and creates or migrates its tables.
///
/// # Errors
///
/// [`Error::Options`] with every problem at once, or what [`Sqlite::open`] or [`Postgres::open`] return.
pub async fn open(options: &Options) -> Result<Arc<dyn Journal>, Error> {
    match options.store() {
        Ok(Store::Postgres(_)) => Ok(Arc::new(Postgres::open(options).await?)),
        // What is wrong with the URL is told with all other problems.
        Ok(Store::Sqlite(_)) | Err(_) => Ok(Arc::new(Sqlite::open(options).await?)),
    }
}
