//! The clock that leases are measured on.
//!
//! Two workers agree on who holds a lease only if they read one clock, so it is the store's: for SQLite that is
//! the machine's, read inside the transaction that depends on it. A clock that is handed in exists for tests,
//! which would otherwise wait for 45 seconds, and can be given only when a store is opened.

/// Tells the time to a store in place of the store's own clock.
pub trait Clock: Send + Sync + 'static {
    /// Returns the milliseconds since the start of 1970, UTC.
    fn unix_ms(&self) -> i64;
}
