//! Holds an answer to a JSON Schema while it is generated.
//!
//! A small model that is only asked for JSON gives prose around it, trailing commas or invented keys. Here every
//! token that would leave the schema's language is taken out of the choice before the model chooses, so an answer
//! that ends is valid. Checking afterwards and asking again would cost a whole answer for each failure, and a weak
//! model fails most of the time.
//!
//! Space between tokens is fixed (one after a colon and after a comma): a model that may choose it can put out line
//! feeds until its tokens are used up. The engine's messages are made without the state of its parser, which holds
//! the answer so far.

use candle_core::{Device, Tensor};
use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use model_clients::provider::MAX_MESSAGE_CHARS;
use model_clients::{CallOutcome, Error, ErrorKind};
use serde_json::Value;
use std::sync::Arc;
use tokenizers::Tokenizer;

use crate::load::Refusal;
use crate::vocabulary::Vocabulary;

/// Makes constraints over the tokens of one model.
pub(crate) struct Constraints {
    factory: ParserFactory,
    tokens: usize,
}

/// The model's tokens as the constraint engine asks for them.
///
/// Where the schema leaves no choice, as in a key, the engine asks how the tokenizer would write the text. A model that
/// has to spell a key out of other tokens than it was trained on goes on in that way and spells nonsense into the
/// values.
struct Environment {
    trie: TokTrie,
    tokenizer: Arc<Tokenizer>,
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            self.tokenizer.encode_fast(text, false).map_or_else(
                |_| self.trie.greedy_tokenize(text.as_bytes()),
                |encoding| encoding.get_ids().to_vec(),
            )
        })
    }
}

/// The constraint of one answer.
pub(crate) struct Constraint {
    matcher: Matcher,
    tokens: usize,
}

impl Constraints {
    /// Prepares the tokens of a model.
    pub(crate) fn new(vocabulary: &Vocabulary) -> Result<Self, Refusal> {
        let refused = |what: String| Refusal::Constraint(what);
        let tokens = vocabulary.len();
        let size = u32::try_from(tokens).map_err(|_| refused(format!("it has {tokens} tokens")))?;
        let mut words: Vec<Vec<u8>> = (0..size).map(|id| vocabulary.bytes(id).to_vec()).collect();
        for (name, id) in vocabulary.controls() {
            if let Some(word) = words.get_mut(id as usize) {
                word.push(TokTrie::SPECIAL_TOKEN_MARKER);
                word.extend_from_slice(name.as_bytes());
            }
        }
        let end = vocabulary.end();
        let first = *end
            .first()
            .ok_or_else(|| refused("it has no end token".to_owned()))?;
        let trie = TokTrie::from(&TokRxInfo::new(size, first), &words).with_eos_tokens(end);
        let environment: TokEnv = Arc::new(Environment {
            trie,
            tokenizer: Arc::clone(vocabulary.tokenizer()),
        });
        let capabilities = InferenceCapabilities {
            ff_tokens: true,
            ..InferenceCapabilities::default()
        };
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, capabilities, &slices)
            .map_err(|error| refused(error.to_string()))?;
        // The engine writes warnings to the standard error stream unless it is told not to.
        factory.quiet().limits_mut().verbose_errors = false;
        Ok(Self { factory, tokens })
    }

    /// Makes the constraint for one answer.
    pub(crate) fn for_schema(&self, schema: &Value) -> Result<Constraint, Error> {
        if !schema.is_object() {
            return Err(refused("a JSON Schema must be an object"));
        }
        let mut schema = schema.clone();
        let options = JsonCompileOptions {
            item_separator: ", ".to_owned(),
            key_separator: ": ".to_owned(),
            whitespace_flexible: false,
            ..JsonCompileOptions::default()
        };
        options.apply_to(&mut schema);
        let parser = self
            .factory
            .create_parser(TopLevelGrammar::from_json_schema(schema));
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            None => Ok(Constraint {
                matcher,
                tokens: self.tokens,
            }),
            Some(message) => Err(refused(&message)),
        }
    }
}

impl Constraint {
    /// Gives what is added to the logits: zero for tokens that may come next, minus infinity for all others.
    pub(crate) fn bias(&mut self) -> Result<Tensor, Error> {
        let allowed = self
            .matcher
            .compute_mask_or_eos()
            .map_err(|error| broken(&error.to_string()))?;
        let mut bias = vec![f32::NEG_INFINITY; self.tokens];
        allowed.apply_to(&mut bias);
        Tensor::new(bias, &Device::Cpu).map_err(|error| broken(&error.to_string()))
    }

    /// Gives the tokens that must come next because the schema leaves no choice; often none.
    pub(crate) fn forced(&mut self) -> Vec<u32> {
        self.matcher.compute_ff_tokens()
    }

    /// Takes note of the token that was chosen; says whether the answer is complete with it.
    pub(crate) fn accept(&mut self, token: u32) -> Result<bool, Error> {
        self.matcher
            .consume_token(token)
            .map_err(|error| broken(&error.to_string()))?;
        Ok(self.matcher.is_stopped())
    }
}

fn refused(message: &str) -> Error {
    let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
    Error::new(
        ErrorKind::InvalidRequest,
        CallOutcome::NotBilled,
        format!("the response schema cannot be enforced: {message}; simplify the schema"),
    )
}

fn broken(message: &str) -> Error {
    let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
    Error::new(
        ErrorKind::Internal,
        CallOutcome::NotBilled,
        format!("constraining the answer to its schema failed: {message}; simplify the schema"),
    )
}
