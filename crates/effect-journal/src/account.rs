//! Budgets: what may be spent in the name of a run or of a tenant, and what is.
//!
//! A budget is enforced where calls are granted and not where results are summed: two hundred calls that each look at
//! the sum and find room would overspend together. So a claim reserves the most that its call can use, in the same
//! transaction that grants it, and a settlement corrects the reservation to what was really used.
//!
//! A run's limit comes with each claim, because the run holds it in its own history and raises it there. A tenant's
//! is kept in the journal, because it outlives runs; its counters run by day, by month and over all time whether a
//! budget is set or not, so that one set in the middle of a month knows what the month has used.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize, Serializer};

use crate::Spend;
use crate::key::encode_into;

/// Names whose budget it is: `run:namespace/workflow id/first run id`, or `tenant:name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(String);

/// Says why a text names no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccount {
    /// A part is the empty text.
    #[error(
        "the account's name has an empty part: expected run:namespace/workflow id/first run id or tenant:name"
    )]
    Empty,
    /// The tenant's name is too long or has control characters.
    #[error("the tenant's name {0:?} is longer than {max} bytes or has control characters", max = Account::MAX_TENANT_BYTES)]
    Tenant(String),
    /// The text is neither.
    #[error("{0:?} names no account: expected run:namespace/workflow id/first run id or tenant:name")]
    Shape(String),
}

/// Asks for room in a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountClaim {
    /// Whose budget.
    pub account: Account,
    /// The most that may be used, reservations included; `None` is no limit of the claim's own.
    ///
    /// For a tenant this is counted over all time, and beside it hold the budgets that the journal keeps for it.
    pub max: Option<Allowance>,
}

/// Limits what an account may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowance {
    /// In millionths of the account's currency; `None` is no limit.
    pub cost_micros: Option<i64>,
    /// In tokens, read and written together; `None` is no limit.
    pub tokens: Option<u64>,
}

/// Counts what an account uses, in the units that an [`Allowance`] limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// In millionths of the account's currency.
    pub cost_micros: i64,
    /// In tokens, read and written together.
    pub tokens: u64,
}

/// Tells over which time a tenant's budget counts; days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
    /// From the beginning.
    Total,
}

/// Sets what a tenant may use in each period of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantBudget {
    /// The tenant's name.
    pub tenant: String,
    /// The time it counts over; a tenant can have one budget for each.
    pub period: Period,
    /// The most that may be used; one that limits nothing removes the budget.
    pub max: Allowance,
}

/// Shows a tenant's budget and what is used of it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantStanding {
    /// The budget.
    #[serde(flatten)]
    pub budget: TenantBudget,
    /// What is used in the present period, reservations included.
    pub used: Amount,
    /// When the present period ends, in milliseconds since 1970; `None` for a budget over all time.
    pub resets_unix_ms: Option<i64>,
    /// When the budget was set, in milliseconds since 1970 on the store's clock.
    pub changed_unix_ms: i64,
    /// Who set it.
    pub changed_by: String,
}

/// Tells which budget has no room for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverBudget {
    /// Whose budget.
    pub account: Account,
    /// The time it counts over; a run's counts over all time.
    pub period: Period,
    /// The most that may be used.
    pub max: Allowance,
    /// What is used, reservations included.
    pub used: Amount,
    /// What the call would have reserved.
    pub needed: Amount,
    /// How long until the period ends and the count begins anew; `None` if it never does.
    pub resets_in: Option<Duration>,
}

impl Account {
    /// The longest name of a tenant, in bytes.
    pub const MAX_TENANT_BYTES: usize = 64;

    /// Names the budget of a chain of runs, by its first.
    ///
    /// # Errors
    ///
    /// [`InvalidAccount::Empty`] if a part is.
    pub fn run(namespace: &str, workflow_id: &str, first_run_id: &str) -> Result<Self, InvalidAccount> {
        let mut text = String::from("run:");
        for (number, part) in [namespace, workflow_id, first_run_id].into_iter().enumerate() {
            if part.is_empty() {
                return Err(InvalidAccount::Empty);
            }
            if number > 0 {
                text.push('/');
            }
            encode_into(&mut text, part);
        }
        Ok(Self(text))
    }

    /// Names the budgets of a tenant.
    ///
    /// # Errors
    ///
    /// [`InvalidAccount::Empty`] or [`InvalidAccount::Tenant`].
    pub fn tenant(name: &str) -> Result<Self, InvalidAccount> {
        if name.is_empty() {
            return Err(InvalidAccount::Empty);
        }
        if name.len() > Self::MAX_TENANT_BYTES || name.chars().any(char::is_control) {
            return Err(InvalidAccount::Tenant(name.to_owned()));
        }
        Ok(Self(format!("tenant:{name}")))
    }

    /// Returns the account as the text that is stored and sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tenant's name, if it is a tenant's.
    pub fn tenant_name(&self) -> Option<&str> {
        self.0.strip_prefix("tenant:")
    }

    /// Returns the counters that an attempt of this moment counts in.
    pub(crate) fn counters(&self, now_ms: i64) -> Vec<String> {
        if self.tenant_name().is_none() {
            return vec![self.0.clone()];
        }
        Period::ALL
            .into_iter()
            .map(|period| self.counter(period, now_ms))
            .collect()
    }

    /// Returns the counter of a period of a tenant, or a run's only one.
    pub(crate) fn counter(&self, period: Period, now_ms: i64) -> String {
        if self.tenant_name().is_some() {
            format!("{}@{}", self.0, period.label(now_ms))
        } else {
            self.0.clone()
        }
    }
}

impl FromStr for Account {
    type Err = InvalidAccount;

    fn from_str(text: &str) -> Result<Self, InvalidAccount> {
        if let Some(name) = text.strip_prefix("tenant:") {
            return Self::tenant(name);
        }
        let shape = || InvalidAccount::Shape(text.to_owned());
        let path = text.strip_prefix("run:").ok_or_else(shape)?;
        if path.split('/').count() != 3 || path.chars().any(char::is_control) {
            return Err(shape());
        }
        if path.split('/').any(str::is_empty) {
            return Err(InvalidAccount::Empty);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Allowance {
    /// Tells whether it limits nothing.
    pub fn is_unlimited(&self) -> bool {
        self.cost_micros.is_none() && self.tokens.is_none()
    }

    /// Tells whether an amount still fits beside what is used.
    ///
    /// What needs nothing always fits, so that a budget of money that is used up does not stop free models.
    pub(crate) fn holds(&self, used: Amount, needed: Amount) -> bool {
        let cost = self.cost_micros.is_none_or(|max| {
            needed.cost_micros == 0 || used.cost_micros.saturating_add(needed.cost_micros) <= max
        });
        let tokens = self
            .tokens
            .is_none_or(|max| needed.tokens == 0 || used.tokens.saturating_add(needed.tokens) <= max);
        cost && tokens
    }
}

impl Amount {
    /// Returns what a spend counts as.
    pub fn of(spend: &Spend) -> Self {
        Self {
            cost_micros: spend.cost_micros,
            tokens: spend.input_tokens.saturating_add(spend.output_tokens),
        }
    }

    /// Replaces one part of the amount by another.
    pub(crate) fn replace(&mut self, old: Self, new: Self) {
        self.cost_micros = self
            .cost_micros
            .saturating_sub(old.cost_micros)
            .saturating_add(new.cost_micros);
        self.tokens = self.tokens.saturating_sub(old.tokens).saturating_add(new.tokens);
    }
}

impl Period {
    /// Every period, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Total];

    /// Returns the period's name as it is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// Returns the name of the period that a moment is in: `2026-11-05`, `2026-11` or `total`.
    pub(crate) fn label(self, now_ms: i64) -> String {
        let date = date(now_ms);
        match self {
            Self::Day => format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
            Self::Month => format!("{:04}-{:02}", date.year(), date.month()),
            Self::Total => "total".to_owned(),
        }
    }

    /// Returns when the period that a moment is in ends, in milliseconds since 1970.
    pub(crate) fn ends_unix_ms(self, now_ms: i64) -> Option<i64> {
        let date = date(now_ms);
        let next = match self {
            Self::Day => date.checked_add_signed(TimeDelta::days(1)),
            Self::Month => date
                .with_day(1)
                .and_then(|first| first.checked_add_months(Months::new(1))),
            Self::Total => None,
        }?;
        Some(next.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
    }

    /// Returns how long the period that a moment is in still lasts.
    pub(crate) fn remaining(self, now_ms: i64) -> Option<Duration> {
        let end = self.ends_unix_ms(now_ms)?;
        Some(Duration::from_millis(end.saturating_sub(now_ms).unsigned_abs()))
    }
}

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let known = Self::ALL.into_iter().find(|period| period.as_str() == text);
        known.ok_or_else(|| InvalidPeriod(text.to_owned()))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Says that a text names no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no period: expected day, month or total")]
pub struct InvalidPeriod(String);

fn date(now_ms: i64) -> NaiveDate {
    // A clock beyond the calendar's 262,000 years is broken; counting in 1970 keeps the journal working.
    DateTime::from_timestamp_millis(now_ms)
        .unwrap_or_default()
        .date_naive()
}

#[cfg(test)]
mod tests;
