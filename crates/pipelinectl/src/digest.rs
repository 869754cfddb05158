//! Hashes as references and streams spell them.

use std::fmt::Write as _;

/// Writes bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}
