//! The journal's behaviour, tried against real stores.
//!
//! `behaviour` knows only the trait and a clock, so that every store is held to the same suite; `sqlite` opens
//! SQLite files for it and adds what only a file can show; `crash` kills a process that holds a lease; `postgres` starts
//! real servers, and kills, freezes and cuts them off. One binary, because every integration binary links the whole of
//! SQLite again.

// Marked as tests, although the whole binary is: only so do the lints that spare tests know the functions that tests
// share.
#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod sqlite;
