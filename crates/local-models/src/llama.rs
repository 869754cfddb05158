//! The forward pass of a llama model.
//!
//! The engine brings a finished model of this kind. It is not used, for four reasons that each show in practice: it
//! loads tensors only as the file has them (and the file's quantisation may be the slow one), it keeps the
//! conversation inside the weights so that two answers cannot share them, it ends at 4,096 tokens whatever the model
//! was trained for, and it multiplies a prompt by quantised dot products, where unpacking each matrix once per slice
//! of the prompt and multiplying densely is several times faster. What is left to write with the engine's operations
//! is this file; a test holds it against the engine's model on the same weights.
//!
//! Shapes: `t` tokens, `h` heads, `g` heads of keys and values, `d` values a head, `n` tokens so far.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{D, DType, Device, Module as _, Result, Tensor};
use candle_nn::kv_cache::KvCache;
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::rope_i;

use crate::load::Refusal;
use crate::weights::Weights;

/// The fewest tokens at once for which a matrix is unpacked instead of multiplied as it is.
const DENSE_FROM_TOKENS: usize = 16;

/// The longest context that is computed, whatever a file says; it bounds the tables of rotations.
const MAX_CONTEXT: usize = 1 << 17;

/// A loaded model; shared by any number of answers, each with a [`Cache`] of its own.
pub(crate) struct Llama {
    embeddings: Arc<QTensor>,
    layers: Vec<Layer>,
    norm: Tensor,
    output: Linear,
    cos: Tensor,
    sin: Tensor,
    shape: Shape,
}

/// What one answer remembers of its tokens.
pub(crate) struct Cache {
    layers: Vec<KvCache>,
    tokens: usize,
}

#[derive(Clone, Copy)]
struct Shape {
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    context: usize,
    epsilon: f32,
}

struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    feed_forward_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// What all layers share while some tokens pass through them.
struct Step {
    cos: Tensor,
    sin: Tensor,
    /// `(t, n)`: zero where a token sees another, minus infinity where that one comes later.
    mask: Option<Tensor>,
    shape: Shape,
}

struct Linear(QMatMul);

impl Llama {
    /// Loads the weights of a model file.
    pub(crate) fn load(path: &Path) -> std::result::Result<Self, Refusal> {
        let mut weights = Weights::open(path)?;
        let shape = Shape::read(&weights)?;
        let embeddings = weights.matrix("token_embd.weight")?;
        // Small models use one table for both ends.
        let output = if weights.has("output.weight") {
            weights.matrix("output.weight")?
        } else {
            Arc::clone(&embeddings)
        };
        let layers = (0..shape.layers)
            .map(|index| Layer::read(&mut weights, index))
            .collect::<Result<_>>()?;
        let norm = weights.vector("output_norm.weight")?;
        let base = weights.fraction("llama.rope.freq_base").unwrap_or(10_000.0);
        let (cos, sin) = rotations(shape, base)?;
        weights.finish()?;
        Ok(Self {
            embeddings,
            layers,
            norm,
            output: Linear(QMatMul::from_arc(output)?),
            cos,
            sin,
            shape,
        })
    }

    /// Gives the tokens of context that the model was trained for.
    pub(crate) fn context(&self) -> usize {
        self.shape.context
    }

    /// Makes an empty memory for so many tokens.
    pub(crate) fn cache(&self, tokens: usize) -> Cache {
        Cache {
            layers: self.layers.iter().map(|_| KvCache::new(2, tokens)).collect(),
            tokens: 0,
        }
    }

    /// Passes tokens through the model and gives the state after the last of them, `(1, hidden)`.
    pub(crate) fn advance(&self, cache: &mut Cache, tokens: &[u32]) -> Result<Tensor> {
        let count = tokens.len();
        let step = Step {
            cos: self.cos.narrow(0, cache.tokens, count)?,
            sin: self.sin.narrow(0, cache.tokens, count)?,
            mask: (count > 1).then(|| mask(count, cache.tokens)).transpose()?,
            shape: self.shape,
        };
        let mut state = self.embeddings.embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        for (layer, memory) in self.layers.iter().zip(&mut cache.layers) {
            state = layer.forward(&state, &step, memory)?;
        }
        cache.tokens += count;
        rms_norm(&state.narrow(0, count - 1, 1)?, &self.norm, self.shape.epsilon)
    }

    /// Gives the logits of the token that follows a state, one for each token of the vocabulary.
    pub(crate) fn logits(&self, state: &Tensor) -> Result<Tensor> {
        self.output.forward(state)?.squeeze(0)
    }
}

impl Shape {
    fn read(weights: &Weights) -> std::result::Result<Self, Refusal> {
        let unsupported = |what: String| Err(Refusal::Unsupported(what));
        let architecture = weights.text("general.architecture").unwrap_or("unnamed");
        if architecture != "llama" {
            return unsupported(format!("its architecture is {architecture} and not llama"));
        }
        if let Some(scaling) = weights
            .text("llama.rope.scaling.type")
            .filter(|scaling| *scaling != "none")
        {
            return unsupported(format!("it scales its rotations ({scaling})"));
        }
        let number = |name: &str| {
            let key = format!("llama.{name}");
            match weights.number(&key) {
                None | Some(0) => Err(Refusal::Unsupported(format!("its metadata has no usable {key}"))),
                Some(number) => Ok(number),
            }
        };
        let heads = number("attention.head_count")?;
        let embedding = number("embedding_length")?;
        let kv_heads = weights.number("llama.attention.head_count_kv").unwrap_or(heads);
        let head_dim = embedding / heads;
        let rotated = weights.number("llama.rope.dimension_count").unwrap_or(head_dim);
        if kv_heads == 0 || heads % kv_heads != 0 || head_dim == 0 || head_dim % 2 != 0 || rotated != head_dim
        {
            return unsupported(format!(
                "{heads} heads, {kv_heads} of keys and values, with {rotated} of {head_dim} values rotated"
            ));
        }
        Ok(Self {
            layers: number("block_count")?,
            heads,
            kv_heads,
            head_dim,
            context: number("context_length")?.min(MAX_CONTEXT),
            epsilon: weights
                .fraction("llama.attention.layer_norm_rms_epsilon")
                .unwrap_or(1e-5),
        })
    }
}

impl Layer {
    fn read(weights: &mut Weights, index: usize) -> Result<Self> {
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let mut linear = |part: &str| {
            let matrix = weights.matrix(&name(part))?;
            QMatMul::from_arc(matrix).map(Linear)
        };
        Ok(Self {
            query: linear("attn_q")?,
            key: linear("attn_k")?,
            value: linear("attn_v")?,
            attention_output: linear("attn_output")?,
            gate: linear("ffn_gate")?,
            up: linear("ffn_up")?,
            down: linear("ffn_down")?,
            attention_norm: weights.vector(&name("attn_norm"))?,
            feed_forward_norm: weights.vector(&name("ffn_norm"))?,
        })
    }

    fn forward(&self, state: &Tensor, step: &Step, memory: &mut KvCache) -> Result<Tensor> {
        let normal = rms_norm(state, &self.attention_norm, step.shape.epsilon)?;
        let state = (state + self.attention(&normal, step, memory)?)?;
        let normal = rms_norm(&state, &self.feed_forward_norm, step.shape.epsilon)?;
        let inner = (silu(&self.gate.forward(&normal)?)? * self.up.forward(&normal)?)?;
        state + self.down.forward(&inner)?
    }

    fn attention(&self, state: &Tensor, step: &Step, memory: &mut KvCache) -> Result<Tensor> {
        let Shape {
            heads,
            kv_heads,
            head_dim,
            ..
        } = step.shape;
        let tokens = state.dim(0)?;
        // (t, h * d) to (1, h, t, d)
        let split = |tensor: Tensor, heads: usize| {
            tensor
                .reshape((1, tokens, heads, head_dim))?
                .transpose(1, 2)?
                .contiguous()
        };
        let query = rope_i(&split(self.query.forward(state)?, heads)?, &step.cos, &step.sin)?;
        let key = rope_i(&split(self.key.forward(state)?, kv_heads)?, &step.cos, &step.sin)?;
        let value = split(self.value.forward(state)?, kv_heads)?;
        let (key, value) = memory.append(&key, &value)?;
        // The heads that share keys and values stand side by side, so they become rows of one product.
        let rows = (1, kv_heads, heads / kv_heads * tokens, head_dim);
        let scores = query.reshape(rows)?.matmul(&key.t()?)?;
        #[expect(clippy::cast_precision_loss, reason = "a head has some hundred values")]
        let scores = (scores / (head_dim as f64).sqrt())?;
        let scores = match &step.mask {
            None => scores,
            Some(mask) => scores
                .reshape((1, heads, tokens, ()))?
                .broadcast_add(mask)?
                .reshape(scores.shape())?,
        };
        let seen = softmax_last_dim(&scores)?.matmul(&value)?;
        let joined = seen
            .reshape((heads, tokens, head_dim))?
            .transpose(0, 1)?
            .reshape((tokens, heads * head_dim))?;
        self.attention_output.forward(&joined)
    }
}

impl Linear {
    fn forward(&self, state: &Tensor) -> Result<Tensor> {
        match &self.0 {
            QMatMul::QTensor(packed) if state.dim(0)? >= DENSE_FROM_TOKENS => {
                state.matmul(&packed.dequantize(state.device())?.t()?)
            }
            QMatMul::Tensor(dense) => state.matmul(&dense.t()?),
            QMatMul::QTensor(_) | QMatMul::TensorF16(_) => self.0.forward(state),
        }
    }
}

/// The cosine and sine of every position and every pair of values of a head, `(context, d / 2)`.
fn rotations(shape: Shape, base: f32) -> Result<(Tensor, Tensor)> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "both are below 2^24, where f32 is exact"
    )]
    let (frequencies, positions) = {
        let pair = |at: usize| base.powf(-((2 * at) as f32) / shape.head_dim as f32);
        let frequencies: Vec<f32> = (0..shape.head_dim / 2).map(pair).collect();
        let positions: Vec<f32> = (0..shape.context).map(|at| at as f32).collect();
        (frequencies, positions)
    };
    let frequencies = Tensor::new(frequencies, &Device::Cpu)?.unsqueeze(0)?;
    let positions = Tensor::new(positions, &Device::Cpu)?.unsqueeze(D::Minus1)?;
    let angles = positions.matmul(&frequencies)?;
    Ok((angles.cos()?, angles.sin()?))
}

fn mask(tokens: usize, before: usize) -> Result<Tensor> {
    let seen = |token: usize, other: usize| {
        if other > before + token {
            f32::NEG_INFINITY
        } else {
            0.0
        }
    };
    let values: Vec<f32> = (0..tokens)
        .flat_map(|token| (0..before + tokens).map(move |other| seen(token, other)))
        .collect();
    Tensor::from_vec(values, (tokens, before + tokens), &Device::Cpu)?.to_dtype(DType::F32)
}

#[cfg(test)]
mod tests;
