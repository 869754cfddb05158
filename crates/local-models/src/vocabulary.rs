//! The tokens of a model: text to ids, ids to bytes, and which ids are not text.
//!
//! An answer is put together from the bytes of its tokens and not by the tokenizer's own decoder, because that
//! decodes whole sequences: decoding a growing answer again for every token is quadratic, and decoding the tokens
//! one by one breaks every character that takes several.

use std::collections::HashMap;
use std::sync::Arc;

use documents::gguf::{TokenKind, Vocabulary as FileVocabulary};
use tokenizers::Tokenizer;

use crate::load::Refusal;
use crate::template::Piece;

/// Names of control tokens that end an answer, whichever of them a file declares as its end.
const END_NAMES: &[&str] = &[
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "</s>",
];

/// The longest token that is accepted, in bytes; the constraint engine's limit is twice that.
const MAX_TOKEN_BYTES: usize = 512;

/// The tokens of one model.
pub(crate) struct Vocabulary {
    tokenizer: Arc<Tokenizer>,
    /// The bytes of every token by id; empty where a token is not text.
    bytes: Vec<Vec<u8>>,
    control: HashMap<String, u32>,
    end: Vec<u32>,
    never: Vec<u32>,
    longest: usize,
}

impl Vocabulary {
    /// Takes the tokens out of a model file.
    pub(crate) fn new(file: &FileVocabulary) -> Result<Self, Refusal> {
        let mut tokenizer = documents::tokens::tokenizer_from_vocabulary(file)?;
        // A document that spells a control token out must not become one.
        tokenizer.set_encode_special_tokens(true);
        let kinds = file
            .kinds
            .iter()
            .copied()
            .chain(std::iter::repeat(TokenKind::Normal));
        let alphabet = byte_alphabet();
        let (mut bytes, mut control) = (Vec::with_capacity(file.tokens.len()), HashMap::new());
        for ((id, token), kind) in (0_u32..).zip(&file.tokens).zip(kinds) {
            bytes.push(match kind {
                TokenKind::Control | TokenKind::Unknown | TokenKind::Unused => {
                    control.insert(token.clone(), id);
                    Vec::new()
                }
                TokenKind::UserDefined => token.clone().into_bytes(),
                TokenKind::Normal | TokenKind::Byte => token
                    .chars()
                    .map(|c| alphabet.get(&c).copied())
                    .collect::<Option<_>>()
                    .unwrap_or_else(|| token.clone().into_bytes()),
            });
        }
        let longest = bytes.iter().map(Vec::len).max().unwrap_or(0).max(1);
        if longest > MAX_TOKEN_BYTES {
            return Err(Refusal::Vocabulary(format!(
                "it has a token of {longest} bytes, above the limit of {MAX_TOKEN_BYTES}"
            )));
        }
        let declared = [file.special.eos, file.special.eot].into_iter().flatten();
        let named = END_NAMES.iter().filter_map(|name| control.get(*name).copied());
        let mut end: Vec<_> = declared
            .chain(named)
            .filter(|id| (*id as usize) < bytes.len())
            .collect();
        end.sort_unstable();
        end.dedup();
        if end.is_empty() {
            return Err(Refusal::Vocabulary(
                "it names no token that ends an answer".to_owned(),
            ));
        }
        let never = control.values().copied().filter(|id| !end.contains(id)).collect();
        Ok(Self {
            tokenizer: Arc::new(tokenizer),
            bytes,
            control,
            end,
            never,
            longest,
        })
    }

    /// Gives the tokenizer, in which control tokens have no power.
    pub(crate) fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// Gives the number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives the bytes of a token; none where it is not text.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// Gives the id of a control token.
    pub(crate) fn control(&self, name: &str) -> Option<u32> {
        self.control.get(name).copied()
    }

    /// Gives the control tokens by name.
    pub(crate) fn controls(&self) -> impl Iterator<Item = (&str, u32)> {
        self.control.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// Gives the tokens that end an answer, ascending; never empty.
    pub(crate) fn end(&self) -> &[u32] {
        &self.end
    }

    /// Gives the tokens that no answer contains: control tokens that do not end one.
    pub(crate) fn never(&self) -> &[u32] {
        &self.never
    }

    /// Gives the fewest tokens that a prompt can have, without tokenizing it.
    ///
    /// Tokenizing takes a hundred times the memory of its text, so a text of a gigabyte is refused by this number
    /// and not by its tokens.
    pub(crate) fn least_tokens(&self, pieces: &[Piece]) -> usize {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Control(_) => 1,
                Piece::Text(text) => text.len().div_ceil(self.longest),
            })
            .sum()
    }

    /// Turns a prompt into token ids.
    pub(crate) fn encode(&self, pieces: &[Piece]) -> Result<Vec<u32>, tokenizers::Error> {
        let mut ids = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Control(name) => ids.push(
                    self.control(name)
                        .ok_or_else(|| format!("the model has no token {name}"))?,
                ),
                Piece::Text(text) => {
                    ids.extend_from_slice(self.tokenizer.encode_fast(text.as_str(), false)?.get_ids());
                }
            }
        }
        Ok(ids)
    }
}

/// The characters that stand for the 256 bytes in a byte-level vocabulary.
///
/// Printable bytes of Latin-1 stand for themselves; the others take the characters from U+0100 on, in their order.
fn byte_alphabet() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let own = (0..=u8::MAX)
        .filter(|byte| printable(*byte))
        .map(|byte| (char::from(byte), byte));
    let shifted = ('\u{100}'..).zip((0..=u8::MAX).filter(|byte| !printable(*byte)));
    own.chain(shifted).collect()
}

#[cfg(test)]
mod tests;
