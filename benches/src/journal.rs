//! What the effect journal adds to a model call: three durable writes, one after the other, by one caller.

use std::time::Instant;

use anyhow::bail;
use effect_journal::{
    Claim, ClaimRequest, Clearance, EffectClass, EffectKey, Journal, OnUnknown, Options, RequestDigest,
    Settlement, Spend,
};
use tempfile::TempDir;

use crate::{
    Bench,
    report::{Table, percentile},
};

const STEPS: [&str; 4] = ["claim", "mark sent", "settle", "all three"];
/// A short answer, as a summary is.
const RESPONSE_BYTES: usize = 400;

/// Measures the latency of each step on a fresh SQLite file.
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<String> {
    let mut samples = STEPS.map(|_| Vec::new());
    for _round in 0..bench.repeats {
        let folder = TempDir::new_in(&bench.scratch)?;
        let url = format!("sqlite://{}", folder.path().join("journal.db").display());
        let journal = effect_journal::open(&Options {
            url,
            ..Options::default()
        })
        .await?;
        for effect in 0..bench.effects {
            let times = one(journal.as_ref(), effect).await?;
            for (time, samples) in times.into_iter().zip(&mut samples) {
                samples.push(time);
            }
        }
    }
    let heading = format!(
        "Effect journal on SQLite, ms ({} effects, each write synced to disk)",
        samples[0].len()
    );
    let mut table = Table::new(&heading, &["step", "p50", "p95", "p99"]);
    for (step, samples) in STEPS.iter().zip(&samples) {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| format!("{:.2}", percentile(samples, percent)));
        table.row(&[*step, &p50, &p95, &p99]);
    }
    Ok(table.text())
}

async fn one(journal: &dyn Journal, effect: u32) -> anyhow::Result<[f64; 4]> {
    let request = ClaimRequest {
        key: EffectKey::new("default", &format!("bench-{effect}"), "run", "call/0")?,
        digest: RequestDigest::of(&effect.to_le_bytes()),
        owner: "bench".to_owned(),
        class: EffectClass::Paid,
        on_unknown: OnUnknown::Repeat,
        model: "model".to_owned(),
        provider: "provider".to_owned(),
        upper_bound: Spend::default(),
    };
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
        spend: Spend::default(),
    };
    let step = Instant::now();
    let _committed = journal.settle(&lease, settlement).await?;
    times[2] = milliseconds(step);
    times[3] = times[..3].iter().sum();
    Ok(times)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
