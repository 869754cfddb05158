//! A campaign: many calls, and everything that can break breaking meanwhile, at moments that a seed decides.
//!
//! Each fault comes when the provider has received a certain number of calls, so that it meets calls that are under way;
//! which number, which worker, and what the provider does to whom is drawn by the seed. The seed is printed, and
//! `TAW_CAMPAIGN_SEED` sets it. What follows from a seed on a machine with another pace is not the same to the
//! millisecond, but the same faults in the same order.
//!
//! The auditor's own program has the last word: it reads the bill, the journal and the histories, and nothing of the test.

use std::time::Duration;

use chaos_provider::{Behaviour, Cut, Latency, Point, Reply, RetryAfter, Script};
use fastrand::Rng;
use nix::sys::signal::Signal;
use serde_json::Value;
use temporal_client::Run;
use testkit::{Plan, Rig, Settings, Worker, outage, within};
use workflow_types::{proto::Outcome, workflows::LlmPipeline};

#[path = "campaign/faults.rs"]
mod faults;

use faults::{Fault, Size, schedule};

const WORKERS: usize = 4;
/// Few and always taken, so that every kill meets calls under way.
const SLOTS: u32 = 3;
/// A worker with its slots taken up by lost calls comes back to work after a heartbeat timeout and a lease.
const SETTLED_WITHIN: Duration = Duration::from_mins(10);
const ALIVE_WITHIN: Duration = Duration::from_mins(2);

/// What the provider does to whom: about one call in eight goes wrong in some way.
fn misbehaviour(size: &Size) -> Script {
    let cut = |how| {
        Reply::new(Behaviour::Cut {
            after: Point::Tokens(2),
            how,
            token_delay_ms: 0,
        })
    };
    let limited = Behaviour::RateLimited {
        retry_after: RetryAfter::Seconds(1),
    };
    let overloaded = Behaviour::Overloaded {
        retry_after: RetryAfter::None,
    };
    Script {
        latency: Some(Latency::LogNormal {
            median_ms: size.median_ms,
            p99_ms: size.median_ms * 3,
        }),
        ..Script::campaign([
            (2.0, Reply::new(limited)),
            (2.0, Reply::new(overloaded)),
            (2.0, Reply::new(Behaviour::refused(500))),
            (1.0, Reply::new(Behaviour::Html { status: 502 })),
            (1.5, cut(Cut::Reset)),
            (1.0, cut(Cut::Close)),
            (0.5, cut(Cut::Stall)),
            (1.0, Reply::new(Behaviour::StreamError { after_tokens: 1 })),
            (1.0, Reply::new(Behaviour::Truncated { after_tokens: 1 })),
            (0.5, Reply::new(Behaviour::Garbage)),
        ])
    }
}

/// The campaign under way.
struct Field {
    rig: Rig,
    workers: Vec<Worker>,
    rng: Rng,
}

impl Field {
    async fn open(size: &Size, seed: u64) -> Self {
        let rig = Rig::planned(Plan {
            script: misbehaviour(size),
            seed: Some(seed),
            postgres: true,
            ..Plan::default()
        })
        .await
        .unwrap();
        let workers = tokio::try_join!(start(&rig), start(&rig), start(&rig), start(&rig)).unwrap();
        Self {
            rig,
            workers: <[Worker; WORKERS]>::from(workers).into(),
            rng: Rng::with_seed(seed),
        }
    }

    async fn strike(&mut self, fault: Fault) {
        let victim = self.rng.usize(..self.workers.len());
        match fault {
            Fault::KillWorker => {
                // Not at the call's beginning alone: anywhere within it.
                outage(Duration::from_millis(self.rng.u64(..600))).await;
                self.workers[victim].kill().unwrap();
                self.workers[victim] = start(&self.rig).await.unwrap();
            }
            Fault::ServerAway(length) => self.rig.server.outage(length).await.unwrap(),
            Fault::Partition(length) => {
                self.rig.proxy.cut();
                outage(length).await;
                self.rig.proxy.mend();
            }
            Fault::StandStill(length) => {
                self.workers[victim].signal(Signal::SIGSTOP).unwrap();
                outage(length).await;
                self.workers[victim].signal(Signal::SIGCONT).unwrap();
            }
            Fault::KillJournal(length) => {
                let postgres = self.rig.postgres.as_mut().unwrap();
                postgres.kill().unwrap();
                outage(length).await;
                postgres.restart().unwrap();
            }
        }
    }

    /// Sees to it that what a fault made a worker end with is not what the next one is tried on.
    async fn revive(&mut self) {
        for worker in &mut self.workers {
            if !worker.is_running().unwrap() {
                *worker = start(&self.rig).await.unwrap();
            }
        }
    }
}

/// Starts a worker; one that meets a fault at its very start may end by itself, and is started again, as a supervisor does.
async fn start(rig: &Rig) -> anyhow::Result<Worker> {
    let settings = Settings {
        activity_slots: SLOTS,
        local_model: false,
        through_proxy: true,
        ..Settings::default()
    };
    let mut started = None;
    within(ALIVE_WITHIN, "a worker starts", async || {
        started = rig.ai_worker_with(&settings).await.ok();
        Ok(started.is_some())
    })
    .await?;
    started.ok_or_else(|| anyhow::anyhow!("no worker"))
}

async fn a_campaign(size: Size, seed: u64) {
    eprintln!("campaign of {} calls, TAW_CAMPAIGN_SEED={seed}", size.calls);
    let mut field = Field::open(&size, seed).await;
    let plan = schedule(&size, &mut field.rng);
    let mut runs = Vec::new();
    for number in 0..size.calls {
        runs.push(field.rig.ask(&format!("campaign-{number}")).await.unwrap());
    }
    for (calls, fault) in plan {
        field.rig.provider.wait_for(calls).await;
        eprintln!("after {calls} calls: {fault:?}");
        field.strike(fault).await;
        field.revive().await;
    }
    all_ended(&runs).await;
    judge(&field.rig, &size).await;
}

async fn all_ended(runs: &[Run<LlmPipeline>]) {
    let ended = tokio::time::timeout(SETTLED_WITHIN, async {
        for run in runs {
            let output = run
                .result()
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", run.id()));
            assert_eq!(output.outcome(), Outcome::Completed, "{}", run.id());
        }
    });
    ended.await.expect("every run ends");
}

async fn judge(rig: &Rig, size: &Size) {
    // What was under way when a worker died is over when its lease is.
    rig.verdict(true).await.unwrap();
    let said = rig.run_auditor(&["--every-key-answered"]).await.unwrap();
    eprintln!("{}", said.out);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let verdict: Value = rig
        .run_auditor(&["--every-key-answered", "--json"])
        .await
        .unwrap()
        .json()
        .unwrap();
    let figures = &verdict["figures"];
    assert_eq!(figures["results"], size.calls, "{figures}");
    assert_eq!(figures["runs"], size.calls, "{figures}");
    let repeats = verdict["repeats"].as_array().unwrap().len();
    assert!(repeats > 0, "nothing was hit: {figures}");
}

fn seed() -> u64 {
    std::env::var_os("TAW_CAMPAIGN_SEED").map_or_else(
        || fastrand::u64(..),
        |seed| seed.to_str().unwrap().parse().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_with_the_journal_in_postgres_the_ledger_is_the_bill() {
    let size = if std::env::var_os("LONG").is_some() {
        Size::long()
    } else {
        Size::short()
    };
    a_campaign(size, seed()).await;
}
