//! What the ledger says when it is asked by something.

use std::time::Duration;

use effect_journal::{
    AttemptFilter, ClaimRequest, Clock as _, Dimension, EffectKey, SpendQuery, SpendRow, State,
};

use super::{Store, answer, request};

struct Call {
    namespace: &'static str,
    workflow: &'static str,
    tenant: Option<&'static str>,
    model: &'static str,
}

const CALLS: [Call; 4] = [
    Call {
        namespace: "default",
        workflow: "sum/1",
        tenant: Some("acme"),
        model: "small",
    },
    Call {
        namespace: "default",
        workflow: "sum/10",
        tenant: Some("acme"),
        model: "large",
    },
    Call {
        namespace: "default",
        workflow: "other",
        tenant: None,
        model: "small",
    },
    Call {
        namespace: "else",
        workflow: "sum/1",
        tenant: Some("zeta"),
        model: "small",
    },
];

/// Settles the calls at 1, 2, 4 and 8, a day apart, and leaves one more of the first workflow unknown.
async fn fill(store: &Store) {
    for (number, call) in CALLS.iter().enumerate() {
        let lease = store.sent_for(claim(call, "call/0")).await;
        let _ = store.settle(&lease, answer("answer", 1 << number)).await.unwrap();
        store.clock.advance(Duration::from_hours(24));
    }
    let lost = store.sent_for(claim(&CALLS[0], "call/1")).await;
    store.mark_unknown(&lost, "connection reset").await.unwrap();
}

fn claim(call: &Call, step: &str) -> ClaimRequest {
    let key = EffectKey::new(call.namespace, call.workflow, "run", step).unwrap();
    ClaimRequest {
        tenant: call.tenant.map(str::to_owned),
        model: call.model.into(),
        provider: format!("{}-provider", call.model),
        price_table: format!("table-of-{}", call.model),
        ..request(&key)
    }
}

async fn rows(store: &Store, query: SpendQuery) -> Vec<(String, i64)> {
    let rows: Vec<SpendRow> = store.journal.report(query).await.unwrap();
    rows.into_iter()
        .map(|row| {
            let values: Vec<_> = row.dimensions.into_values().collect();
            (values.join(" "), row.totals.at_most().cost_micros)
        })
        .collect()
}

/// Dimensions, and the sums by their values.
type Sums = (&'static [Dimension], &'static [(&'static str, i64)]);

const SUMS: [Sums; 10] = [
    (&[], &[("", 1015)]),
    (&[Dimension::Tenant], &[("", 4), ("acme", 1003), ("zeta", 8)]),
    (&[Dimension::Model], &[("large", 2), ("small", 1013)]),
    (
        &[Dimension::Provider],
        &[("large-provider", 2), ("small-provider", 1013)],
    ),
    (
        &[Dimension::PriceTable],
        &[("table-of-large", 2), ("table-of-small", 1013)],
    ),
    (&[Dimension::State], &[("settled", 15), ("unknown", 1000)]),
    (
        &[Dimension::Workflow],
        &[
            ("default/other", 4),
            ("default/sum%2F1", 1001),
            ("default/sum%2F10", 2),
            ("else/sum%2F1", 8),
        ],
    ),
    (
        &[Dimension::Run],
        &[
            ("default/other/run", 4),
            ("default/sum%2F1/run", 1001),
            ("default/sum%2F10/run", 2),
            ("else/sum%2F1/run", 8),
        ],
    ),
    (
        &[Dimension::Day],
        &[
            ("2026-01-01", 1),
            ("2026-01-02", 2),
            ("2026-01-03", 4),
            ("2026-01-04", 8),
            ("2026-01-05", 1000),
        ],
    ),
    (
        &[Dimension::Tenant, Dimension::Model],
        &[
            (" small", 4),
            ("acme large", 2),
            ("acme small", 1001),
            ("zeta small", 8),
        ],
    ),
];

pub(crate) async fn sums_are_grouped_by_every_dimension(store: Store) {
    // 2026-01-01 at midnight, whatever the store's test clock begins with.
    store.clock.set(1_767_225_600_000);
    fill(&store).await;
    for (group_by, expected) in SUMS {
        let query = SpendQuery {
            group_by: group_by.to_vec(),
            ..SpendQuery::default()
        };
        let owned = |(values, cost): &(&str, i64)| ((*values).to_owned(), *cost);
        let expected: Vec<_> = expected.iter().map(owned).collect();
        assert_eq!(rows(&store, query).await, expected, "{group_by:?}");
    }
    let all = store
        .journal
        .report(SpendQuery::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((all.totals.settled.attempts, all.totals.unknown.attempts), (4, 1));
}

pub(crate) async fn sums_are_filtered(store: Store) {
    fill(&store).await;
    let yesterday = store.clock.unix_ms() - 24 * 60 * 60 * 1000;
    let filters: [(Change<'_, SpendQuery>, i64); 9] = [
        (&|query| query.tenant = Some("acme".into()), 1003),
        (&|query| query.model = Some("large".into()), 2),
        (&|query| query.provider = Some("small-provider".into()), 1013),
        (&|query| query.namespace = Some("default".into()), 1007),
        (&|query| query.workflow_id_prefix = Some("sum/1".into()), 1011),
        (&|query| query.workflow_id_prefix = Some("sum/10".into()), 2),
        (
            &|query| (query.workflow_id_prefix, query.namespace) = (Some("sum".into()), Some("else".into())),
            8,
        ),
        (&|query| query.since_unix_ms = Some(yesterday), 1008),
        (&|query| query.until_unix_ms = Some(yesterday), 7),
    ];
    for (filter, expected) in filters {
        let mut query = SpendQuery::default();
        filter(&mut query);
        assert_eq!(
            rows(&store, query.clone()).await,
            [(String::new(), expected)],
            "{query:?}"
        );
    }
    let nobody = SpendQuery {
        tenant: Some("nobody".into()),
        ..SpendQuery::default()
    };
    assert_eq!(rows(&store, nobody).await, []);
    let first = SpendQuery {
        group_by: vec![Dimension::Tenant],
        limit: Some(2),
        ..SpendQuery::default()
    };
    assert_eq!(
        rows(&store, first).await,
        [(String::new(), 4), ("acme".to_owned(), 1003)]
    );
}

pub(crate) async fn attempts_are_filtered_by_what_they_are(store: Store) {
    fill(&store).await;
    let now = store.clock.unix_ms();
    let filters: [(Change<'_, AttemptFilter>, usize); 6] = [
        (&|filter| filter.tenant = Some("acme".into()), 3),
        (&|filter| filter.model = Some("small".into()), 4),
        (&|filter| filter.provider = Some("large-provider".into()), 1),
        (&|filter| filter.since_unix_ms = Some(now), 1),
        (&|filter| filter.until_unix_ms = Some(now), 4),
        (
            &|filter| (filter.tenant, filter.state) = (Some("acme".into()), Some(State::Unknown)),
            1,
        ),
    ];
    for (change, expected) in filters {
        let mut filter = AttemptFilter::default();
        change(&mut filter);
        let found = store.journal.attempts(filter.clone()).await.unwrap();
        assert_eq!(found.len(), expected, "{filter:?}");
    }
    let zeta = AttemptFilter {
        tenant: Some("zeta".into()),
        ..AttemptFilter::default()
    };
    let found = store.journal.attempts(zeta).await.unwrap().remove(0);
    assert_eq!(found.tenant.as_deref(), Some("zeta"));
    assert_eq!(
        (found.price_table.as_str(), found.key.namespace().as_str()),
        ("table-of-small", "else")
    );
}

/// Asks for something else.
type Change<'a, T> = &'a (dyn Fn(&mut T) + Sync);
