//! Trims a text while it comes.
//!
//! An answer is given without white space at its ends, and who reads along must come to the same bytes. White space at the
//! beginning is left out, and white space that may be the end is held back until something follows it.

/// A text that is trimmed piece by piece.
#[derive(Debug, Default)]
pub(super) struct Trim {
    begun: bool,
    held: String,
}

impl Trim {
    /// Takes a piece and appends to `text` what is sure to be part of the trimmed whole.
    pub(super) fn push(&mut self, piece: &str, text: &mut String) {
        let piece = if self.begun { piece } else { piece.trim_start() };
        let body = piece.trim_end();
        if !body.is_empty() {
            self.begun = true;
            text.push_str(&self.held);
            text.push_str(body);
            self.held.clear();
        }
        if self.begun {
            self.held.push_str(&piece[body.len()..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(pieces: &[&str]) -> String {
        let (mut trim, mut text) = (Trim::default(), String::new());
        for piece in pieces {
            trim.push(piece, &mut text);
        }
        text
    }

    #[test]
    fn however_a_text_is_cut_what_comes_out_is_the_trimmed_whole() {
        for whole in [
            " \n a  b\u{a0}\n c \t\n",
            "   ",
            "",
            "x",
            "\u{3000}ä ö\u{2028}",
            "a\n\n",
        ] {
            let characters: Vec<String> = whole.chars().map(String::from).collect();
            let single: Vec<&str> = characters.iter().map(String::as_str).collect();
            for step in 1..=single.len().max(1) {
                let pieces: Vec<String> = single.chunks(step).map(<[&str]>::concat).collect();
                let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
                assert_eq!(trimmed(&pieces), whole.trim(), "{pieces:?}");
            }
        }
    }

    #[test]
    fn white_space_is_held_back_until_something_follows() {
        let (mut trim, mut text) = (Trim::default(), String::new());
        for (piece, so_far) in [
            ("  ", ""),
            (" a ", "a"),
            ("\n", "a"),
            ("b", "a \nb"),
            (" ", "a \nb"),
        ] {
            trim.push(piece, &mut text);
            assert_eq!(text, so_far);
        }
    }
}
