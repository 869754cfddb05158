//! Workers on one database that want the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use effect_journal::{
    Account, AccountClaim, Allowance, Amount, Claim, ClaimRequest, Feedback, Journal, LimitClaim, Postgres,
    RateLimit,
};
use tokio::task::JoinSet;

use super::{options, serve};
use crate::behaviour::{key, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_that_race_are_granted_each_key_once_and_no_more_than_the_budget() {
    const KEYS: usize = 120;
    const AFFORDABLE: usize = 100;
    let server = serve();
    let options = options(&server, "journal");
    let workers = [
        Arc::new(Postgres::open(&options).await.unwrap()),
        Arc::new(Postgres::open(&options).await.unwrap()),
    ];
    let account = Account::tenant("acme").unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..KEYS {
        for worker in &workers {
            let (worker, account) = (worker.clone(), account.clone());
            tasks.spawn(async move {
                let affordable = i64::try_from(AFFORDABLE).unwrap() * 1000;
                let claim = AccountClaim {
                    account,
                    max: Some(Allowance {
                        cost_micros: Some(affordable),
                        tokens: None,
                    }),
                };
                let asked = ClaimRequest {
                    accounts: vec![claim],
                    ..request(&key(&format!("item/{number}/call/0")))
                };
                worker.claim(asked).await.unwrap()
            });
        }
    }
    let claims = tasks.join_all().await;
    let granted: Vec<_> = claims
        .iter()
        .filter_map(|claim| match claim {
            Claim::Granted(lease) => Some(&lease.key),
            Claim::Busy { .. } | Claim::OverBudget(_) => None,
            other @ (Claim::Replay(_)
            | Claim::Unknown { .. }
            | Claim::DigestMismatch { .. }
            | Claim::Limited(_)) => panic!("{other:?}"),
        })
        .collect();
    let distinct: BTreeSet<_> = granted.iter().collect();
    assert_eq!((granted.len(), distinct.len()), (AFFORDABLE, AFFORDABLE));
    let used = workers[0].used(&account).await.unwrap();
    assert_eq!(used.cost_micros, i64::try_from(AFFORDABLE).unwrap() * 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_batches_cross_do_not_wait_for_each_other_for_ever() {
    let server = serve();
    let options = options(&server, "journal");
    let mut tasks = JoinSet::new();
    for worker in 0..3_usize {
        let journal = Arc::new(Postgres::open(&options).await.unwrap());
        for number in 0..60_usize {
            let journal = journal.clone();
            tasks.spawn(async move {
                // In another order by each worker, in two budgets and below one limit that all share.
                let number = (number * (7 + 6 * worker)) % 60;
                let account = |name: &str| AccountClaim {
                    account: Account::tenant(name).unwrap(),
                    max: None,
                };
                let asked = ClaimRequest {
                    accounts: vec![
                        account(&format!("t{}", number % 3)),
                        account(&format!("t{}", number % 5)),
                    ],
                    limits: Some(LimitClaim {
                        name: format!("limit/{}", number % 2),
                        rate: RateLimit::default(),
                        tokens: 10,
                    }),
                    ..request(&key(&format!("item/{number}/call/0")))
                };
                let claim = journal.claim(asked).await.unwrap();
                if let Claim::Granted(lease) = &claim {
                    journal
                        .release(lease, "not needed", Feedback::default())
                        .await
                        .unwrap();
                }
            });
        }
    }
    tasks.join_all().await;
    // They wait for each other in one order, and not in a circle that the server has to break.
    assert!(!server.log().contains("deadlock detected"), "{}", server.log());
    let used = Postgres::open(&options)
        .await
        .unwrap()
        .used(&Account::tenant("t0").unwrap())
        .await
        .unwrap();
    assert_eq!(used, Amount::default());
}
