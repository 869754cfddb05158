//! Chance that can be repeated: every throw follows from the seed, the request and how often that request has come.
//!
//! A generator that is drawn from would hand its numbers out in the order in which requests happen to arrive, and a
//! campaign with eight workers would be another one each time. Here a request meets the same fate whatever runs beside
//! it, so the seed that a failed run printed shows the failure again.

use sha2::{Digest as _, Sha256};

/// The throws of one call.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    base: Sha256,
}

impl Dice {
    /// Makes the dice of the `nth` call with this request.
    pub(crate) fn new(seed: u64, request: &str, nth: u64) -> Self {
        let base = Sha256::new()
            .chain_update(seed.to_be_bytes())
            .chain_update(nth.to_be_bytes())
            .chain_update(request.as_bytes());
        Self { base }
    }

    /// Throws for one purpose; a number from 0 up to but not including 1, the same each time.
    pub(crate) fn throw(&self, purpose: &str, place: u64) -> f64 {
        let digest = self
            .base
            .clone()
            .chain_update([0])
            .chain_update(purpose.as_bytes())
            .chain_update(place.to_be_bytes())
            .finalize();
        let number = digest
            .iter()
            .take(4)
            .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        f64::from(number) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    #[expect(
        clippy::float_cmp,
        reason = "the same throw is the same number to the last bit"
    )]
    fn a_throw_follows_from_seed_request_turn_purpose_and_place() {
        let first = Dice::new(1, "request", 1).throw("chance", 0);
        assert_eq!(first, Dice::new(1, "request", 1).throw("chance", 0));
        for other in [
            Dice::new(2, "request", 1).throw("chance", 0),
            Dice::new(1, "another", 1).throw("chance", 0),
            Dice::new(1, "request", 2).throw("chance", 0),
            Dice::new(1, "request", 1).throw("latency", 0),
            Dice::new(1, "request", 1).throw("chance", 1),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn throws_are_spread_evenly() {
        let low = (0..10_000)
            .filter(|nth| Dice::new(7, "request", *nth).throw("chance", 0) < 0.1)
            .count();
        assert!((900..1_100).contains(&low), "{low}");
    }
}
