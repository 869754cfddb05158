//! The count for models whose tokenizer is not at hand.
//!
//! Sixths of a token keep it in integers: an ASCII byte weighs two, any other byte four. A plain "bytes by four"
//! would be right for English and half of the truth for Polish or Chinese.

const TOKEN: usize = 6;
const ASCII_BYTE: usize = 2;
const OTHER_BYTE: usize = 4;

pub(super) fn count(text: &str) -> usize {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    (ascii * ASCII_BYTE + (text.len() - ascii) * OTHER_BYTE).div_ceil(TOKEN)
}

/// Gives each estimated token the character in which it begins.
pub(super) fn starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::with_capacity(text.len() / 3 + 1);
    let mut weight = 0;
    for (at, c) in text.char_indices() {
        weight += if c.is_ascii() {
            ASCII_BYTE
        } else {
            c.len_utf8() * OTHER_BYTE
        };
        while starts.len() * TOKEN < weight {
            starts.push(at);
        }
    }
    starts
}
