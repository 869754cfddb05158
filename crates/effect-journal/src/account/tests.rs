//! Names and calendars.

use std::time::Duration;

use super::*;

/// 2026-12-31 23:59:59.500 UTC.
const NEW_YEARS_EVE: i64 = 1_798_761_599_500;

#[test]
fn an_account_survives_its_text() {
    for account in [
        Account::run("default", "a/b", "run").unwrap(),
        Account::tenant("acme").unwrap(),
    ] {
        assert_eq!(account.to_string().parse(), Ok(account));
    }
    let run = Account::run("default", "a/b", "run").unwrap();
    assert_eq!(run.as_str(), "run:default/a%2Fb/run");
    assert_eq!(run.tenant_name(), None);
    assert_eq!(Account::tenant("acme").unwrap().tenant_name(), Some("acme"));
}

#[test]
fn a_text_that_names_nobody_is_refused() {
    for (text, expected) in [
        ("", InvalidAccount::Shape(String::new())),
        ("acme", InvalidAccount::Shape("acme".into())),
        ("run:a/b", InvalidAccount::Shape("run:a/b".into())),
        ("run:a/b/c/d", InvalidAccount::Shape("run:a/b/c/d".into())),
        ("run:a//c", InvalidAccount::Empty),
        ("tenant:", InvalidAccount::Empty),
        ("tenant:a\nb", InvalidAccount::Tenant("a\nb".into())),
    ] {
        assert_eq!(text.parse::<Account>(), Err(expected), "{text:?}");
    }
    assert!(Account::tenant(&"t".repeat(Account::MAX_TENANT_BYTES)).is_ok());
    let long = "t".repeat(Account::MAX_TENANT_BYTES + 1);
    assert_eq!(Account::tenant(&long), Err(InvalidAccount::Tenant(long.clone())));
    assert_eq!(Account::run("a", "", "c"), Err(InvalidAccount::Empty));
}

#[test]
fn a_tenant_counts_by_day_by_month_and_in_all() {
    let tenant = Account::tenant("a@b").unwrap();
    assert_eq!(
        tenant.counters(NEW_YEARS_EVE),
        ["tenant:a@b@2026-12-31", "tenant:a@b@2026-12", "tenant:a@b@total"]
    );
    assert_eq!(tenant.counters(NEW_YEARS_EVE + 500)[0], "tenant:a@b@2027-01-01");
    let run = Account::run("n", "w", "r").unwrap();
    assert_eq!(run.counters(NEW_YEARS_EVE), ["run:n/w/r"]);
}

#[test]
fn a_period_ends_at_midnight_utc() {
    for period in [Period::Day, Period::Month] {
        assert_eq!(period.remaining(NEW_YEARS_EVE), Some(Duration::from_millis(500)));
    }
    assert_eq!(Period::Total.remaining(NEW_YEARS_EVE), None);
    assert_eq!(
        Period::Month.remaining(NEW_YEARS_EVE + 500),
        Some(Duration::from_hours(24 * 31))
    );
}

#[test]
fn an_allowance_stops_what_would_go_beyond_it_and_nothing_that_is_free() {
    let max = Allowance {
        cost_micros: Some(100),
        tokens: None,
    };
    let cost = |cost_micros| Amount {
        cost_micros,
        tokens: 1_000_000,
    };
    assert!(max.holds(cost(60), cost(40)));
    assert!(!max.holds(cost(60), cost(41)));
    assert!(max.holds(cost(5000), cost(0)));
    let tokens = Allowance {
        cost_micros: None,
        tokens: Some(10),
    };
    let used = |tokens| Amount {
        cost_micros: 9,
        tokens,
    };
    assert!(tokens.holds(used(4), used(6)));
    assert!(!tokens.holds(used(4), used(7)));
}
