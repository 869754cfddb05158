//! What is said of a value that does not fit.

use super::{file, mistakes, request};

#[test]
fn a_message_says_what_is_expected_and_gives_an_example() {
    let at = |setting: &str| mistakes(&request(&[], &[setting])).join("\n");
    for (setting, message) in [
        (
            "count=few",
            "count: `few` does not fit; expected: whole number, at least 0; for example `count = 1` (from --set count)",
        ),
        (
            "nested.limit=100",
            "nested.limit: `100` does not fit; expected: whole number, 1 to 99; for example `limit = 1` \
             (from --set nested.limit)",
        ),
        (
            "mode=strange",
            "mode: `strange` does not fit; expected: `\"plain\"` or `\"with-extras\"` (from --set mode)",
        ),
        (
            "listen=nowhere",
            "listen: `nowhere` does not fit; expected: text; for example `listen = \"0.0.0.0:8080\"` (from --set listen)",
        ),
        (
            "nested=3",
            "nested: `3` does not fit; expected: table with keys among address, api_key, limit (from --set nested)",
        ),
        (
            "price=free",
            "price: `free` does not fit; expected: `{ kind = \"free\" }` or `{ kind = \"per_token\", micros = 5 }` \
             (from --set price)",
        ),
        (
            "price.kind=dear",
            "price.kind: `dear` does not fit; expected one of the forms `{ kind = \"free\" }` or \
             `{ kind = \"per_token\", micros = 5 }` (from --set price.kind)",
        ),
        (
            "price.kind=per_token",
            "price.micros: must be set; expected: whole number, at least 0; for example `micros = 5` (from --set price.kind)",
        ),
        ("labels=[oops", "labels: neither a TOML array nor an inline table"),
    ] {
        let said = at(setting);
        assert!(said.starts_with(message) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_fraction_is_not_rounded_and_a_number_is_no_switch() {
    let file = file(
        "count = 1.5\non = 1\n[models.a]\nlimit = 4294967296\n[price]\nkind = 'per_token'\nmicros = 'x'",
    );
    let mut request = request(&[], &[]);
    request.file = Some(file.path().to_owned());
    let found = mistakes(&request);
    let keys: Vec<&str> = found.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(
        keys,
        ["count", "models.a.limit", "on", "price.micros"],
        "{found:#?}"
    );
    assert!(
        found[0].ends_with(&format!("(from {})", file.path().display())),
        "{found:?}"
    );
}

#[test]
fn a_mistake_in_a_secret_does_not_show_it() {
    for (name, value) in [
        ("APP__NESTED__API_KEY", "[\"hunter2\"]"),
        ("APP__NESTED__API_KEY", "{ key = \"hunter2\" }"),
    ] {
        let found = mistakes(&request(&[(name, value)], &[]));
        assert!(found.iter().all(|line| !line.contains("hunter2")), "{found:?}");
    }
}
