//! Byte-level BPE out of a GGUF vocabulary.
//!
//! A model file names its pre-tokenizer, the rule that cuts text into words before merging, but does not define
//! it. An inference engine that meets a name it does not know and falls back to GPT-2's rule makes plausible,
//! wrong tokens: answers get worse and nothing fails. So `smollm` is known, checked id by id against llama.cpp, and
//! `gpt-2`, which is the library's own rule; every other name is an error.

use std::collections::HashMap;

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer};

use super::Error;
use crate::gguf::{TokenKind, Vocabulary};

/// The pre-tokenizers of GGUF files that can be built.
pub const KNOWN_PRE_TOKENIZERS: &[&str] = &["smollm", "gpt-2"];

/// Builds a tokenizer from the vocabulary of a model file; control tokens become special tokens.
///
/// # Errors
///
/// [`Error::UnknownModel`], [`Error::UnknownPreTokenizer`], [`Error::Vocabulary`], [`Error::Build`].
pub fn tokenizer_from_vocabulary(vocabulary: &Vocabulary) -> Result<Tokenizer, Error> {
    if vocabulary.model != "gpt2" {
        return Err(Error::UnknownModel {
            model: vocabulary.model.clone(),
        });
    }
    let pre_tokenizer = pre_tokenizer(vocabulary.pre.as_deref().unwrap_or("gpt-2"))?;
    let ids = ids(vocabulary)?;
    let merges = merges(vocabulary, &ids)?;
    let ids = ids
        .into_iter()
        .map(|(token, id)| (token.to_owned(), id))
        .collect();
    // The library offers the map type by an alias only; `collect` finds it.
    let ids: tokenizers::models::bpe::Vocab = ids;
    let model = BPE::builder()
        .vocab_and_merges(ids, merges)
        .build()
        .map_err(|source| Error::Build { source })?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
    tokenizer.with_decoder(Some(byte_level()));
    add_tokens(&mut tokenizer, vocabulary)?;
    Ok(tokenizer)
}

fn pre_tokenizer(name: &str) -> Result<PreTokenizerWrapper, Error> {
    match name {
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), byte_level().into()]).into()),
        "gpt-2" => Ok(byte_level().into()),
        _ => Err(Error::UnknownPreTokenizer { pre: name.to_owned() }),
    }
}

/// GPT-2's alphabet and regular expression, without the space that would be invented before the first word and
/// after every special token. Offsets are not trimmed: chunks need every byte to belong to a token.
fn byte_level() -> ByteLevel {
    ByteLevel::new(false, false, true)
}

fn ids(vocabulary: &Vocabulary) -> Result<HashMap<&str, u32>, Error> {
    let broken = |what: String| Error::Vocabulary { what };
    let mut ids = HashMap::with_capacity(vocabulary.tokens.len());
    for (id, token) in (0_u32..).zip(&vocabulary.tokens) {
        if let Some(other) = ids.insert(token.as_str(), id) {
            return Err(broken(format!("the tokens {other} and {id} are the same")));
        }
    }
    let missing = byte_tokens()
        .filter(|(byte, token)| is_text(*byte) && !ids.contains_key(token.encode_utf8(&mut [0; 4]) as &str))
        .count();
    if missing > 0 {
        return Err(broken(format!(
            "{missing} bytes of common text have no token, so it would vanish"
        )));
    }
    Ok(ids)
}

/// Gives each byte the character by which byte-level vocabularies write it: itself where that is visible in
/// Latin-1, else the next one from U+0100 on.
fn byte_tokens() -> impl Iterator<Item = (u8, char)> {
    let mut others = '\u{100}'..;
    (0..=u8::MAX).filter_map(move |byte| {
        let visible = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let token = if visible {
            Some(char::from(byte))
        } else {
            others.next()
        };
        token.map(|token| (byte, token))
    })
}

/// Tells whether a byte occurs in text of assigned characters. Vocabularies in use lack some of the others: control
/// characters, and the first bytes of planes that are empty.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b' '..=b'~' | 0x80..=0xBF | 0xC2..=0xF0)
}

/// Splits the merges and checks them, because the library copies an unchecked merge beyond its buffer and panics.
fn merges(vocabulary: &Vocabulary, ids: &HashMap<&str, u32>) -> Result<Vec<(String, String)>, Error> {
    let mut joined = String::new();
    let mut merges = Vec::with_capacity(vocabulary.merges.len());
    for (rank, merge) in vocabulary.merges.iter().enumerate() {
        let pair = merge.split_once(' ').filter(|(left, right)| {
            joined.clear();
            joined.extend([*left, *right]);
            [*left, *right, joined.as_str()]
                .iter()
                .all(|part| ids.contains_key(part))
        });
        let Some((left, right)) = pair else {
            return Err(Error::Vocabulary {
                what: format!("merge {rank} is not of two tokens into a third"),
            });
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    Ok(merges)
}

fn add_tokens(tokenizer: &mut Tokenizer, vocabulary: &Vocabulary) -> Result<(), Error> {
    let (mut control, mut added) = (Vec::new(), Vec::new());
    for (token, kind) in vocabulary.tokens.iter().zip(&vocabulary.kinds) {
        match kind {
            TokenKind::Control => control.push(AddedToken::from(token.as_str(), true)),
            TokenKind::UserDefined => added.push(AddedToken::from(token.as_str(), false).normalized(false)),
            TokenKind::Normal | TokenKind::Unknown | TokenKind::Unused | TokenKind::Byte => {}
        }
    }
    tokenizer
        .add_special_tokens(control)
        .map_err(|source| Error::Build { source })?;
    tokenizer
        .add_tokens(added)
        .map_err(|source| Error::Build { source })?;
    Ok(())
}
