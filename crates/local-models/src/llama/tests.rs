//! The forward pass against the engine's own model of the same file.

use std::fs::File;
use std::io::BufReader;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;

use super::{DENSE_FROM_TOKENS, Llama};
use crate::real::model_path;

/// The first tokens of a real prompt; more than one slice, so that a mask with a past is covered.
const TOKENS: [u32; 24] = [
    1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182,
    2, 198, 1, 4093, 198,
];

fn cosine(left: &Tensor, right: &Tensor) -> f32 {
    let dot = |a: &Tensor, b: &Tensor| {
        (a * b)
            .and_then(|p| p.sum_all())
            .and_then(|s| s.to_scalar::<f32>())
    };
    let (across, left, right) = (dot(left, right), dot(left, left), dot(right, right));
    across.expect("same shape") / (left.expect("a tensor").sqrt() * right.expect("a tensor").sqrt())
}

#[test]
fn logits_agree_with_the_engines_own_model_and_do_not_depend_on_the_slices() {
    let path = model_path();
    let ours = Llama::load(&path).expect("our model loads");
    let logits = |slices: &[usize]| {
        let (mut cache, mut at, mut state) = (ours.cache(TOKENS.len()), 0, None);
        for slice in slices {
            state = Some(
                ours.advance(&mut cache, &TOKENS[at..at + slice])
                    .expect("a state"),
            );
            at += slice;
        }
        ours.logits(&state.expect("a slice")).expect("logits")
    };
    // Dense products, packed products, and both after a past.
    let dense = logits(&[24]);
    const {
        assert!(
            DENSE_FROM_TOKENS > 8 && DENSE_FROM_TOKENS <= 16,
            "the slices reach both kinds"
        );
    };
    let packed = logits(&[8, 8, 7, 1]);
    let mixed = logits(&[16, 8]);

    let mut file = BufReader::new(File::open(&path).expect("the file opens"));
    let content = Content::read(&mut file).expect("the engine reads it");
    let mut theirs = ModelWeights::from_gguf(content, &mut file, &Device::Cpu).expect("the engine loads it");
    let input = Tensor::new(&TOKENS, &Device::Cpu)
        .and_then(|ids| ids.unsqueeze(0))
        .expect("ids");
    let expected = theirs
        .forward(&input, 0)
        .and_then(|logits| logits.squeeze(0))
        .expect("the engine's logits");

    let best = |logits: &Tensor| {
        logits
            .argmax(0)
            .and_then(|best| best.to_scalar::<u32>())
            .expect("a best token")
    };
    for (name, ours) in [("dense", &dense), ("packed", &packed), ("mixed", &mixed)] {
        let similarity = cosine(ours, &expected);
        assert!(similarity > 0.999, "{name}: {similarity}");
        assert_eq!(best(ours), best(&expected), "{name}");
    }
}

#[test]
fn the_model_reaches_the_context_it_was_trained_for() {
    let ours = Llama::load(&model_path()).expect("our model loads");
    assert_eq!(ours.context(), 8192);
    let mut cache = ours.cache(8192);
    cache.tokens = 8191;
    assert!(
        ours.advance(&mut cache, &[198]).is_ok(),
        "the last position has its rotation"
    );
    assert!(
        ours.advance(&mut cache, &[198]).is_err(),
        "and none comes after it"
    );
}
