//! The ledger as columns.

use effect_journal::{AttemptRecord, Dimension, Note, SpendRow, State, Totals};

use crate::{
    moment,
    money::micros,
    table::{columns, header},
};

/// Sums, with their total in the last row.
pub(super) fn report(by: &[Dimension], rows: &[SpendRow], total: Option<&SpendRow>) -> String {
    if rows.is_empty() {
        return "no calls".to_owned();
    }
    let mut names: Vec<String> = by
        .iter()
        .map(|dimension| dimension.as_str().replace('_', " ").to_uppercase())
        .collect();
    names.extend(header(&[
        "CALLS",
        "COST",
        "TOKENS IN",
        "TOKENS OUT",
        "UNKNOWN",
        "UNKNOWN AT MOST",
        "OPEN",
        "OPEN AT MOST",
        "RELEASED",
    ]));
    let mut table = vec![names];
    for row in rows {
        let mut cells: Vec<String> = by
            .iter()
            .map(|dimension| dash(row.dimensions.get(dimension).map(String::as_str)))
            .collect();
        cells.extend(sums(&row.totals));
        table.push(cells);
    }
    if let Some(total) = total.filter(|_| rows.len() > 1) {
        let mut cells = vec![String::new(); by.len()];
        if let Some(first) = cells.first_mut() {
            "TOTAL".clone_into(first);
        }
        cells.extend(sums(&total.totals));
        table.push(cells);
    }
    columns(&table)
}

fn sums(totals: &Totals) -> [String; 9] {
    [
        totals.settled.attempts.to_string(),
        micros(totals.settled.spend.cost_micros),
        totals.settled.spend.input_tokens.to_string(),
        totals.settled.spend.output_tokens.to_string(),
        totals.unknown.attempts.to_string(),
        micros(totals.unknown.spend.cost_micros),
        totals.open.attempts.to_string(),
        micros(totals.open.spend.cost_micros),
        totals.released.to_string(),
    ]
}

/// Calls one by one.
pub(super) fn attempts(found: &[AttemptRecord]) -> String {
    if found.is_empty() {
        return "no calls".to_owned();
    }
    let mut table = vec![header(&[
        "KEY", "FENCE", "STATE", "COST", "AT MOST", "TENANT", "MODEL", "CLAIMED", "REASON",
    ])];
    for attempt in found {
        let by_hand = if attempt.by_hand { " by hand" } else { "" };
        table.push(vec![
            attempt.key.to_string(),
            attempt.fence.to_string(),
            format!("{}{by_hand}", attempt.state),
            dash(attempt.spend.map(|spend| micros(spend.cost_micros)).as_deref()),
            at_most(attempt),
            dash(attempt.tenant.as_deref()),
            format!("{}/{}", attempt.provider, attempt.model),
            moment::shown(attempt.claimed_unix_ms),
            dash(attempt.reason.as_deref()),
        ]);
    }
    columns(&table)
}

/// What a call that is not over can cost; one that is has its spend.
fn at_most(attempt: &AttemptRecord) -> String {
    match attempt.state {
        State::Reserved | State::Sent | State::Unknown => micros(attempt.upper_bound.cost_micros),
        State::Settled | State::Released => dash(None),
    }
}

/// What was changed by hand.
pub(super) fn notes(found: &[Note]) -> String {
    if found.is_empty() {
        return "no notes".to_owned();
    }
    let mut table = vec![header(&[
        "NUMBER", "WHEN", "WHO", "WHAT", "SUBJECT", "BEFORE", "AFTER", "WHY",
    ])];
    for note in found {
        table.push(vec![
            note.id.to_string(),
            moment::shown(note.unix_ms),
            note.actor.clone(),
            note.action.as_str().replace('_', " "),
            note.subject.clone(),
            note.before.clone(),
            note.after.clone(),
            dash(Some(note.reason.as_str())),
        ]);
    }
    columns(&table)
}

fn dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use effect_journal::{Spend, Tally};

    use super::*;

    #[test]
    fn what_is_unknown_stands_in_a_column_of_its_own() {
        let tally = |attempts, cost_micros| Tally {
            attempts,
            spend: Spend {
                cost_micros,
                ..Spend::default()
            },
        };
        let row = |tenant: &str| SpendRow {
            dimensions: [(Dimension::Tenant, tenant.to_owned())].into(),
            totals: Totals {
                settled: tally(3, 1_500_000),
                unknown: tally(1, 20_000),
                open: tally(0, 0),
                released: 2,
            },
        };
        let text = report(&[Dimension::Tenant], &[row("acme"), row("")], Some(&row("")));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        let column = |name: &str| lines[0].find(name).unwrap();
        assert!(lines[1][column("COST")..].starts_with("1.50"), "{text}");
        assert!(
            lines[1][column("UNKNOWN AT MOST")..].starts_with("0.02"),
            "{text}"
        );
        assert!(lines[2].starts_with("- "), "no tenant: {text}");
        assert!(lines[3].starts_with("TOTAL"), "{text}");
        assert_eq!(report(&[], &[], None), "no calls");
        let one = report(&[], &[row("")], Some(&row("")));
        assert_eq!(one.lines().count(), 2, "one row is its own total: {one}");
    }
}
