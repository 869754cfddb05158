//! Keeps text of prompts and keys out of what a provider's error says.
//!
//! A provider's own words are the best hint there is, so they are kept, cut short. But some servers quote the
//! request in them: a gateway repeats the key it refused, a schema check repeats the whole body. Trusting providers
//! one by one would need a list that is never complete; so any text is left out that shares a passage with what was
//! sent.

use crate::provider::{MAX_MESSAGE_CHARS, Message};

/// Every passage of twice this many bytes that error and prompt share is found.
const PASSAGE_BYTES: usize = 16;
/// A prompt shorter than this is not looked for as a whole: it would be found by chance.
const SHORTEST_PROMPT_BYTES: usize = 8;
/// A key is recognised by this many characters of it in a row.
const KEY_CHARS: usize = 8;

/// What must not be repeated.
#[derive(Clone, Copy)]
pub(crate) struct Confidential<'a> {
    pub(crate) messages: &'a [Message],
    pub(crate) key: Option<&'a str>,
}

impl Confidential<'_> {
    /// Gives `text` cut to its limit and on one line, or a note in its place where it quotes what was sent.
    pub(crate) fn clean(&self, text: &str) -> String {
        let text: String = text
            .chars()
            .take(MAX_MESSAGE_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if self.is_quoted_in(&text) {
            return "(the provider's text quotes the request and is left out)".to_owned();
        }
        text.trim().to_owned()
    }

    fn is_quoted_in(&self, text: &str) -> bool {
        let key_is_quoted = self.key.is_some_and(|key| {
            let characters: Vec<char> = key.chars().collect();
            text.contains(key)
                || characters
                    .windows(KEY_CHARS)
                    .any(|window| text.contains(&window.iter().collect::<String>()))
        });
        key_is_quoted
            || self
                .messages
                .iter()
                .any(|message| shares_a_passage(text, &message.content))
    }
}

fn shares_a_passage(text: &str, prompt: &str) -> bool {
    let prompt = prompt.trim();
    if prompt.len() >= SHORTEST_PROMPT_BYTES && text.contains(prompt) {
        return true;
    }
    // A passage of twice the length holds a whole aligned piece, wherever it begins.
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks_exact(PASSAGE_BYTES)
        .any(|piece| prompt.contains(&piece.iter().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::Confidential;
    use crate::provider::{MAX_MESSAGE_CHARS, Message, Role};

    fn clean(prompt: &str, key: Option<&str>, text: &str) -> String {
        let messages = [Message {
            role: Role::User,
            content: prompt.to_owned(),
        }];
        Confidential {
            messages: &messages,
            key,
        }
        .clean(text)
    }

    #[test]
    fn a_providers_own_words_are_kept_and_cut() {
        assert_eq!(clean("tell me", None, " too\nlong "), "too long");
        let long = "\u{e9}".repeat(MAX_MESSAGE_CHARS * 2);
        assert_eq!(clean("tell me", None, &long).chars().count(), MAX_MESSAGE_CHARS);
    }

    #[test]
    fn words_that_quote_the_prompt_are_left_out() {
        let prompt = "The patient, Ms Jane Example, was seen on the third of May with complaints.";
        for text in [
            format!("bad input: {prompt}"),
            "xyz Jane Example, was seen on the third of".to_owned(),
        ] {
            assert!(!clean(prompt, None, &text).contains("Jane"), "{text}");
        }
        assert!(!clean("Jane Doe 7", None, "cannot read 'Jane Doe 7'").contains("Jane"));
    }

    #[test]
    fn words_that_quote_any_part_of_the_key_are_left_out() {
        let key = Some("sk-0123456789abcdef");
        for text in [
            "wrong key sk-0123456789abcdef",
            "wrong key ...89abcdef",
            "key sk-01234...",
        ] {
            assert!(
                clean("hello", key, text).starts_with("(the provider's text"),
                "{text}"
            );
        }
        assert!(clean("hello", Some("k1"), "wrong key k1").starts_with('('));
    }
}
