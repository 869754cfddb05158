//! One amount that is limited over a length of time, counted in one of the three ways that providers count.
//!
//! Times are milliseconds since 1970 and come from outside, so every way is a plain function of what happened when.

use std::collections::VecDeque;

use super::Algorithm;

/// One limited amount.
#[derive(Debug)]
pub(super) struct Gauge {
    limit: u64,
    window_ms: u64,
    meter: Meter,
}

#[derive(Debug)]
enum Meter {
    /// The level is in parts: an amount times the window, so that what a millisecond refills is a whole number.
    Bucket { level: i128, at: u64 },
    /// What was used since the window began.
    Fixed { start: u64, used: u64 },
    /// What was used when, the oldest first.
    Sliding {
        entries: VecDeque<(u64, u64)>,
        used: u64,
    },
}

impl Gauge {
    pub(super) fn new(algorithm: Algorithm, limit: u64, window_ms: u64, now: u64) -> Self {
        let window_ms = window_ms.max(1);
        let meter = match algorithm {
            Algorithm::TokenBucket => Meter::Bucket {
                level: i128::from(limit) * i128::from(window_ms),
                at: now,
            },
            Algorithm::FixedWindow => Meter::Fixed {
                start: now - now % window_ms,
                used: 0,
            },
            Algorithm::SlidingWindow => Meter::Sliding {
                entries: VecDeque::new(),
                used: 0,
            },
        };
        Self {
            limit,
            window_ms,
            meter,
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Gives how long to wait until an amount fits, in milliseconds; 0 when it fits now. An amount above the limit
    /// never fits, and is told to wait for a whole window.
    pub(super) fn wait(&mut self, amount: u64, now: u64) -> u64 {
        self.roll(now);
        if amount > self.limit {
            return self.window_ms;
        }
        match &self.meter {
            Meter::Bucket { level, .. } => {
                let missing = i128::from(amount) * i128::from(self.window_ms) - level;
                refill_ms(missing, self.limit)
            }
            Meter::Fixed { start, used } => {
                if used + amount <= self.limit {
                    0
                } else {
                    start + self.window_ms - now
                }
            }
            Meter::Sliding { entries, used } => {
                let mut left = used + amount;
                if left <= self.limit {
                    return 0;
                }
                for (at, entry) in entries {
                    left -= entry;
                    if left <= self.limit {
                        return at + self.window_ms - now;
                    }
                }
                self.window_ms
            }
        }
    }

    /// Counts an amount, whether it fits or not.
    pub(super) fn take(&mut self, amount: u64, now: u64) {
        self.roll(now);
        match &mut self.meter {
            Meter::Bucket { level, .. } => *level -= i128::from(amount) * i128::from(self.window_ms),
            Meter::Fixed { used, .. } => *used = used.saturating_add(amount),
            Meter::Sliding { entries, used } => {
                *used = used.saturating_add(amount);
                match entries.back_mut() {
                    Some((at, entry)) if *at == now => *entry = entry.saturating_add(amount),
                    _ => entries.push_back((now, amount)),
                }
            }
        }
    }

    /// Gives back an amount that was taken at a time and not used after all.
    pub(super) fn give_back(&mut self, amount: u64, taken: u64, now: u64) {
        self.roll(now);
        match &mut self.meter {
            Meter::Bucket { level, .. } => {
                let full = i128::from(self.limit) * i128::from(self.window_ms);
                *level = (*level + i128::from(amount) * i128::from(self.window_ms)).min(full);
            }
            Meter::Fixed { start, used } => {
                if taken >= *start {
                    *used = used.saturating_sub(amount);
                }
            }
            Meter::Sliding { entries, used } => {
                if let Some((_, entry)) = entries.iter_mut().find(|(at, _)| *at == taken) {
                    let returned = amount.min(*entry);
                    *entry -= returned;
                    *used -= returned;
                }
            }
        }
    }

    /// Gives what is left, and the milliseconds until all of it is there again.
    pub(super) fn standing(&mut self, now: u64) -> (u64, u64) {
        self.roll(now);
        match &self.meter {
            Meter::Bucket { level, .. } => {
                let window = i128::from(self.window_ms);
                let left = u64::try_from((*level).max(0) / window).unwrap_or(u64::MAX);
                (
                    left,
                    refill_ms(i128::from(self.limit) * window - level, self.limit),
                )
            }
            Meter::Fixed { start, used } => {
                let reset = if *used == 0 {
                    0
                } else {
                    start + self.window_ms - now
                };
                (self.limit.saturating_sub(*used), reset)
            }
            Meter::Sliding { entries, used } => {
                let reset = entries.back().map_or(0, |(at, _)| at + self.window_ms - now);
                (self.limit.saturating_sub(*used), reset)
            }
        }
    }

    fn roll(&mut self, now: u64) {
        match &mut self.meter {
            Meter::Bucket { level, at } => {
                let passed = now.saturating_sub(*at);
                let full = i128::from(self.limit) * i128::from(self.window_ms);
                *level = (*level + i128::from(passed) * i128::from(self.limit)).min(full);
                *at = now.max(*at);
            }
            Meter::Fixed { start, used } => {
                if now >= *start + self.window_ms {
                    *start = now - now % self.window_ms;
                    *used = 0;
                }
            }
            Meter::Sliding { entries, used } => {
                while let Some((_, amount)) = entries.pop_front_if(|(at, _)| *at + self.window_ms <= now) {
                    *used -= amount;
                }
            }
        }
    }
}

/// The milliseconds in which so many parts come in, rounded up.
fn refill_ms(parts: i128, a_millisecond: u64) -> u64 {
    let rate = i128::from(a_millisecond.max(1));
    u64::try_from((parts.max(0) + rate - 1) / rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 600_000;
    const MINUTE: u64 = 60_000;

    fn gauge(algorithm: Algorithm) -> Gauge {
        Gauge::new(algorithm, 60, MINUTE, START)
    }

    #[test]
    fn a_bucket_starts_full_and_refills_evenly() {
        let mut gauge = gauge(Algorithm::TokenBucket);
        assert_eq!(gauge.wait(60, START), 0);
        gauge.take(60, START);
        assert_eq!(gauge.standing(START), (0, MINUTE));
        assert_eq!(gauge.wait(1, START), 1_000);
        assert_eq!(gauge.wait(1, START + 400), 600);
        assert_eq!(gauge.wait(10, START + 10_000), 0);
        assert_eq!(gauge.standing(START + 10_500), (10, 49_500));
        // An hour fills it to the brim and no further.
        assert_eq!(gauge.standing(START + 60 * MINUTE), (60, 0));
    }

    #[test]
    fn a_fixed_window_is_empty_again_at_its_end_whatever_came_last() {
        let mut gauge = gauge(Algorithm::FixedWindow);
        gauge.take(60, START + 59_000);
        assert_eq!(gauge.wait(1, START + 59_500), 500);
        assert_eq!(gauge.standing(START + 59_500), (0, 500));
        assert_eq!(gauge.wait(60, START + MINUTE), 0);
    }

    #[test]
    fn a_sliding_window_forgets_each_amount_a_window_after_it_came() {
        let mut gauge = gauge(Algorithm::SlidingWindow);
        gauge.take(40, START);
        gauge.take(20, START + 30_000);
        assert_eq!(gauge.wait(1, START + 31_000), 29_000);
        assert_eq!(gauge.wait(41, START + 31_000), 59_000);
        assert_eq!(gauge.standing(START + 31_000), (0, 59_000));
        assert_eq!(gauge.wait(40, START + MINUTE), 0);
        assert_eq!(gauge.standing(START + MINUTE), (40, 30_000));
        assert_eq!(gauge.standing(START + 90_000), (60, 0));
    }

    #[test]
    fn what_was_not_used_is_given_back() {
        for algorithm in [
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
        ] {
            let mut gauge = gauge(algorithm);
            gauge.take(60, START);
            gauge.give_back(25, START, START);
            assert_eq!(gauge.standing(START).0, 25, "{algorithm:?}");
            // What was taken in a window that is over does not make the next one larger.
            gauge.give_back(35, START, START + 10 * MINUTE);
            assert_eq!(gauge.standing(START + 10 * MINUTE).0, 60, "{algorithm:?}");
        }
    }

    #[test]
    fn a_debt_is_paid_before_anything_else_fits_and_too_much_never_fits() {
        let mut gauge = gauge(Algorithm::TokenBucket);
        gauge.take(90, START);
        assert_eq!(gauge.standing(START).0, 0);
        assert_eq!(gauge.wait(1, START), 31_000);
        assert_eq!(gauge.wait(61, START + 10 * MINUTE), MINUTE);
    }
}
