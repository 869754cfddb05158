//! The text of an answer as it grows out of tokens.
//!
//! A token is bytes, not characters: one emoji can take four tokens, and a stop text can begin in one token and end
//! in another. So bytes are collected, whole characters move on to the text, and stop texts are looked for in the
//! text and never in a token.

/// A growing answer.
pub(crate) struct Answer<'a> {
    text: String,
    /// The beginning of a character whose end has not come yet.
    partial: Vec<u8>,
    stops: &'a [String],
    longest_stop: usize,
}

impl<'a> Answer<'a> {
    /// Begins an answer that ends before the first of these texts.
    pub(crate) fn new(stops: &'a [String]) -> Self {
        Self {
            text: String::new(),
            partial: Vec::new(),
            stops,
            longest_stop: stops.iter().map(String::len).max().unwrap_or(0),
        }
    }

    /// Adds the bytes of one token; says whether a stop text ended the answer.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let before = self.text.len();
        self.partial.extend_from_slice(bytes);
        self.take_characters();
        let from = before.saturating_sub(self.longest_stop.saturating_sub(1));
        let from = self.text.floor_char_boundary(from);
        let earliest = self
            .stops
            .iter()
            .filter_map(|stop| self.text[from..].find(stop.as_str()))
            .min();
        if let Some(at) = earliest {
            self.text.truncate(from + at);
        }
        earliest.is_some()
    }

    /// Gives the bytes of whole characters so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Gives the text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Gives the bytes of the text that no stop text can take back any more: its end may be the beginning of one.
    pub(crate) fn settled(&self) -> usize {
        let open = |stop: &String| {
            let beginnings = stop.char_indices().map(|(end, _)| &stop[..end]).rev();
            let found = beginnings
                .into_iter()
                .find(|beginning| self.text.ends_with(beginning));
            found.map_or(0, str::len)
        };
        self.text.len() - self.stops.iter().map(open).max().unwrap_or(0)
    }

    /// Gives the text; a character that was cut in the middle is left out.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn take_characters(&mut self) {
        loop {
            let error = match str::from_utf8(&self.partial) {
                Ok(whole) => {
                    self.text.push_str(whole);
                    self.partial.clear();
                    return;
                }
                Err(error) => error,
            };
            let whole = error.valid_up_to();
            self.text
                .push_str(str::from_utf8(&self.partial[..whole]).unwrap_or_default());
            let Some(wrong) = error.error_len() else {
                self.partial.drain(..whole);
                return;
            };
            self.text.push(char::REPLACEMENT_CHARACTER);
            self.partial.drain(..whole + wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop};
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::Answer;

    fn fed(stops: &[String], pieces: &[&[u8]]) -> (String, bool) {
        let mut answer = Answer::new(stops);
        let stopped = pieces.iter().any(|piece| answer.push(piece));
        (answer.into_text(), stopped)
    }

    #[test]
    fn a_character_of_several_tokens_appears_when_it_is_whole() {
        let mut answer = Answer::new(&[]);
        let smile = "😀".as_bytes();
        answer.push(&smile[..1]);
        answer.push(&smile[1..3]);
        assert_eq!(answer.len(), 0);
        answer.push(&smile[3..]);
        assert_eq!(answer.into_text(), "😀");
    }

    #[test]
    fn a_character_cut_by_the_end_is_left_out_and_a_wrong_byte_is_marked() {
        assert_eq!(fed(&[], &[b"ab\xe2\x82"]).0, "ab");
        assert_eq!(fed(&[], &[b"a\xffb", b"\xe2\x82", b"c"]).0, "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn a_stop_text_across_tokens_ends_the_answer_before_it() {
        let stops = ["END".to_owned(), "\n\n".to_owned()];
        assert_eq!(
            fed(&stops, &[b"one E", b"N", b"D two"]),
            ("one ".to_owned(), true)
        );
        assert_eq!(
            fed(&stops, &[b"one EN", b" two"]),
            ("one EN two".to_owned(), false)
        );
        assert_eq!(fed(&stops, &[b"a\n", b"\nEND"]), ("a".to_owned(), true));
    }

    #[test]
    fn the_earliest_of_several_stop_texts_counts() {
        let stops = ["later".to_owned(), "soon".to_owned()];
        assert_eq!(fed(&stops, &[b"x soon later"]).0, "x ");
    }

    #[test]
    fn what_may_be_the_beginning_of_a_stop_text_is_not_settled() {
        let stops = ["END".to_owned(), "\u{e9}\u{e9}".to_owned()];
        let mut answer = Answer::new(&stops);
        for (bytes, settled) in [
            (&b"one E"[..], 4),
            (b"N", 4),
            (b" two", 10),
            ("\u{e9}".as_bytes(), 10),
            (b"x", 13),
        ] {
            assert!(!answer.push(bytes));
            assert_eq!(answer.settled(), settled);
        }
        assert_eq!(Answer::new(&[]).settled(), 0);
    }

    proptest! {
        #[test]
        fn what_is_settled_is_never_taken_back(text in "[aSTOP ]{0,40}", size in 1_usize..4) {
            let stops = ["STOP".to_owned(), "TO".to_owned(), "PP".to_owned()];
            let mut answer = Answer::new(&stops);
            let mut told = String::new();
            for piece in text.as_bytes().chunks(size) {
                let stopped = answer.push(piece);
                prop_assert!(answer.text().starts_with(&told));
                let settled = answer.settled();
                if settled > told.len() {
                    told.push_str(&answer.text()[told.len()..settled]);
                }
                if stopped {
                    break;
                }
            }
            prop_assert!(answer.into_text().starts_with(&told));
        }

        #[test]
        fn any_cut_into_tokens_gives_the_same_text(text in any::<String>(), size in 1_usize..7) {
            let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(fed(&[], &pieces).0, text);
        }

        #[test]
        fn any_cut_of_any_bytes_is_what_the_whole_would_be(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            size in 1_usize..7,
        ) {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            prop_assert_eq!(fed(&[], &pieces).0, fed(&[], &[&bytes]).0);
        }
    }
}
