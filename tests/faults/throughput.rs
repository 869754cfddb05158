//! One provider's limit, shared by many worker processes over one journal: all of it is used, and nobody is refused.
//!
//! Whether a limit was kept is the provider's to say: it enforces the same one, and its bill shows how much was used of
//! each minute. The long form measures over minutes; the short one looks at the beginning of the first.

use std::time::Duration;

use chaos_provider::{Algorithm, Answer, Behaviour, Limit, Record, Reply, Rule, Script, Text};
use testkit::{Plan, Rig, Settings, Worker, outage, request, within};
use workflow_types::proto::LlmBatchInput;

/// Each of them is one token to most tokenizers, as it is to the provider.
const WORDS: [&str; 8] = ["rain", "falls", "on", "the", "old", "town", "by", "night"];
const WORDS_OF_A_PROMPT: usize = 480;
const WORDS_OF_AN_ANSWER: u32 = 56;

struct Size {
    workers: usize,
    calls: usize,
    tokens_per_minute: u64,
    /// How long is measured, from the first call on.
    measured: Duration,
    /// The least that is used of what the limit lets through in that time, in per cent.
    least_percent: u64,
}

impl Size {
    fn short() -> Self {
        Self {
            workers: 2,
            calls: 20,
            tokens_per_minute: 6_000,
            measured: Duration::from_secs(10),
            // The limit is used up at once, and then everybody waits; but for what was reserved and not used.
            least_percent: 75,
        }
    }

    fn long() -> Self {
        Self {
            workers: 8,
            calls: 1_000,
            tokens_per_minute: 90_000,
            measured: Duration::from_mins(5),
            least_percent: 95,
        }
    }

    fn script() -> Script {
        Script::new([Rule::always(Reply::new(Behaviour::Answer(Answer {
            text: Text::Words(WORDS_OF_AN_ANSWER),
            token_delay_ms: 10,
            ..Answer::default()
        })))])
    }
}

/// Gives a batch of prompts of equal length, no two alike.
fn items(rig: &Rig, count: usize) -> LlmBatchInput {
    let text = |number: usize| {
        let words =
            (0..WORDS_OF_A_PROMPT).map(|place| WORDS[(place * (number % 7 + 1) + number) % WORDS.len()]);
        format!("{number} {}", words.collect::<Vec<_>>().join(" "))
    };
    let line = |number| format!("{{\"id\": \"{number}\", \"text\": \"{}\"}}\n", text(number));
    let lines: String = (0..count).map(line).collect();
    LlmBatchInput {
        items: Some(rig.file("many.jsonl", &lines).unwrap()),
        window: Some(200),
        page_items: Some(500),
        ..request::batch(rig, "load", 1).unwrap()
    }
}

async fn start(rig: &Rig, size: &Size) -> Vec<Worker> {
    let settings = Settings {
        echo: format!(
            "tokenizer = {{ kind = \"tiktoken\", encoding = \"o200k_base\" }}\n\
             limits = {{ tokens_per_minute = {} }}",
            size.tokens_per_minute
        ),
        local_model: false,
        ..Settings::default()
    };
    let mut workers = vec![rig.data_worker().await.unwrap()];
    for _ in 0..size.workers {
        workers.push(rig.ai_worker_with(&settings).await.unwrap());
    }
    workers
}

/// What calls came to, by the provider's bill.
#[derive(Debug, Default)]
struct Used {
    calls: usize,
    refused: usize,
    tokens: u64,
}

impl Used {
    /// Sums the calls that came within a time from the first one on.
    fn within(calls: &[Record], length: Duration) -> Self {
        let first = calls.first().map_or(0, |call| call.received_unix_ms);
        let end = first + u64::try_from(length.as_millis()).unwrap();
        let mut used = Self::default();
        for call in calls.iter().filter(|call| call.received_unix_ms < end) {
            let Some(ending) = &call.ending else { continue };
            used.calls += 1;
            used.refused += usize::from(ending.status == Some(429));
            used.tokens += u64::from(ending.bill.prompt_tokens) + u64::from(ending.bill.completion_tokens);
        }
        used
    }
}

async fn a_load(size: Size) {
    let rig = Rig::planned(Plan {
        script: Size::script(),
        limits: vec![Limit {
            tokens_per_minute: Some(size.tokens_per_minute),
            algorithm: Algorithm::TokenBucket,
            ..Limit::default()
        }],
        postgres: true,
        ..Plan::default()
    })
    .await
    .unwrap();
    let _workers = start(&rig, &size).await;
    let _run = rig.batch("load", items(&rig, size.calls)).await.unwrap();
    rig.provider.wait_for(1).await;
    outage(size.measured).await;
    within(
        Duration::from_secs(30),
        "what was measured has ended",
        async || {
            let used = Used::within(&rig.calls()?, size.measured);
            Ok(used.calls > 0)
        },
    )
    .await
    .unwrap();
    let used = Used::within(&rig.calls().unwrap(), size.measured);
    let minutes = size.measured.as_secs().div_ceil(60);
    let percent = used.tokens * 100 / (size.tokens_per_minute * minutes);
    eprintln!(
        "{} workers, {:?}: {percent} % of the limit used, {used:?}",
        size.workers, size.measured
    );
    assert!(percent >= size.least_percent, "{percent} %: {used:?}");
    assert!(used.refused * 1_000 < used.calls.max(1), "{used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_on_one_postgres_use_all_of_a_limit_and_are_not_refused() {
    let size = if std::env::var_os("LONG").is_some() {
        Size::long()
    } else {
        Size::short()
    };
    a_load(size).await;
}
