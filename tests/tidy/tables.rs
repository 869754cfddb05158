//! Two tables in documents are copies of tables in code, and are compared with them.
//!
//! People look the names and the failure codes up in prose; programs go by the code. Generating the prose would take the
//! remarks out of it, so it is written by hand and held here.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Expr, Item, Lit};
use workflow_types::{
    failure::{Backoff, FailureCode},
    names::{self, AI_CONTRACT, DATA_CONTRACT, search_attribute},
};

use crate::{
    markdown::{Cell, Document, Table},
    tree::{Tree, report},
};

/// The document with the table of names, under the heading [`NAMES_HEADING`].
const NAMES_DOCUMENT: &str = "ARCHITECTURE.md";
const NAMES_HEADING: &str = "names";
/// The document with the table of failure codes.
const FAILURES_DOCUMENT: &str = "docs/reliability/failures.md";
/// Its columns, in order.
const FAILURES_COLUMNS: [&str; 4] = ["code", "retryable", "back-off", "fallback"];

/// The kinds of names, as a header or a first cell calls them, in the singular or plural.
const KINDS: &[(&str, &str)] = &[
    ("workflow", "workflow"),
    ("activit", "activity"),
    ("signal", "signal"),
    ("update", "update"),
    ("quer", "query"),
    ("queue", "queue"),
    ("search attribute", "search attribute"),
];

type Names = BTreeSet<(&'static str, String)>;

/// Gives the names in the code by kind.
fn names_in_code() -> Names {
    let contracts = [AI_CONTRACT, DATA_CONTRACT];
    let of = |kind: &'static str, names: Vec<&'static str>| {
        names.into_iter().map(move |name| (kind, name.to_owned()))
    };
    let all = |list: fn(&names::QueueContract) -> &'static [&'static str]| {
        contracts
            .iter()
            .flat_map(|contract| list(contract).to_vec())
            .collect()
    };
    let attributes = [search_attribute::KEYWORDS.as_slice(), &search_attribute::INTS].concat();
    of("workflow", all(|contract| contract.workflows))
        .chain(of("activity", all(|contract| contract.activities)))
        .chain(of("signal", vec![names::CANCEL, names::BUDGET_RAISED]))
        .chain(of("update", vec![names::RAISE_BUDGET, names::REVIEW]))
        .chain(of("query", vec![names::STATUS, names::USAGE]))
        .chain(of(
            "queue",
            contracts.iter().map(|contract| contract.queue).collect(),
        ))
        .chain(of("search attribute", attributes))
        .collect()
}

fn kind_of(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    KINDS
        .iter()
        .filter_map(|(word, kind)| Some((text.find(word)?, *kind)))
        .min()
        .map(|(_, kind)| kind)
}

/// Reads the names in a table. Either a column is of one kind, which its header says, or a row is, which its first cell
/// says; then its second cell has the names.
fn names_in(table: &Table) -> Names {
    let [header, rows @ ..] = table.rows.as_slice() else {
        return Names::new();
    };
    let by_row = header
        .first()
        .is_some_and(|cell| cell.text.to_lowercase().contains("kind"));
    let kind = |row: &[Cell], column: usize| {
        if by_row {
            kind_of(&row[0].text).filter(|_| column == 1)
        } else {
            kind_of(&header[column].text)
        }
    };
    let cells = rows.iter().flat_map(|row| {
        row.iter()
            .enumerate()
            .map(move |(column, cell)| (row, column, cell))
    });
    cells
        .filter_map(|(row, column, cell)| Some((kind(row, column)?, cell)))
        .flat_map(|(kind, cell)| cell.code.iter().map(move |name| (kind, name.clone())))
        .collect()
}

fn names_in_document(document: &Document) -> Names {
    let under = |table: &Table| {
        table
            .under
            .iter()
            .any(|heading| heading.to_lowercase().split(':').next() == Some(NAMES_HEADING))
    };
    document
        .tables
        .iter()
        .filter(|table| under(table))
        .flat_map(names_in)
        .collect()
}

#[test]
fn the_table_of_names_is_the_code_s() {
    let tree = Tree::read();
    let document = tree.file(NAMES_DOCUMENT).unwrap_or_else(|| {
        panic!("{NAMES_DOCUMENT} is missing; it has the table of names under the heading `Names`")
    });
    let (code, prose) = (
        names_in_code(),
        names_in_document(&Document::parse(&document.text)),
    );
    let missing = code
        .difference(&prose)
        .map(|(kind, name)| format!("{kind} {name} is in names.rs alone"));
    let stale = prose
        .difference(&code)
        .map(|(kind, name)| format!("{kind} {name} is in {NAMES_DOCUMENT} alone"));
    report(
        "a name is added, renamed or removed in both in one commit",
        missing.chain(stale),
    );
}

/// Gives the value of every text constant in a file and its modules.
fn text_constants(items: &[Item]) -> BTreeMap<String, String> {
    items
        .iter()
        .flat_map(|item| match item {
            Item::Const(constant) => match constant.expr.as_ref() {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => BTreeMap::from([(constant.ident.to_string(), text.value())]),
                    _ => BTreeMap::new(),
                },
                _ => BTreeMap::new(),
            },
            Item::Mod(module) => {
                text_constants(module.content.as_ref().map_or(&[], |(_, items)| items.as_slice()))
            }
            _ => BTreeMap::new(),
        })
        .collect()
}

#[test]
fn every_name_in_the_code_is_of_a_kind() {
    let tree = Tree::read();
    let file = tree.file("crates/workflow-types/src/names.rs").unwrap();
    let constants = text_constants(&syn::parse_file(&file.text).unwrap().items);
    let known = names_in_code();
    let of_no_kind = constants
        .iter()
        .filter(|(_, name)| !known.iter().any(|(_, known)| known == *name))
        .map(|(constant, name)| format!("{constant} = {name}"));
    report(
        "list an activity or a workflow in its queue's contract; add a signal or a query to names_in_code in \
         tests/tidy/tables.rs",
        of_no_kind,
    );
}

fn failure_rows() -> Vec<[String; 4]> {
    let truth = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    FailureCode::ALL
        .iter()
        .map(|code| {
            let row = code.row();
            let backoff = match row.backoff {
                Backoff::None => "none",
                Backoff::Short => "short",
                Backoff::Long => "long",
            };
            [
                code.to_string(),
                truth(row.retryable),
                backoff.to_owned(),
                truth(row.fallback),
            ]
        })
        .collect()
}

/// Gives the first four columns of the table whose header has the columns of failure codes.
fn failure_rows_in(document: &Document) -> Vec<[String; 4]> {
    let wanted = |table: &&Table| {
        let header = table.rows.first().into_iter().flatten();
        header
            .map(|cell| cell.text.trim().to_lowercase())
            .take(FAILURES_COLUMNS.len())
            .eq(FAILURES_COLUMNS.map(str::to_owned))
    };
    let rows = document
        .tables
        .iter()
        .find(wanted)
        .map_or(&[][..], |table| &table.rows[1..]);
    rows.iter()
        .map(|row| {
            [0, 1, 2, 3].map(|column| {
                row.get(column)
                    .map_or(String::new(), |cell| cell.text.trim().to_owned())
            })
        })
        .collect()
}

#[test]
fn the_table_of_failure_codes_is_the_code_s() {
    let tree = Tree::read();
    let document = tree.file(FAILURES_DOCUMENT).unwrap_or_else(|| {
        panic!(
            "{FAILURES_DOCUMENT} is missing; it has a table with the columns {}",
            FAILURES_COLUMNS.join(", ")
        )
    });
    assert_eq!(
        failure_rows_in(&Document::parse(&document.text)),
        failure_rows(),
        "{FAILURES_DOCUMENT} (left) and failure.rs (right) differ; retryable and fallback are yes or no, back-off is none, \
         short or long, in the order of the code"
    );
}

#[test]
fn tables_of_either_form_are_read() {
    let by_column =
        "# Names\n\n| workflow (queue `x`) | signals |\n| --- | --- |\n| `A` (one), `B` | `cancel` |\n";
    let expected = Names::from([
        ("workflow", "A".to_owned()),
        ("workflow", "B".to_owned()),
        ("signal", "cancel".to_owned()),
    ]);
    assert_eq!(names_in_document(&Document::parse(by_column)), expected);
    let by_row = "## Names: all of them\n\n| kind | names | what |\n| --- | --- | --- |\n\
                  | Workflow types | `A`, `B` | ends with `x` |\n| signal | `cancel` | |\n";
    assert_eq!(names_in_document(&Document::parse(by_row)), expected);
    assert_eq!(
        names_in_document(&Document::parse(&by_row.replace("Names", "Other"))),
        Names::new()
    );
    assert_eq!(kind_of("task queue of the activities"), Some("queue"));

    let failures = "| Code | Retryable | Back-off | Fallback | why |\n| --- | --- | --- | --- | --- |\n\
                    | `Auth` | no | none | no | a key |\n";
    assert_eq!(
        failure_rows_in(&Document::parse(failures)),
        [["Auth", "no", "none", "no"].map(str::to_owned)]
    );
}
