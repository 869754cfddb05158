//! What calls cost: which prices hold for a model, and what a number of tokens comes to.
//!
//! A budget is only as good as the price it is counted with, so a price is never guessed. It is looked up in this
//! order: the model's own settings, the operator's price table, the list prices that are shipped with this crate. A
//! model that none of them knows is refused at start-up. What was used is named in the ledger with its version, so
//! that a bill can be checked against the prices of its day.
//!
//! The shipped list is that of the vendors' own endpoints. A reseller, a discount, or another currency is a matter of
//! the operator's table; amounts of different currencies cannot be added up, so a table in another currency than the
//! list replaces the list altogether.

mod amount;
mod pattern;
mod table;

use std::path::Path;

use crate::provider::Billing;

pub use self::amount::{cost, upper_bound};
pub use self::table::{Error, Table};

/// The list prices that are shipped.
const SHIPPED: &str = include_str!("../prices.toml");

/// All price tables that count, in their order.
#[derive(Debug, Clone)]
pub struct Prices {
    own: Option<Table>,
    /// Absent where the operator's table is in another currency.
    list: Option<Table>,
    currency: String,
}

/// The prices of a model, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// What a call costs.
    pub billing: Billing,
    /// The table's name and version for the ledger; `settings` for prices of the model's own; empty when free.
    pub table: String,
}

/// A model whose price is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'m> {
    /// The provider's name in model references.
    pub provider: &'m str,
    /// The protocol that it speaks: `openai` or `anthropic`.
    pub protocol: &'m str,
    /// The model's name.
    pub model: &'m str,
    /// The price that the model's settings name, if they do.
    pub billing: Option<Billing>,
}

impl Prices {
    /// Gives the list prices alone.
    ///
    /// # Errors
    /// When the shipped table cannot be used, which would be a defect of this build.
    pub fn shipped() -> Result<Self, Error> {
        Self::with_own(None)
    }

    /// Reads the operator's table, if there is one, and puts it before the list prices.
    ///
    /// # Errors
    /// When the file cannot be read, is no table, or holds entries that cannot be used; all problems together.
    pub fn load(own: Option<&Path>) -> Result<Self, Error> {
        Self::with_own(own.map(Table::read).transpose()?)
    }

    /// Puts a table before the list prices.
    ///
    /// # Errors
    /// When the shipped table cannot be used, which would be a defect of this build.
    pub fn with_own(own: Option<Table>) -> Result<Self, Error> {
        let list = Table::parse(SHIPPED, "the shipped price table")?;
        let currency = own
            .as_ref()
            .map_or_else(|| list.currency(), Table::currency)
            .to_owned();
        Ok(Self {
            list: Some(list).filter(|list| list.currency() == currency),
            own,
            currency,
        })
    }

    /// Gives the currency of all amounts, such as `USD`.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// Names the tables and their versions.
    pub fn describe(&self) -> String {
        let own = self
            .own
            .iter()
            .map(|table| format!("your price table {}", table.version()));
        let list = self
            .list
            .iter()
            .map(|table| format!("the list prices of {}", table.version()));
        own.chain(list).collect::<Vec<_>>().join(" or ")
    }

    /// Gives the price of a model, or none where nobody knows it.
    pub fn resolve(&self, asked: Asked<'_>) -> Option<Priced> {
        if let Some(billing) = asked.billing {
            let table = match billing {
                Billing::Free => String::new(),
                Billing::PerToken { .. } => "settings".to_owned(),
            };
            return Some(Priced { billing, table });
        }
        let tables = [("own", &self.own), ("list", &self.list)];
        tables.into_iter().find_map(|(name, table)| {
            let table = table.as_ref()?;
            Some(Priced {
                billing: table.find(asked)?,
                table: format!("{name} {}", table.version()),
            })
        })
    }
}

#[cfg(test)]
mod tests;
