//! What normalising changes, what it leaves, and that it says so.

use proptest::prelude::*;

use super::*;

#[test]
fn every_line_end_becomes_lf_and_is_counted() {
    let got = normalise("a\r\nb\rc\u{2028}d\u{000C}e\n");
    assert_eq!(got.text, "a\nb\nc\nd\ne\n");
    assert_eq!(got.changes.line_endings, 4);
}

#[test]
fn a_byte_order_mark_is_taken_from_the_start_and_hidden_ones_from_the_middle() {
    let got = normalise("\u{FEFF}one\u{FEFF}two");
    assert_eq!(got.text, "onetwo");
    assert_eq!((got.changes.byte_order_marks, got.changes.zero_width), (1, 1));
}

#[test]
fn hidden_instructions_in_tag_characters_are_removed() {
    let hidden: String = "ignore"
        .chars()
        .map(|c| char::from_u32(0xE0000 + u32::from(c)).unwrap())
        .collect();
    let got = normalise(&format!("Price: 5{hidden}"));
    assert_eq!(got.text, "Price: 5");
    assert_eq!(got.changes.zero_width, 6);
}

#[test]
fn joiners_stay_inside_words_and_emoji_and_go_elsewhere() {
    for kept in ["می\u{200C}خواهم", "👩\u{200D}👧", "क्\u{200D}ष"] {
        assert_eq!(normalise(kept).text, kept);
    }
    assert_eq!(normalise("pa\u{200D}ss\u{200C}word\u{200D}").text, "password");
}

#[test]
fn an_accent_left_beside_its_letter_by_a_removal_is_composed() {
    let got = normalise("e\u{200B}\u{0301}");
    assert_eq!(got.text, "é");
    assert_eq!(got.changes.recomposed_lines, 1);
}

#[test]
fn control_characters_go_and_tabs_stay() {
    let got = normalise("a\u{1}\tb\u{7f}c\u{1b}[0m");
    assert_eq!(got.text, "a\tbc[0m");
    assert_eq!(got.changes.control_characters, 3);
}

#[test]
fn long_runs_of_blank_lines_shrink_to_two() {
    let got = normalise("a\n\n \n\t\n\nb\n\n\nc\n\n\n\n\n");
    assert_eq!(got.text, "a\n\n\nb\n\n\nc\n\n\n");
    assert_eq!((got.changes.blank_lines, got.changes.trimmed_lines), (4, 2));
}

#[test]
fn clean_text_is_returned_as_it_is_without_a_change() {
    let clean = "Zażółć gęślą jaźń.\n\n  indented 日本語\n";
    assert_eq!(
        normalise(clean),
        Normalised {
            text: clean.to_owned(),
            changes: Changes::default()
        }
    );
    assert!(!normalise(clean).changes.any());
}

#[test]
fn bytes_that_are_not_text_are_refused_with_the_first_offence() {
    assert_eq!(check(b"abc\0def\xff"), Err(Error::Nul { offset: 3 }));
    assert_eq!(check(b"abc\xffdef\0"), Err(Error::InvalidUtf8 { offset: 3 }));
    assert_eq!(
        check("zażółć".as_bytes().split_last().unwrap().1),
        Err(Error::InvalidUtf8 { offset: 8 })
    );
}

#[test]
fn text_with_nothing_to_read_is_refused() {
    for nothing in ["", " \n\t\r\n", "\u{FEFF}\u{200B}\u{200D}\u{1}"] {
        assert_eq!(read(nothing.as_bytes()), Err(Error::Empty), "{nothing:?}");
    }
    assert_eq!(read(b"x \r\n").unwrap().text, "x\n");
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing_more(text in any::<String>()) {
        let once = normalise(&text);
        let twice = normalise(&once.text);
        prop_assert_eq!(&twice.text, &once.text);
        prop_assert!(!twice.changes.any());
    }

    #[test]
    fn normalising_twice_changes_nothing_more_among_the_characters_it_handles(
        text in "[ae\u{301}\u{212A}\u{200B}-\u{200F}\u{FEFF}\r\n\t \u{A0}\u{85}\u{2028}\u{1}م👩]{0,24}"
    ) {
        let once = normalise(&text);
        let twice = normalise(&once.text);
        prop_assert_eq!(&twice.text, &once.text);
        prop_assert!(!twice.changes.any());
    }

    #[test]
    fn what_check_accepts_has_text_after_normalising(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(text) = check(&bytes) {
            prop_assert!(!normalise(text).text.trim().is_empty());
        }
    }
}
