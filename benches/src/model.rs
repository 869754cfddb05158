//! The local model alone, in this process: loading it, taking in a prompt, producing tokens.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use local_models::{LocalModels, ModelOptions, Options, provider::compute_threads};
use model_clients::{
    GenerateCall, GenerateRequest, GenerateResponse, Message, ModelProvider as _, ResponseFormat, Role,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Bench,
    report::{Table, spread},
};

const NAME: &str = "bench";
const DEADLINE: Duration = Duration::from_mins(5);
const OUTPUT_TOKENS: u32 = 64;
const SENTENCE: &str =
    "The ferry between the two towns will stop for six weeks while its engine is replaced. ";
/// Sentences of the long prompt: about 500 tokens.
const SENTENCES: usize = 28;

/// Measures loading, prefill and decoding.
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<String> {
    let (mut load, mut prefill, mut decode) = (Vec::new(), Vec::new(), Vec::new());
    let mut prompt_tokens = 0;
    for _round in 0..bench.repeats {
        let provider = LocalModels::new(Options {
            models: [(NAME.to_owned(), ModelOptions::new(&bench.model))].into(),
            load_at_start: true,
            ..Options::default()
        })?;
        let began = Instant::now();
        provider
            .prepare()
            .await
            .context("run `make setup` first, or give --model")?;
        load.push(began.elapsed().as_secs_f64());
        let taken_in = answer(&provider, &SENTENCE.repeat(SENTENCES), 1).await?;
        prompt_tokens = taken_in.usage.input_tokens;
        prefill.push(rate(prompt_tokens, taken_in.first_token_ms));
        let written = answer(
            &provider,
            "Write a long story about a river and a town.",
            OUTPUT_TOKENS,
        )
        .await?;
        let after_the_first = written.usage.output_tokens.saturating_sub(1);
        decode.push(rate(
            after_the_first,
            written.total_ms.saturating_sub(written.first_token_ms),
        ));
    }
    let heading = format!(
        "Local model in this process ({} repeats, {} thread(s) for each token)",
        bench.repeats,
        compute_threads()
    );
    let mut table = Table::new(&heading, &["what", "median", "least", "most"]);
    for (label, samples, digits) in [
        ("load, s".to_owned(), load, 2),
        (format!("prefill of {prompt_tokens} tokens, tokens/s"), prefill, 0),
        (format!("decode of {OUTPUT_TOKENS} tokens, tokens/s"), decode, 1),
    ] {
        let [median, least, most] = spread(&samples, digits);
        table.row(&[label, median, least, most]);
    }
    Ok(table.text())
}

fn rate(tokens: u32, milliseconds: u64) -> f64 {
    let seconds = Duration::from_millis(milliseconds.max(1)).as_secs_f64();
    f64::from(tokens) / seconds
}

async fn answer(
    provider: &LocalModels,
    text: &str,
    max_output_tokens: u32,
) -> anyhow::Result<GenerateResponse> {
    let request = GenerateRequest {
        model: NAME.to_owned(),
        messages: vec![Message {
            role: Role::User,
            content: text.to_owned(),
        }],
        max_output_tokens,
        temperature: None,
        top_p: None,
        seed: None,
        stop: Vec::new(),
        response_format: ResponseFormat::Text,
    };
    let call = GenerateCall {
        request: &request,
        deadline: DEADLINE,
        progress: watch::Sender::default(),
        deltas: None,
        cancel: CancellationToken::new(),
    };
    Ok(provider.generate(call).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_second() {
        assert!((rate(500, 250) - 2000.0).abs() < f64::EPSILON);
        assert!(rate(1, 0).is_finite());
    }
}
