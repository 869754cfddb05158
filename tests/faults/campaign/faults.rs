//! Which fault comes when.

use std::time::Duration;

use fastrand::Rng;

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9` of some worker, and another in its place.
    KillWorker,
    /// The Temporal server is killed and stays away.
    ServerAway(Duration),
    /// No worker reaches the server, and nobody is told.
    Partition(Duration),
    /// Some worker stands still, and wakes up.
    StandStill(Duration),
    /// The journal's server is killed and stays away.
    KillJournal(Duration),
}

/// How much of everything.
#[derive(Debug, Clone)]
pub(super) struct Size {
    /// Calls that are asked for.
    pub(super) calls: usize,
    /// How long half of the calls take at most, in milliseconds: as long as there are faults to come, there are calls.
    pub(super) median_ms: u32,
    /// Workers that are killed.
    kills: usize,
    /// What happens beside that.
    others: Vec<Fault>,
}

impl Size {
    /// What fits into every run of the tests.
    pub(super) fn short() -> Self {
        Self {
            calls: 120,
            median_ms: 2_000,
            kills: 12,
            others: vec![
                Fault::ServerAway(Duration::from_secs(12)),
                Fault::KillJournal(Duration::from_secs(2)),
            ],
        }
    }

    /// What shows that it holds.
    pub(super) fn long() -> Self {
        let seconds = Duration::from_secs;
        Self {
            calls: 1_000,
            median_ms: 3_000,
            kills: 200,
            others: vec![
                Fault::ServerAway(seconds(4)),
                Fault::ServerAway(seconds(12)),
                Fault::ServerAway(seconds(30)),
                Fault::Partition(seconds(15)),
                Fault::StandStill(seconds(8)),
                Fault::StandStill(seconds(8)),
                Fault::StandStill(seconds(8)),
                Fault::KillJournal(seconds(2)),
                Fault::KillJournal(seconds(5)),
                Fault::KillJournal(seconds(10)),
            ],
        }
    }
}

/// Draws the moments: after how many calls each fault comes, in that order.
pub(super) fn schedule(size: &Size, rng: &mut Rng) -> Vec<(usize, Fault)> {
    let kills = std::iter::repeat_n(Fault::KillWorker, size.kills);
    let mut faults: Vec<Fault> = kills.chain(size.others.iter().copied()).collect();
    rng.shuffle(&mut faults);
    // The last calls are left in peace: what comes after them would meet nobody.
    let moments = 1..size.calls - size.calls / 10;
    let mut moments: Vec<usize> = faults.iter().map(|_| rng.usize(moments.clone())).collect();
    moments.sort_unstable();
    moments.into_iter().zip(faults).collect()
}

#[test]
fn a_seed_decides_the_moments_and_the_faults() {
    let drawn = |seed| schedule(&Size::long(), &mut Rng::with_seed(seed));
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    let plan = drawn(7);
    assert_eq!(plan.len(), 210);
    assert!(plan.is_sorted_by_key(|(calls, _)| *calls));
    assert!(plan.iter().all(|(calls, _)| (1..900).contains(calls)));
}
