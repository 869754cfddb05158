//! Money as a person writes it: units of the price table's currency with up to six decimals.
//!
//! Everything behind the command line counts in whole millionths. The conversion is made digit by digit and never through
//! a floating-point number, because 0.1 is none.

use std::{fmt, str::FromStr};

use workflow_types::request::{LARGEST_AMOUNT, from_double, to_double};

const DECIMALS: usize = 6;
const MICROS: u64 = 1_000_000;
/// Fewer decimals than these look like a count.
const FEWEST_DECIMALS: usize = 2;

/// An amount of money as an argument, in millionths of the currency unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CostArg(u64);

impl CostArg {
    /// Gives the amount as the contracts take it.
    pub(crate) fn to_double(self) -> f64 {
        to_double(self.0)
    }

    /// Gives the amount as the journal takes it.
    pub(crate) fn micros(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl FromStr for CostArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            "give an amount in the price table's currency, with up to six decimals, for example 0.50 or 12"
                .to_owned()
        };
        let (units, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let pointed = text.contains('.') && decimals.is_empty();
        if units.is_empty() || pointed || decimals.len() > DECIMALS || !digits(units) || !digits(decimals) {
            return Err(wrong());
        }
        let units: u64 = units.parse().map_err(|_| wrong())?;
        let decimals: u64 = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| wrong())?;
        units
            .checked_mul(MICROS)
            .and_then(|micros| micros.checked_add(decimals))
            .filter(|micros| *micros <= LARGEST_AMOUNT)
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for CostArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&micros(self.micros()))
    }
}

/// Writes millionths as units, with two to six decimals.
pub(crate) fn micros(amount: i64) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    let mut decimals = format!("{:06}", amount % MICROS);
    while decimals.len() > FEWEST_DECIMALS && decimals.ends_with('0') {
        decimals.pop();
    }
    format!("{sign}{}.{decimals}", amount / MICROS)
}

/// Writes millionths that crossed as a double.
pub(crate) fn crossed(amount: f64) -> String {
    micros(i64::try_from(from_double(amount)).unwrap_or(i64::MAX))
}

/// Writes a count that crossed as a double.
pub(crate) fn count(amount: f64) -> String {
    from_double(amount).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_kept_to_the_last() {
        for (text, expected) in [
            ("0.50", 500_000),
            ("12", 12_000_000),
            ("0.000001", 1),
            ("0", 0),
            ("1.1", 1_100_000),
        ] {
            assert_eq!(text.parse(), Ok(CostArg(expected)), "{text}");
        }
        for text in ["", ".5", "1.", "-1", "0.0000001", "1e3", "1,5", "99999999999999"] {
            assert!(text.parse::<CostArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_amount_is_written_as_it_is_given() {
        assert_eq!(micros(500_000), "0.50");
        assert_eq!(micros(1), "0.000001");
        assert_eq!(micros(12_345_600), "12.3456");
        assert_eq!(micros(-1_000_000), "-1.00");
        assert_eq!(crossed(1_234_567.0), "1.234567");
    }
}
