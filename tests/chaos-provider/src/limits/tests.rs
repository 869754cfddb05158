//! What is let through, for whom, and what is counted.

use super::*;

const START: u64 = 600_000;

fn request(model: &'static str, key: Option<&'static str>) -> Request<'static> {
    Request {
        protocol: Protocol::OpenAi,
        model,
        key,
        prompt_tokens: 10,
        max_tokens: Some(50),
    }
}

fn passed(limits: &mut Limits, request: Request<'_>, now: u64) -> Pass {
    match limits.admit(request, now) {
        Admission::Passed(pass, _) => pass,
        other @ (Admission::Unlimited | Admission::Refused(..)) => panic!("{other:?}"),
    }
}

fn refused(limits: &mut Limits, request: Request<'_>, now: u64) -> (&'static str, String) {
    match limits.admit(request, now) {
        Admission::Refused(what, headers) => {
            let wait = headers.into_iter().find(|(name, _)| *name == "retry-after-ms");
            (what, wait.unwrap().1)
        }
        other @ (Admission::Unlimited | Admission::Passed(..)) => panic!("{other:?}"),
    }
}

#[test]
fn each_model_and_key_is_counted_by_itself() {
    let mut limits = Limits::new(vec![Limit {
        requests_per_minute: Some(1),
        ..Limit::default()
    }]);
    passed(&mut limits, request("a", None), START);
    assert_eq!(
        refused(&mut limits, request("a", None), START),
        ("requests", "60000".into())
    );
    passed(&mut limits, request("b", None), START);
    passed(&mut limits, request("a", Some("key")), START);
    passed(&mut limits, request("a", None), START + 60_000);
}

#[test]
fn the_first_limit_that_is_for_a_model_holds() {
    let only = |model: &str, requests| Limit {
        model: Some(model.into()),
        requests_per_minute: Some(requests),
        ..Limit::default()
    };
    let mut limits = Limits::new(vec![only("a", 1), only("b", 2)]);
    assert!(matches!(
        limits.admit(request("c", None), START),
        Admission::Unlimited
    ));
    passed(&mut limits, request("a", None), START);
    refused(&mut limits, request("a", None), START);
    passed(&mut limits, request("b", None), START);
    passed(&mut limits, request("b", None), START);
    refused(&mut limits, request("b", None), START);
}

fn tokens(counts: Counts) -> Limits {
    Limits::new(vec![Limit {
        tokens_per_minute: Some(100),
        algorithm: Algorithm::SlidingWindow,
        counts,
        ..Limit::default()
    }])
}

#[test]
fn tokens_that_are_reserved_are_given_back_or_not() {
    for (counts, left) in [(Counts::Settled, true), (Counts::Reserved, false)] {
        let mut limits = tokens(counts);
        let pass = passed(&mut limits, request("m", None), START);
        assert_eq!(refused(&mut limits, request("m", None), START).0, "tokens");
        pass.settle(10, 5, START + 1);
        let next = limits.admit(request("m", None), START + 2);
        assert_eq!(matches!(next, Admission::Passed(..)), left, "{counts:?}");
    }
}

#[test]
fn an_answer_that_was_longer_than_expected_is_a_debt() {
    let mut limits = tokens(Counts::Actual);
    let pass = passed(&mut limits, request("m", None), START);
    pass.settle(10, 95, START + 1_000);
    // The prompt leaves the window first, the answer a second later.
    let (what, wait) = refused(&mut limits, request("m", None), START + 2_000);
    assert_eq!((what, wait.as_str()), ("tokens", "59000"));
    passed(&mut limits, request("m", None), START + 61_000);
}

#[test]
fn calls_in_flight_are_limited_until_they_end() {
    let mut limits = Limits::new(vec![Limit {
        in_flight: Some(1),
        ..Limit::default()
    }]);
    let pass = passed(&mut limits, request("m", None), START);
    assert_eq!(
        refused(&mut limits, request("m", None), START),
        ("requests", "1000".into())
    );
    pass.settle(0, 0, START);
    passed(&mut limits, request("m", None), START);
}

#[test]
fn refused_requests_count_where_the_limit_says_so() {
    for (refused_count, wait) in [(false, "60000"), (true, "120000")] {
        let mut limits = Limits::new(vec![Limit {
            requests_per_minute: Some(1),
            refused_count,
            ..Limit::default()
        }]);
        passed(&mut limits, request("m", None), START);
        refused(&mut limits, request("m", None), START);
        assert_eq!(refused(&mut limits, request("m", None), START).1, wait);
    }
}

#[test]
fn the_limit_of_the_documentation_is_one() {
    let json = r#"{"model": "m", "requests_per_minute": 500, "tokens_per_minute": 90000, "in_flight": 16,
        "algorithm": "sliding_window", "counts": "actual", "retry_after": "usual"}"#;
    let limit: Limit = serde_json::from_str(json).unwrap();
    assert_eq!(limit.algorithm, Algorithm::SlidingWindow);
    assert!(serde_json::from_str::<Limit>(r#"{"rpm": 1}"#).is_err());
}

#[test]
fn a_call_that_outlives_its_limits_settles_with_them_and_only_once() {
    let limit = Limit {
        in_flight: Some(1),
        ..Limit::default()
    };
    let mut limits = Limits::new(vec![limit.clone()]);
    let old = passed(&mut limits, request("m", None), START);
    limits = Limits::new(vec![limit]);
    let pass = passed(&mut limits, request("m", None), START);
    old.settle(0, 0, START);
    refused(&mut limits, request("m", None), START);
    pass.settle(0, 0, START);
    let next = passed(&mut limits, request("m", None), START);
    pass.settle(0, 0, START);
    refused(&mut limits, request("m", None), START);
    drop(next);
}
