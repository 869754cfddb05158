//! Files made by hand, whole, cut short and hostile; the real model is read in the crate's `tests/` folder.

use proptest::prelude::*;

use super::*;

struct Builder(Vec<u8>);

impl Builder {
    fn new(version: u32, entries: u64) -> Self {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend(entries.to_le_bytes());
        Self(bytes)
    }

    fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }

    fn text(self, text: &str) -> Self {
        self.raw((text.len() as u64).to_le_bytes()).raw(text)
    }

    fn entry(self, key: &str, kind: u32) -> Self {
        self.text(key).raw(kind.to_le_bytes())
    }

    fn texts(self, key: &str, texts: &[&str]) -> Self {
        let head = self
            .entry(key, 9)
            .raw(8_u32.to_le_bytes())
            .raw((texts.len() as u64).to_le_bytes());
        texts.iter().fold(head, |builder, text| builder.text(text))
    }

    fn parse(&self) -> Result<Metadata, Error> {
        parse(self.0.as_slice(), self.0.len() as u64)
    }
}

fn whole() -> Builder {
    Builder::new(3, 11)
        .entry("llama.context_length", 4)
        .raw(8192_u32.to_le_bytes())
        .entry("general.architecture", 8)
        .text("llama")
        .entry("general.name", 8)
        .text("Tiny")
        .entry("some.nested", 9)
        .raw(9_u32.to_le_bytes())
        .raw(1_u64.to_le_bytes())
        .raw(0_u32.to_le_bytes())
        .raw(3_u64.to_le_bytes())
        .raw([1, 2, 3])
        .entry("some.float", 12)
        .raw(1.5_f64.to_le_bytes())
        .entry("tokenizer.ggml.model", 8)
        .text("gpt2")
        .texts("tokenizer.ggml.tokens", &["<s>", "a"])
        .entry("tokenizer.ggml.token_type", 9)
        .raw(5_u32.to_le_bytes())
        .raw(2_u64.to_le_bytes())
        .raw(3_i32.to_le_bytes())
        .raw(1_i32.to_le_bytes())
        .entry("tokenizer.ggml.bos_token_id", 4)
        .raw(1_u32.to_le_bytes())
        .entry("tokenizer.ggml.add_bos_token", 7)
        .raw([1])
        .texts("tokenizer.ggml.unknown_list", &["skipped", ""])
}

#[test]
fn the_entries_that_matter_are_read_and_the_others_skipped() {
    let got = whole().parse().unwrap();
    assert_eq!(
        (got.version, got.architecture.as_str(), got.context_length),
        (3, "llama", Some(8192))
    );
    assert_eq!((got.name.as_deref(), got.chat_template), (Some("Tiny"), None));
    let vocabulary = got.vocabulary.unwrap();
    assert_eq!(vocabulary.tokens, ["<s>", "a"]);
    assert_eq!(vocabulary.kinds, [TokenKind::Control, TokenKind::Normal]);
    assert_eq!((vocabulary.special.bos, vocabulary.special.eos), (Some(1), None));
    assert_eq!(
        (vocabulary.add_bos, vocabulary.add_space_prefix),
        (Some(true), None)
    );
}

#[test]
fn a_file_cut_anywhere_is_truncated_and_never_half_read() {
    let whole = whole().0;
    for cut in 4..whole.len() {
        let got = parse(&whole[..cut], cut as u64);
        assert!(
            matches!(got, Err(Error::Truncated { .. })),
            "cut at {cut}: {got:?}"
        );
        // A file that shrinks while it is read, or lies about its length.
        let got = parse(&whole[..cut], whole.len() as u64);
        assert!(
            matches!(got, Err(Error::Truncated { .. })),
            "lied at {cut}: {got:?}"
        );
    }
}

#[test]
fn other_files_and_versions_are_named() {
    assert!(matches!(parse(&b"PK\x03\x04...."[..], 8), Err(Error::NotGguf)));
    for version in [1, 4, 3_u32.swap_bytes()] {
        let got = Builder::new(version, 0).parse();
        assert!(matches!(got, Err(Error::Version { version: v }) if v == version));
    }
    assert!(
        matches!(Builder::new(2, 0).parse(), Err(Error::Missing { key }) if key == "general.architecture")
    );
}

#[test]
fn announced_sizes_are_refused_before_anything_is_allocated() {
    let huge = u64::MAX.to_le_bytes();
    let many = Builder::new(3, u64::MAX).parse();
    assert!(
        matches!(
            many,
            Err(Error::TooLarge {
                limit: MAX_ENTRIES,
                ..
            })
        ),
        "{many:?}"
    );
    let long = Builder::new(3, 1).raw(huge).parse();
    assert!(
        matches!(
            long,
            Err(Error::TooLarge {
                limit: MAX_STRING_BYTES,
                ..
            })
        ),
        "{long:?}"
    );
    let array = Builder::new(3, 1)
        .entry("tokenizer.ggml.tokens", 9)
        .raw(8_u32.to_le_bytes())
        .raw(huge)
        .parse();
    assert!(
        matches!(
            array,
            Err(Error::TooLarge {
                limit: MAX_ARRAY_LEN,
                ..
            })
        ),
        "{array:?}"
    );
    let empty = Builder::new(3, 1)
        .entry("tokenizer.ggml.tokens", 9)
        .raw(8_u32.to_le_bytes())
        .raw(MAX_ARRAY_LEN.to_le_bytes())
        .parse();
    assert!(
        matches!(empty, Err(Error::Truncated { what: "an array", .. })),
        "{empty:?}"
    );
}

#[test]
fn nested_arrays_end_in_an_error_and_not_in_a_deep_stack() {
    let deep = (0..1000).fold(Builder::new(3, 1).entry("x", 9), |builder, _| {
        builder.raw(9_u32.to_le_bytes()).raw(1_u64.to_le_bytes())
    });
    assert!(matches!(
        deep.raw([0; 64]).parse(),
        Err(Error::Malformed {
            what: "arrays nested too deep",
            ..
        })
    ));
}

proptest! {
    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let got = Builder::new(3, 4).raw(&bytes).parse();
        prop_assert!(got.is_err());
    }

    #[test]
    fn no_single_wrong_byte_panics(at in 0_usize..500, byte in any::<u8>()) {
        let mut bytes = whole().0;
        let at = at % bytes.len();
        bytes[at] = byte;
        let length = bytes.len() as u64;
        if let Ok(metadata) = parse(bytes.as_slice(), length) {
            prop_assert!(metadata.vocabulary.is_none_or(|vocabulary| vocabulary.tokens.len() <= 2));
        }
    }
}
