//! What happens when things break, tried on the shipped binaries with a real server.
//!
//! Each test breaks one thing at a moment that a gate of the scripted provider makes exact, and then asks three witnesses:
//! the run's result, the effect journal and the provider's own account on disk. A kill that came "about then" would pass
//! whether or not the moment was hit. The tests run one after another, because another one beside it would make a deadline
//! of seconds lie. `LONG=1` repeats what depends on the moment.

// Marked as tests, although the whole binary is: only so do the lints that spare tests know the functions that tests
// share.
#[cfg(test)]
#[path = "faults/batch.rs"]
mod batch;
#[cfg(test)]
#[path = "faults/campaign.rs"]
mod campaign;
#[cfg(test)]
#[path = "faults/disk.rs"]
mod disk;
#[cfg(test)]
#[path = "faults/drain.rs"]
mod drain;
#[cfg(test)]
#[path = "faults/kill.rs"]
mod kill;
#[cfg(test)]
#[path = "faults/lies.rs"]
mod lies;
#[cfg(test)]
#[path = "faults/outage.rs"]
mod outage;
#[cfg(test)]
#[path = "faults/provider.rs"]
mod provider;
#[cfg(test)]
#[path = "faults/streams.rs"]
mod streams;
#[cfg(test)]
#[path = "faults/throughput.rs"]
mod throughput;
#[cfg(test)]
#[path = "faults/two_workers.rs"]
mod two_workers;
