//! How long a provider takes, as the distributions that real ones are described by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// The longest that is ever drawn: a heavy tail must not hold a test for hours.
const LONGEST: Duration = Duration::from_mins(10);
/// How many standard deviations the 99th percentile lies above the median.
const P99_DEVIATIONS: f64 = 2.326_347_874;

/// A distribution of waiting times, in milliseconds; nothing above ten minutes is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same.
    Fixed {
        /// That time.
        ms: u32,
    },
    /// Any time between two bounds, all equally likely.
    Uniform {
        /// The shortest.
        min_ms: u32,
        /// The longest.
        max_ms: u32,
    },
    /// A bell around a mean, cut off at 0.
    Normal {
        /// The mean.
        mean_ms: u32,
        /// The standard deviation.
        deviation_ms: u32,
    },
    /// Short times often and long ones seldom.
    Exponential {
        /// The mean.
        mean_ms: u32,
    },
    /// What measured services look like: a median and a tail to the right.
    LogNormal {
        /// Half of the times are shorter.
        median_ms: u32,
        /// One of a hundred is longer; not below the median.
        p99_ms: u32,
    },
}

impl Latency {
    /// Draws a time; the same dice, purpose and place give the same one.
    pub(crate) fn draw(self, dice: &Dice, purpose: &str, place: u64) -> Duration {
        let throw = || dice.throw(purpose, place);
        // Of two throws, one bell-shaped number; 1 minus a throw is never 0, of which there is no logarithm.
        let bell = || {
            let other = dice.throw("angle", place);
            (-2.0 * (1.0 - throw()).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
        };
        let milliseconds = match self {
            Self::Fixed { ms } => f64::from(ms),
            Self::Uniform { min_ms, max_ms } => {
                f64::from(min_ms) + throw() * f64::from(max_ms.saturating_sub(min_ms))
            }
            Self::Normal {
                mean_ms,
                deviation_ms,
            } => f64::from(mean_ms) + bell() * f64::from(deviation_ms),
            Self::Exponential { mean_ms } => -(1.0 - throw()).ln() * f64::from(mean_ms),
            Self::LogNormal { median_ms, p99_ms } => {
                let median = f64::from(median_ms.max(1)).ln();
                let deviation = (f64::from(p99_ms.max(median_ms).max(1)).ln() - median) / P99_DEVIATIONS;
                (median + deviation * bell()).exp()
            }
        };
        Duration::try_from_secs_f64(milliseconds.max(0.0) / 1_000.0)
            .map_or(LONGEST, |drawn| drawn.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(latency: Latency) -> Vec<u128> {
        let mut drawn: Vec<u128> = (0..2_000)
            .map(|nth| {
                latency
                    .draw(&Dice::new(3, "request", nth), "latency", 0)
                    .as_millis()
            })
            .collect();
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn every_distribution_has_the_middle_and_the_tail_that_it_names() {
        assert_eq!(drawn(Latency::Fixed { ms: 7 }), vec![7; 2_000]);

        let uniform = drawn(Latency::Uniform {
            min_ms: 100,
            max_ms: 300,
        });
        assert!(uniform[0] >= 100 && uniform[1_999] < 300);
        assert!((190..210).contains(&uniform[1_000]), "{}", uniform[1_000]);

        let normal = drawn(Latency::Normal {
            mean_ms: 500,
            deviation_ms: 100,
        });
        assert!((490..510).contains(&normal[1_000]), "{}", normal[1_000]);
        assert!(
            (580..620).contains(&normal[1_682]),
            "one deviation above: {}",
            normal[1_682]
        );

        let exponential = drawn(Latency::Exponential { mean_ms: 100 });
        assert!(
            (62..76).contains(&exponential[1_000]),
            "ln 2 of the mean: {}",
            exponential[1_000]
        );

        let service = drawn(Latency::LogNormal {
            median_ms: 800,
            p99_ms: 8_000,
        });
        assert!((740..860).contains(&service[1_000]), "{}", service[1_000]);
        assert!((6_000..10_500).contains(&service[1_980]), "{}", service[1_980]);
    }

    #[test]
    fn no_tail_is_longer_than_the_limit_and_no_bell_below_nothing() {
        let long = drawn(Latency::Exponential { mean_ms: u32::MAX });
        assert_eq!(long[1_999], LONGEST.as_millis());
        let low = drawn(Latency::Normal {
            mean_ms: 0,
            deviation_ms: 50,
        });
        assert_eq!(low[0], 0);
    }
}
