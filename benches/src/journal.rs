//! What the effect journal adds to a model call, and how many calls it keeps up with.
//!
//! Three durable writes, one after the other: by one caller, whose wait for the disk is what a call waits for; and by
//! many at once, whose writes share transactions. PostgreSQL is a real server of the measurement's own, on the same disk
//! and on the same processors as the callers, which is the least that it can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use effect_journal::{
    Account, AccountClaim, Allowance, Claim, ClaimRequest, Clearance, EffectClass, EffectKey, Feedback,
    Journal, LimitClaim, OnUnknown, Options, RateLimit, RequestDigest, Settlement, Spend,
};
use scratch_postgres::Server;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    Bench,
    report::{Table, percentile, spread},
};

const STEPS: [&str; 4] = ["claim", "mark sent", "settle", "all three"];
/// A short answer, as a summary is.
const RESPONSE_BYTES: usize = 400;
/// Callers at once: as many as a few workers have slots.
const CALLERS: usize = 256;
/// How long they go on in one repeat.
const LENGTH: Duration = Duration::from_secs(3);

/// A store that lives as long as this.
struct Store {
    name: &'static str,
    options: Options,
    _folder: TempDir,
    _server: Option<Server>,
}

/// What a call counts in.
#[derive(Debug, Clone, Copy)]
enum Counted {
    /// In nothing.
    Nowhere,
    /// In the budgets of a run and of a tenant, and in a provider's limit, which all callers share.
    Everywhere,
}

/// What many callers at once came to.
struct Together {
    store: &'static str,
    counted: Counted,
    /// Effects a second, one figure for each repeat.
    rates: Vec<f64>,
    /// Milliseconds for the three steps of one effect.
    times: Vec<f64>,
}

impl Together {
    fn new(counted: Counted) -> Self {
        Self {
            store: "",
            counted,
            rates: Vec::new(),
            times: Vec::new(),
        }
    }
}

/// Measures the latency of each step by one caller, and the throughput by many, on fresh stores.
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<String> {
    let mut alone = Vec::new();
    let mut together = Vec::new();
    let mut left_out = String::new();
    for open in [sqlite, postgres] {
        let mut samples = STEPS.map(|_| Vec::new());
        let mut measured = [Counted::Nowhere, Counted::Everywhere].map(Together::new);
        let mut name = "";
        for _round in 0..bench.repeats {
            let store = match open(bench) {
                Ok(store) => store,
                Err(error) => {
                    left_out = format!("\nNot measured: {error:#}\n");
                    break;
                }
            };
            name = store.name;
            let journal = effect_journal::open(&store.options).await?;
            latencies(journal.as_ref(), bench.effects, &mut samples).await?;
            for (number, many) in (1_u32..).zip(&mut measured) {
                many.store = store.name;
                throughput(&journal, number * (u32::MAX / 4), many).await?;
            }
        }
        if !name.is_empty() {
            alone.push((name, samples));
            together.extend(measured);
        }
    }
    let mut text = shown_alone(&alone);
    text.push_str(&shown_together(&together));
    text.push_str(&left_out);
    Ok(text)
}

fn sqlite(bench: &Bench) -> anyhow::Result<Store> {
    let folder = TempDir::new_in(&bench.scratch)?;
    let url = format!("sqlite://{}", folder.path().join("journal.db").display());
    Ok(Store {
        name: "SQLite",
        options: Options {
            url,
            ..Options::default()
        },
        _folder: folder,
        _server: None,
    })
}

fn postgres(bench: &Bench) -> anyhow::Result<Store> {
    let server = Server::start_with(&scratch_postgres::Options {
        parent: Some(bench.scratch.clone()),
        ..scratch_postgres::Options::default()
    })?;
    Ok(Store {
        name: "PostgreSQL",
        options: Options {
            url: server.url(),
            ..Options::default()
        },
        _folder: TempDir::new_in(&bench.scratch)?,
        _server: Some(server),
    })
}

async fn latencies(journal: &dyn Journal, effects: u32, samples: &mut [Vec<f64>; 4]) -> anyhow::Result<()> {
    for effect in 0..effects {
        let times = one(journal, effect, Counted::Nowhere).await?;
        for (time, samples) in times.into_iter().zip(samples.iter_mut()) {
            samples.push(time);
        }
    }
    Ok(())
}

/// Lets many callers perform effects of their own for a while.
async fn throughput(journal: &Arc<dyn Journal>, first: u32, together: &mut Together) -> anyhow::Result<()> {
    let counted = together.counted;
    let next = Arc::new(AtomicU32::new(first));
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (journal, next) = (journal.clone(), next.clone());
        callers.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < LENGTH {
                let effect = next.fetch_add(1, Ordering::Relaxed);
                times.push(one(journal.as_ref(), effect, counted).await?[3]);
            }
            anyhow::Ok(times)
        });
    }
    let mut done = Vec::new();
    while let Some(caller) = callers.join_next().await {
        done.append(&mut caller??);
    }
    let effects = f64::from(u32::try_from(done.len())?);
    together.rates.push(effects / began.elapsed().as_secs_f64());
    together.times.append(&mut done);
    Ok(())
}

fn request(effect: u32, counted: Counted) -> anyhow::Result<ClaimRequest> {
    let (accounts, limits) = match counted {
        Counted::Nowhere => (Vec::new(), None),
        Counted::Everywhere => (accounts(effect)?, Some(limit())),
    };
    Ok(ClaimRequest {
        key: EffectKey::new("default", &format!("bench-{effect}"), "run", "call/0")?,
        digest: RequestDigest::of(&effect.to_le_bytes()),
        owner: "bench".to_owned(),
        class: EffectClass::Paid,
        on_unknown: OnUnknown::Repeat,
        model: "model".to_owned(),
        provider: "provider".to_owned(),
        upper_bound: Spend {
            output_tokens: 512,
            cost_micros: 900,
            ..Spend::default()
        },
        tenant: Some("acme".to_owned()),
        price_table: "bench".to_owned(),
        accounts,
        limits,
    })
}

/// One of eight runs, and one tenant.
fn accounts(effect: u32) -> anyhow::Result<Vec<AccountClaim>> {
    Ok(vec![
        AccountClaim {
            account: Account::run("default", &format!("batch-{}", effect % 8), "run")?,
            max: Some(Allowance {
                cost_micros: Some(i64::MAX),
                tokens: None,
            }),
        },
        AccountClaim {
            account: Account::tenant("acme")?,
            max: None,
        },
    ])
}

fn limit() -> LimitClaim {
    LimitClaim {
        name: "provider/model/default".to_owned(),
        rate: RateLimit {
            requests_per_minute: Some(u32::MAX),
            tokens_per_minute: Some(u64::MAX / 2),
            in_flight: Some(u32::MAX),
            ..RateLimit::default()
        },
        tokens: 600,
    }
}

async fn one(journal: &dyn Journal, effect: u32, counted: Counted) -> anyhow::Result<[f64; 4]> {
    let request = request(effect, counted)?;
    let mut times = [0.0; 4];
    let began = Instant::now();
    let Claim::Granted(lease) = journal.claim(request).await? else {
        bail!("a fresh key was not granted");
    };
    times[0] = milliseconds(began);
    let step = Instant::now();
    let Clearance::Call = journal.mark_sent(&lease).await? else {
        bail!("a fresh key was superseded");
    };
    times[1] = milliseconds(step);
    let settlement = Settlement {
        response: vec![b'x'; RESPONSE_BYTES],
        spend: Spend {
            output_tokens: 100,
            cost_micros: 300,
            ..Spend::default()
        },
    };
    let step = Instant::now();
    let _committed = journal.settle(&lease, settlement, Feedback::default()).await?;
    times[2] = milliseconds(step);
    times[3] = times[..3].iter().sum();
    Ok(times)
}

fn shown_alone(stores: &[(&str, [Vec<f64>; 4])]) -> String {
    let effects = stores.first().map_or(0, |(_, samples)| samples[0].len());
    let heading = format!("Effect journal, one caller, ms ({effects} effects, each write synced to disk)");
    let mut table = Table::new(&heading, &["store", "step", "p50", "p95", "p99"]);
    for (store, samples) in stores {
        for (step, samples) in STEPS.iter().zip(samples) {
            let [p50, p95, p99] = [50, 95, 99].map(|percent| format!("{:.2}", percentile(samples, percent)));
            table.row(&[store, *step, &p50, &p95, &p99]);
        }
    }
    table.text()
}

fn shown_together(measured: &[Together]) -> String {
    let heading = format!(
        "Effect journal, {CALLERS} callers at once (claim, mark sent and settle, each synced to disk)"
    );
    let mut table = Table::new(
        &heading,
        &[
            "store",
            "counted in",
            "effects/s, median",
            "least",
            "most",
            "p50 of one, ms",
            "p99, ms",
        ],
    );
    for together in measured {
        let counted = match together.counted {
            Counted::Nowhere => "nothing",
            Counted::Everywhere => "two budgets and a limit, all shared",
        };
        let [median, least, most] = spread(&together.rates, 0);
        let [p50, p99] = [50, 99].map(|percent| format!("{:.1}", percentile(&together.times, percent)));
        table.row(&[together.store, counted, &median, &least, &most, &p50, &p99]);
    }
    table.text()
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
