//! The invariants of chunks for any text, and where prose is cut.

use proptest::prelude::*;

use super::*;

fn estimate() -> TokenCounter {
    TokenCounter::estimate()
}

fn tiktoken() -> TokenCounter {
    TokenCounter::from_encoding("o200k_base".parse().unwrap()).unwrap()
}

fn limits(max_tokens: usize, overlap_tokens: usize) -> Limits {
    Limits {
        max_tokens,
        overlap_tokens,
    }
}

fn parts<'a>(text: &'a str, counter: &TokenCounter, limits: Limits) -> Vec<&'a str> {
    split(text, counter, limits)
        .unwrap()
        .into_iter()
        .map(|chunk| &text[chunk.range])
        .collect()
}

#[test]
fn a_text_that_fits_is_one_chunk_without_the_white_space_around_it() {
    let chunks = split("\n  Hello there.  \n", &tiktoken(), limits(16, 4)).unwrap();
    assert_eq!(
        chunks,
        [Chunk {
            range: 3..15,
            tokens: 3
        }]
    );
    assert!(split(" \n\t", &tiktoken(), limits(16, 0)).unwrap().is_empty());
}

#[test]
fn paragraphs_are_preferred_to_sentences_and_sentences_to_words() {
    let first = "One two three four five six seven eight nine ten.";
    let second = "Eleven twelve thirteen. Fourteen fifteen sixteen seventeen eighteen nineteen twenty.";
    let text = format!("{first}\n\n{second}");
    assert_eq!(parts(&text, &tiktoken(), limits(18, 0))[0], first);
    let sentences =
        "Rain fell all day on the old town. Then the sun came out. Nobody in the street had an umbrella.";
    assert_eq!(
        parts(sentences, &tiktoken(), limits(18, 0))[0],
        "Rain fell all day on the old town. Then the sun came out."
    );
    let words =
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau";
    for part in parts(words, &tiktoken(), limits(16, 0)) {
        assert!(
            part.split(' ')
                .all(|word| words.split(' ').any(|whole| whole == word)),
            "{part}"
        );
    }
}

#[test]
fn a_list_is_cut_between_its_lines() {
    let list = (1..40)
        .map(|n| format!("- item number {n}"))
        .collect::<Vec<_>>()
        .join("\n");
    for part in parts(&list, &tiktoken(), limits(20, 0)) {
        assert!(
            part.lines().all(|line| line.starts_with("- item number ")),
            "{part}"
        );
    }
}

#[test]
fn the_next_chunk_repeats_the_end_of_the_one_before() {
    let text = "The quick brown fox jumps over the lazy dog near the river bank. ".repeat(12);
    let chunks = split(&text, &tiktoken(), limits(40, 12)).unwrap();
    assert!(chunks.len() > 3);
    for pair in chunks.windows(2) {
        let repeated = pair[1].range.start..pair[0].range.end;
        assert!(!repeated.is_empty());
        assert!(tiktoken().count(&text[repeated]) <= 12);
        assert!(text[..pair[1].range.start].ends_with(' '));
    }
}

#[test]
fn a_text_without_any_boundary_is_still_cut_on_characters() {
    for (text, counter) in [
        ("x".repeat(5000), tiktoken()),
        ("ż".repeat(5000), estimate()),
        ("日".repeat(900), tiktoken()),
    ] {
        let chunks = split(&text, &counter, limits(64, 8)).unwrap();
        assert!(chunks.len() > 1);
        assert!(chunks.iter().all(|chunk| chunk.tokens <= 64));
    }
}

#[test]
fn impossible_limits_are_refused() {
    let refused = |given| split("text", &estimate(), given).unwrap_err();
    assert_eq!(refused(limits(15, 0)), Error::MaxTooSmall { max_tokens: 15 });
    assert_eq!(
        refused(limits(16, 16)),
        Error::OverlapTooLarge {
            overlap_tokens: 16,
            max_tokens: 16
        }
    );
}

#[test]
fn a_megabyte_is_chunked_in_about_three_passes() {
    let text =
        "Every step of a workflow is recorded, so nothing that finished is done again. ".repeat(14_000);
    let chunks = split(&text, &estimate(), limits(1000, 100)).unwrap();
    assert_holds(&text, &estimate(), limits(1000, 100), &chunks);
    let full = chunks.iter().filter(|chunk| chunk.tokens > 500).count();
    assert!(full + 1 >= chunks.len());
}

fn assert_holds(text: &str, counter: &TokenCounter, limits: Limits, chunks: &[Chunk]) {
    let mut covered = 0;
    let mut start = None;
    for chunk in chunks {
        let range = chunk.range.clone();
        assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
        assert!(start.is_none_or(|start| start < range.start) && covered < range.end);
        start = Some(range.start);
        if range.start > covered {
            assert!(
                text[covered..range.start].trim().is_empty(),
                "a gap with text in it"
            );
        } else if covered > 0 {
            assert!(counter.count(&text[range.start..covered]) <= limits.overlap_tokens);
        }
        covered = range.end;
        let part = &text[range];
        assert_eq!(part, part.trim());
        assert_eq!(chunk.tokens, counter.count(part));
        assert!(chunk.tokens <= limits.max_tokens && chunk.tokens > 0);
    }
    assert!(text[covered..].trim().is_empty(), "the end is missing");
}

proptest! {
    #[test]
    fn chunks_of_any_text_cover_it_in_order_within_the_limit(
        text in any::<String>(), max in 16_usize..40, overlap in 0_usize..16
    ) {
        for counter in [estimate(), tiktoken()] {
            let chunks = split(&text, &counter, limits(max, overlap)).unwrap();
            assert_holds(&text, &counter, limits(max, overlap), &chunks);
        }
    }

    #[test]
    fn chunks_of_prose_like_text_cover_it_in_order_within_the_limit(
        text in "([a-zż]{1,9}[,.!?]?( |\n|\n\n|  |日本|👩\u{200D}👧|\u{301}|[0-9]{1,30})){0,120}",
        max in 16_usize..80, overlap in 0_usize..16
    ) {
        for counter in [estimate(), tiktoken()] {
            let chunks = split(&text, &counter, limits(max, overlap)).unwrap();
            assert_holds(&text, &counter, limits(max, overlap), &chunks);
        }
    }
}
