//! What a provider takes: a minute's worth, so many at once, and nothing while it is down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use effect_journal::{
    Account, AccountClaim, Circuit, Claim, ClaimRequest, Clock as _, Counts, Feedback, Lease, LimitClaim,
    Limited, RateLimit, Why,
};
use tokio::task::JoinSet;

use super::{Store, answer, key, request};

fn limited(step: &str, tokens: u64, rate: RateLimit) -> ClaimRequest {
    ClaimRequest {
        limits: Some(LimitClaim {
            name: "provider/model/default".into(),
            rate,
            tokens,
        }),
        ..request(&key(step))
    }
}

fn tokens_per_minute(tokens: u64) -> RateLimit {
    RateLimit {
        tokens_per_minute: Some(tokens),
        ..RateLimit::default()
    }
}

async fn refused(store: &Store, request: ClaimRequest) -> Limited {
    let claim = store.journal.claim(request).await.unwrap();
    let Claim::Limited(limited) = claim else {
        panic!("expected no place, got {claim:?}")
    };
    limited
}

async fn granted_and_settled(store: &Store, request: ClaimRequest, feedback: Feedback) {
    let lease = store.sent_for(request).await;
    let _ = store
        .journal
        .settle(&lease, answer("answer", 1), feedback)
        .await
        .unwrap();
}

async fn failed(store: &Store, lease: &Lease, feedback: Feedback) {
    assert_eq!(
        store.journal.mark_sent(lease).await.unwrap(),
        effect_journal::Clearance::Call
    );
    store.journal.release(lease, "refused", feedback).await.unwrap();
}

pub(crate) async fn calls_beyond_the_window_come_back_in_order(store: Store) {
    let rate = RateLimit {
        requests_per_minute: Some(2),
        ..RateLimit::default()
    };
    let start = store.clock.unix_ms();
    for number in 0..2 {
        store
            .granted_for(limited(&format!("call/{number}"), 1, rate))
            .await;
    }
    let mut waits = Vec::new();
    for number in 2..6 {
        let refused = refused(&store, limited(&format!("call/{number}"), 1, rate)).await;
        assert_eq!(
            (refused.name.as_str(), refused.why),
            ("provider/model/default", Why::Requests)
        );
        waits.push(refused.retry_after);
    }
    assert!(
        waits[0] >= Duration::from_mins(1) && waits[0] <= Duration::from_secs(62),
        "{waits:?}"
    );
    assert_eq!(waits[0], waits[1]);
    assert!(waits[2] >= waits[0] + Duration::from_mins(1), "{waits:?}");
    assert_eq!(waits[2], waits[3]);
    // Who asks too early is told what remains, and who did not ask before does not get in between.
    store
        .clock
        .advance(waits[0].saturating_sub(Duration::from_secs(1)));
    let early = refused(&store, limited("call/2", 1, rate)).await;
    assert_eq!(early.retry_after, Duration::from_secs(1));
    store.clock.advance(Duration::from_secs(1));
    refused(&store, limited("late", 1, rate)).await;
    for number in [3, 2] {
        store
            .granted_for(limited(&format!("call/{number}"), 1, rate))
            .await;
    }
    let elapsed = Duration::from_millis(store.clock.unix_ms().abs_diff(start));
    let fourth = refused(&store, limited("call/4", 1, rate)).await;
    assert_eq!(elapsed + fourth.retry_after, waits[2]);
}

pub(crate) async fn a_settled_call_counts_as_what_it_used(store: Store) {
    // A call of the suite uses 120 tokens.
    granted_and_settled(
        &store,
        limited("call/0", 500, tokens_per_minute(1000)),
        Feedback::default(),
    )
    .await;
    assert_eq!(
        refused(&store, limited("call/1", 881, tokens_per_minute(1000)))
            .await
            .why,
        Why::Tokens
    );
    store.clock.advance(Duration::from_mins(3));
    granted_and_settled(
        &store,
        limited("call/2", 500, tokens_per_minute(1000)),
        Feedback::default(),
    )
    .await;
    store
        .granted_for(limited("call/3", 880, tokens_per_minute(1000)))
        .await;
    store.clock.advance(Duration::from_mins(3));
    let reserved = RateLimit {
        counts: Counts::Reserved,
        ..tokens_per_minute(1000)
    };
    granted_and_settled(&store, limited("call/4", 500, reserved), Feedback::default()).await;
    refused(&store, limited("call/5", 501, reserved)).await;
}

pub(crate) async fn what_was_not_sent_does_not_count(store: Store) {
    let rate = RateLimit {
        requests_per_minute: Some(2),
        ..tokens_per_minute(1000)
    };
    let unsent = store.granted_for(limited("call/0", 1000, rate)).await;
    store.release(&unsent, "cancelled").await.unwrap();
    let rejected = store.sent_for(limited("call/1", 1000, rate)).await;
    store.release(&rejected, "400").await.unwrap();
    // The rejected request was a request, but used no tokens.
    let third = store.sent_for(limited("call/2", 1000, rate)).await;
    let feedback = Feedback {
        refused: true,
        ..Feedback::default()
    };
    store.journal.release(&third, "429", feedback).await.unwrap();
    store.clock.advance(Duration::from_secs(2));
    let fourth = refused(&store, limited("call/3", 1, rate)).await;
    assert_eq!(fourth.why, Why::Tokens);
}

pub(crate) async fn calls_in_flight_are_limited(store: Store) {
    let rate = RateLimit {
        in_flight: Some(2),
        ..RateLimit::default()
    };
    let first = store.granted_for(limited("call/0", 1, rate)).await;
    store.granted_for(limited("call/1", 1, rate)).await;
    let waiting = refused(&store, limited("call/2", 1, rate)).await;
    assert_eq!(waiting.why, Why::InFlight);
    let wait = waiting.retry_after;
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(2)).contains(&wait),
        "{wait:?}"
    );
    assert_eq!(
        refused(&store, limited("call/2", 1, rate)).await.retry_after,
        wait
    );
    store.release(&first, "cancelled").await.unwrap();
    store.granted_for(limited("call/2", 1, rate)).await;
}

pub(crate) async fn a_dead_call_is_not_in_flight(store: Store) {
    let rate = RateLimit {
        in_flight: Some(1),
        ..RateLimit::default()
    };
    let dead = store.sent_for(limited("call/0", 1, rate)).await;
    store.clock.advance(Duration::from_millis(44_999));
    refused(&store, limited("call/1", 1, rate)).await;
    store.journal.renew(&dead).await.unwrap();
    store.clock.advance(Duration::from_millis(44_999));
    refused(&store, limited("call/1", 1, rate)).await;
    store.clock.advance(Duration::from_millis(1));
    store.granted_for(limited("call/1", 1, rate)).await;
}

pub(crate) async fn a_refusal_makes_everybody_wait(store: Store) {
    let rate = tokens_per_minute(100_000);
    let lease = store.granted_for(limited("call/0", 1, rate)).await;
    let feedback = Feedback {
        retry_after: Some(Duration::from_secs(20)),
        refused: true,
        ..Feedback::default()
    };
    failed(&store, &lease, feedback).await;
    for step in ["call/1", "call/2"] {
        let limited = refused(&store, limited(step, 1, rate)).await;
        assert_eq!(limited.why, Why::Blocked);
        let wait = limited.retry_after;
        assert!(
            (Duration::from_secs(20)..Duration::from_secs(21)).contains(&wait),
            "{wait:?}"
        );
    }
    store.clock.advance(Duration::from_secs(21));
    store.granted_for(limited("call/1", 1, rate)).await;
}

pub(crate) async fn a_remainder_in_a_header_is_believed(store: Store) {
    let rate = tokens_per_minute(1000);
    let feedback = Feedback {
        remaining_tokens: Some(300),
        reset_tokens: Some(Duration::from_secs(30)),
        ..Feedback::default()
    };
    // By our own count 880 remain; another worker of the account, outside of this journal, used the others.
    granted_and_settled(&store, limited("call/0", 500, rate), feedback).await;
    let wait = refused(&store, limited("call/1", 301, rate)).await.retry_after;
    assert!(
        (Duration::from_secs(30)..Duration::from_secs(31)).contains(&wait),
        "{wait:?}"
    );
    store.clock.advance(wait);
    store.granted_for(limited("call/1", 301, rate)).await;
}

pub(crate) async fn a_circuit_opens_and_lets_one_probe_through(store: Store) {
    let rate = RateLimit {
        circuit: Some(Circuit {
            failures: 2,
            open_seconds: 30,
        }),
        ..RateLimit::default()
    };
    let down = Feedback {
        overloaded: true,
        ..Feedback::default()
    };
    for step in ["call/0", "call/1"] {
        let lease = store.granted_for(limited(step, 1, rate)).await;
        failed(&store, &lease, down).await;
    }
    let open = refused(&store, limited("call/2", 1, rate)).await;
    assert_eq!(open.why, Why::CircuitOpen);
    assert!(open.retry_after >= Duration::from_secs(30) && open.retry_after < Duration::from_secs(31));
    store.clock.advance(Duration::from_secs(30));
    let probe = store.granted_for(limited("call/2", 1, rate)).await;
    assert_eq!(
        refused(&store, limited("call/3", 1, rate)).await.why,
        Why::CircuitOpen
    );
    failed(&store, &probe, down).await;
    assert_eq!(
        refused(&store, limited("call/3", 1, rate)).await.why,
        Why::CircuitOpen
    );
    store.clock.advance(Duration::from_secs(30));
    granted_and_settled(&store, limited("call/3", 1, rate), Feedback::default()).await;
    for step in ["call/4", "call/5"] {
        store.granted_for(limited(step, 1, rate)).await;
    }
}

pub(crate) async fn a_call_larger_than_the_limit_goes_alone(store: Store) {
    let rate = tokens_per_minute(1000);
    store.granted_for(limited("small", 1, rate)).await;
    let wait = refused(&store, limited("huge", 5000, rate)).await.retry_after;
    store.clock.advance(wait);
    store.granted_for(limited("huge", 5000, rate)).await;
    assert_eq!(refused(&store, limited("next", 1, rate)).await.why, Why::Tokens);
}

pub(crate) async fn a_place_in_the_queue_outlives_the_store(store: Store) {
    let rate = tokens_per_minute(1000);
    store.granted_for(limited("call/0", 1000, rate)).await;
    let wait = refused(&store, limited("call/1", 1000, rate)).await.retry_after;
    let mut store = store;
    store.journal = store.again().await;
    assert_eq!(
        refused(&store, limited("call/1", 1000, rate)).await.retry_after,
        wait
    );
    store.clock.advance(wait);
    store.granted_for(limited("call/1", 1000, rate)).await;
}

pub(crate) async fn a_refused_claim_reserves_nothing(store: Store) {
    let account = Account::run("default", "workflow", "run").unwrap();
    let counted = |step| ClaimRequest {
        accounts: vec![AccountClaim {
            account: account.clone(),
            max: None,
        }],
        ..limited(step, 1000, tokens_per_minute(1000))
    };
    store.granted_for(counted("call/0")).await;
    let used = store.journal.used(&account).await.unwrap();
    refused(&store, counted("call/1")).await;
    assert_eq!(store.journal.used(&account).await.unwrap(), used);
    assert_eq!(store.states(&key("call/1")).await, []);
}

/// Plays workers that come when they are told to, and counts what each minute saw.
pub(crate) async fn workers_share_a_limit_without_exceeding_it(store: Store) {
    const CALLS: usize = 60;
    let rate = tokens_per_minute(10_000);
    let mut due: BTreeMap<i64, Vec<usize>> = BTreeMap::from([(store.clock.unix_ms(), (0..CALLS).collect())]);
    let mut granted: Vec<i64> = Vec::new();
    while let Some((at, calls)) = due.pop_first() {
        let now = store.clock.unix_ms();
        store.clock.advance(Duration::from_millis(
            at.saturating_sub(now).max(0).unsigned_abs(),
        ));
        let now = store.clock.unix_ms();
        let mut tasks = JoinSet::new();
        for call in calls {
            let journal = Arc::clone(&store.journal);
            tasks.spawn(async move {
                let claim = journal.claim(limited(&format!("call/{call}"), 1000, rate)).await;
                (call, claim.unwrap())
            });
        }
        for (call, claim) in tasks.join_all().await {
            if let Claim::Limited(limited) = claim {
                let wait = i64::try_from(limited.retry_after.as_millis()).unwrap();
                due.entry(now + wait).or_default().push(call);
            } else {
                assert!(matches!(claim, Claim::Granted(_)), "{claim:?}");
                granted.push(now);
            }
        }
    }
    assert_eq!(granted.len(), CALLS);
    for end in &granted {
        let minute = granted
            .iter()
            .filter(|at| (*end - 60_000 + 1..=*end).contains(at))
            .count();
        assert!(minute <= 10, "{minute} calls in the minute that ends at {end}");
    }
    let minutes = granted.last().unwrap() - granted.first().unwrap();
    assert!(minutes <= 5 * 62_000, "{CALLS} calls took {minutes} ms");
}
