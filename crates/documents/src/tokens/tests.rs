//! Counters that need no model file; SmolLM2's own tokenizer is tested in the crate's `tests/` folder.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::pieces::MAX_PIECE_BYTES;
use super::*;
use crate::gguf::{SpecialIds, TokenKind, Vocabulary};

/// A vocabulary of the 256 bytes, one merge and one control token.
fn tiny() -> Vocabulary {
    let bytes: BTreeSet<char> = ByteLevel::alphabet().into_iter().collect();
    let mut tokens: Vec<String> = bytes.into_iter().map(String::from).collect();
    tokens.extend(["ab".to_owned(), "<|end|>".to_owned()]);
    let mut kinds = vec![TokenKind::Normal; 257];
    kinds.push(TokenKind::Control);
    Vocabulary {
        model: "gpt2".to_owned(),
        pre: Some("smollm".to_owned()),
        tokens,
        kinds,
        merges: vec!["a b".to_owned()],
        special: SpecialIds::default(),
        add_bos: None,
        add_space_prefix: None,
    }
}

fn tiny_counter() -> TokenCounter {
    TokenCounter::from_tokenizer(tokenizer_from_vocabulary(&tiny()).unwrap()).unwrap()
}

fn tiktoken() -> TokenCounter {
    TokenCounter::from_encoding("o200k_base".parse().unwrap()).unwrap()
}

#[test]
fn merges_and_control_tokens_count_one() {
    let counter = tiny_counter();
    assert!(counter.exact());
    assert_eq!(counter.count("ab ba<|end|>ż"), 7);
    assert_eq!(counter.starts("ab ba<|end|>ż"), [0, 2, 3, 4, 5, 12, 12]);
}

#[test]
fn an_unknown_pre_tokenizer_or_model_is_named() {
    let unknown = Vocabulary {
        pre: Some("deepseek-v9".to_owned()),
        ..tiny()
    };
    let error = tokenizer_from_vocabulary(&unknown).unwrap_err().to_string();
    assert!(
        error.contains("\"deepseek-v9\"") && error.contains("smollm"),
        "{error}"
    );
    let unknown = Vocabulary {
        model: "llama".to_owned(),
        ..tiny()
    };
    assert!(
        matches!(tokenizer_from_vocabulary(&unknown), Err(Error::UnknownModel { model }) if model == "llama")
    );
}

#[test]
fn a_vocabulary_that_contradicts_itself_is_refused() {
    let mut twice = tiny();
    twice.tokens.push("ab".to_owned());
    let mut gap = tiny();
    gap.tokens.retain(|token| token != "x");
    let bad_merges = ["a", "a zz", "ab ab", "a b c", " b"].map(|merge| {
        let mut vocabulary = tiny();
        vocabulary.merges.push(merge.to_owned());
        vocabulary
    });
    for broken in [twice, gap].into_iter().chain(bad_merges) {
        let got = tokenizer_from_vocabulary(&broken);
        assert!(matches!(got, Err(Error::Vocabulary { .. })), "{got:?}");
    }
}

#[test]
fn tiktoken_counts_as_published_and_takes_special_tokens_as_text() {
    let counter = tiktoken();
    assert!(counter.exact());
    assert_eq!(counter.count("hello world"), 2);
    assert_eq!(counter.starts("hello world"), [0, 5]);
    assert!(counter.count("<|endoftext|>") > 1);
    let older = TokenCounter::from_encoding(Encoding::Cl100kBase).unwrap();
    assert_eq!(older.count("tiktoken is great!"), 6);
    assert!(matches!("p9k".parse::<Encoding>(), Err(Error::UnknownEncoding { name }) if name == "p9k"));
}

#[test]
fn the_estimate_is_above_the_count_of_prose_in_several_languages() {
    let (estimate, exact) = (TokenCounter::estimate(), tiktoken());
    assert!(!estimate.exact());
    for text in [
        "The service records every step of a workflow in an event history.",
        "Usługa zapisuje każdy krok przepływu pracy w historii zdarzeń.",
        "Der Dienst zeichnet jeden Schritt eines Ablaufs auf.",
        "サービスはワークフローのすべてのステップをイベント履歴に記録します。",
        "Служба записывает каждый шаг рабочего процесса в историю событий.",
        "fn main() { let total: u64 = items.iter().map(|item| item.price).sum(); }",
    ] {
        let (high, true_count) = (estimate.count(text), exact.count(text));
        assert!(
            true_count <= high && high <= true_count * 7,
            "{true_count} {high} {text}"
        );
    }
}

#[test]
fn a_tokenizer_json_is_read_and_its_truncation_ignored() {
    let mut tokenizer = tokenizer_from_vocabulary(&tiny()).unwrap();
    let short = tokenizers::TruncationParams {
        max_length: 3,
        ..Default::default()
    };
    tokenizer.with_truncation(Some(short)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    tokenizer.save(&path, false).unwrap();
    let counter = TokenCounter::from_tokenizer_json(&path).unwrap();
    assert_eq!(counter.count("ab ba<|end|>ż"), 7);
    fs::write(&path, "{}").unwrap();
    assert!(matches!(
        TokenCounter::from_tokenizer_json(&path),
        Err(Error::Build { .. })
    ));
    let absent = folder.path().join("absent.json");
    assert!(matches!(
        TokenCounter::from_tokenizer_json(&absent),
        Err(Error::Open { .. })
    ));
}

#[test]
fn a_tokenizer_that_cannot_tokenize_everything_is_refused() {
    let model = tokenizers::models::wordlevel::WordLevel::builder()
        .unk_token("[UNK]".to_owned())
        .build()
        .unwrap();
    assert!(matches!(
        TokenCounter::from_tokenizer(Tokenizer::new(model)),
        Err(Error::Build { .. })
    ));
}

#[test]
fn cutting_a_long_text_into_pieces_leaves_the_count_as_it_is() {
    let line = "It was the 2nd of May, nearly; don't ask why the ship's 1,024 lamps were lit.\n";
    let prose = line.repeat(3 * MAX_PIECE_BYTES / line.len());
    let words = "lamp lit ".repeat(MAX_PIECE_BYTES / 4);
    for (text, unit) in [(&prose, line), (&words, "lamp lit ")] {
        assert!(Pieces::of(text).count() > 2);
        let whole = tokenizer_from_vocabulary(&tiny())
            .unwrap()
            .encode_fast(text.as_str(), false)
            .unwrap()
            .len();
        assert_eq!(tiny_counter().count(text), whole);
        let counter = tiktoken();
        let pair = counter.count(&unit.repeat(2)) - counter.count(unit);
        let repeats = text.len() / unit.len();
        assert_eq!(counter.count(text), counter.count(unit) + pair * (repeats - 1));
    }
}

#[test]
fn a_long_text_without_a_place_to_cut_is_counted_and_does_not_hang() {
    let counter = tiktoken();
    // As one piece, so many spaces exhaust the backtracking of the encoding's regular expression.
    for (filler, bytes) in [
        (" ", 1_200_000),
        ("a", 100_000),
        ("A", 100_000),
        ("日", 100_000),
        ("\n", 100_000),
    ] {
        let text = filler.repeat(bytes / filler.len());
        let tokens = counter.count(&text);
        assert!(tokens > 0 && tokens < text.len() / 2 + 1, "{filler:?} {tokens}");
    }
}

proptest! {
    #[test]
    fn there_is_a_start_for_every_token(text in any::<String>()) {
        for counter in [tiny_counter(), tiktoken(), TokenCounter::estimate()] {
            let starts = counter.starts(&text);
            prop_assert_eq!(starts.len(), counter.count(&text));
            prop_assert!(starts.is_sorted());
            prop_assert!(starts.iter().all(|start| text.is_char_boundary(*start) && *start < text.len()));
            prop_assert!(starts.first().is_none_or(|first| *first == 0));
        }
    }

    #[test]
    fn pieces_cover_the_text(filler in "[a é\n]{1,9}", times in 0_usize..20_000) {
        let text = filler.repeat(times);
        let mut end = 0;
        for piece in Pieces::of(&text) {
            prop_assert_eq!(piece.start, end);
            prop_assert!(!piece.is_empty() && piece.len() <= MAX_PIECE_BYTES);
            prop_assert!(text.is_char_boundary(piece.end));
            end = piece.end;
        }
        prop_assert_eq!(end, text.len());
    }
}
