//! `spend report`: sums by what is asked for.
//!
//! Calls of unknown outcome and calls under way stand in columns of their own, at the most that they can cost: adding
//! them to what is known would make a bound look like a bill, and leaving them out would hide money.

use effect_journal::{Dimension, Spend, SpendQuery, SpendRow};
use serde_json::{Value, json};

use crate::{
    cli::{DimensionArg, ReportArgs},
    exit::Exit,
    failure::Failure,
    session::Session,
};

use super::{Span, camel, open, tables};

/// Sums the ledger.
pub(super) async fn run(args: &ReportArgs, session: &Session) -> Result<Exit, Failure> {
    let span = Span::of(&args.calls)?;
    let mut by: Vec<Dimension> = Vec::new();
    for dimension in args.by.iter().copied().map(dimension) {
        if !by.contains(&dimension) {
            by.push(dimension);
        }
    }
    let query = SpendQuery {
        since_unix_ms: span.since,
        until_unix_ms: span.until,
        namespace: session.named_namespace().map(str::to_owned),
        workflow_id_prefix: args.workflow.clone(),
        tenant: args.calls.tenant.clone(),
        model: args.calls.model.clone(),
        provider: args.calls.provider.clone(),
        group_by: by.clone(),
        limit: None,
    };
    let journal = open(&args.journal, session).await?;
    let rows = journal.report(query.clone()).await?;
    // Of its own, because the rows may have been cut.
    let whole = SpendQuery {
        group_by: Vec::new(),
        ..query
    };
    let total = journal.report(whole).await?.into_iter().next();
    let document = json!({
        "by": by.iter().map(|dimension| super::camel_case(dimension.as_str())).collect::<Vec<_>>(),
        "rows": rows.iter().map(row).collect::<Result<Vec<_>, _>>()?,
        "total": total.as_ref().map(row).transpose()?,
    });
    session
        .printer
        .either(&document, |_| tables::report(&by, &rows, total.as_ref()))?;
    if rows.len() >= SpendQuery::MAX_ROWS as usize {
        session.printer.remark(
            "there are more rows than are given; --since, --tenant or fewer dimensions of --by make it fewer",
        );
    }
    Ok(Exit::Success)
}

fn row(row: &SpendRow) -> Result<Value, Failure> {
    let mut document = camel(&row.totals)?;
    document["by"] = camel(&row.dimensions)?;
    let at_most: Spend = row.totals.at_most();
    document["atMost"] = camel(&at_most)?;
    Ok(document)
}

fn dimension(arg: DimensionArg) -> Dimension {
    match arg {
        DimensionArg::Tenant => Dimension::Tenant,
        DimensionArg::Model => Dimension::Model,
        DimensionArg::Provider => Dimension::Provider,
        DimensionArg::Workflow => Dimension::Workflow,
        DimensionArg::Run => Dimension::Run,
        DimensionArg::Day => Dimension::Day,
        DimensionArg::PriceTable => Dimension::PriceTable,
        DimensionArg::State => Dimension::State,
    }
}

#[cfg(test)]
mod tests {
    use effect_journal::{Tally, Totals};

    use super::*;

    #[test]
    fn a_row_has_its_dimensions_its_sums_and_its_bound() {
        let tally = |cost_micros| Tally {
            attempts: 1,
            spend: Spend {
                cost_micros,
                ..Spend::default()
            },
        };
        let json = row(&SpendRow {
            dimensions: [(Dimension::PriceTable, "2026-11".to_owned())].into(),
            totals: Totals {
                settled: tally(5),
                unknown: tally(70),
                open: tally(900),
                released: 2,
            },
        })
        .unwrap();
        assert_eq!(json["by"], json!({"priceTable": "2026-11"}));
        assert_eq!(json["settled"]["spend"]["costMicros"], 5);
        assert_eq!(json["unknown"]["attempts"], 1);
        assert_eq!(json["atMost"]["costMicros"], 975);
    }
}
