//! Sums of the ledger by what an operator asks for.
//!
//! One query with a list of dimensions stands in for a report per question: spend by tenant, by model and day, by the
//! price table that it was computed with. It reads attempts and not results, as everything about money does.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Totals;

/// Selects attempts and says what to sum them by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpendQuery {
    /// Only attempts claimed at this moment or later, in milliseconds since 1970.
    pub since_unix_ms: Option<i64>,
    /// Only attempts claimed before this moment, in milliseconds since 1970.
    pub until_unix_ms: Option<i64>,
    /// Only attempts of this namespace.
    pub namespace: Option<String>,
    /// Only attempts of workflows whose id begins like this.
    pub workflow_id_prefix: Option<String>,
    /// Only attempts for this tenant.
    pub tenant: Option<String>,
    /// Only attempts at this model.
    pub model: Option<String>,
    /// Only attempts at this provider.
    pub provider: Option<String>,
    /// What to sum by, in this order; nothing gives one row.
    pub group_by: Vec<Dimension>,
    /// The most rows to return; `None` is [`SpendQuery::MAX_ROWS`], which is the most there are.
    pub limit: Option<u32>,
}

/// Names what attempts can be summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The tenant; empty where none was given.
    Tenant,
    /// The model.
    Model,
    /// The provider.
    Provider,
    /// `namespace/workflow id`, spelled as in an effect key.
    Workflow,
    /// `namespace/workflow id/first run id`, spelled as in an effect key.
    Run,
    /// The day that the attempt was claimed on, in UTC: `2026-11-05`.
    Day,
    /// The version of the prices that its money was computed with; empty where nothing is billed.
    PriceTable,
    /// Where the attempt stands.
    State,
}

/// One sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpendRow {
    /// What is summed: each dimension asked for, with its value.
    pub dimensions: BTreeMap<Dimension, String>,
    /// The sums.
    pub totals: Totals,
}

impl SpendQuery {
    /// The most rows that are returned.
    pub const MAX_ROWS: u32 = 10_000;
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 8] = [
        Self::Tenant,
        Self::Model,
        Self::Provider,
        Self::Workflow,
        Self::Run,
        Self::Day,
        Self::PriceTable,
        Self::State,
    ];

    /// Returns the dimension's name as it is printed and typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Workflow => "workflow",
            Self::Run => "run",
            Self::Day => "day",
            Self::PriceTable => "price_table",
            Self::State => "state",
        }
    }
}
