//! What binds a key to one request, and an answer to the attempt that earned it.
//!
//! The request itself is not stored: it is a prompt, and the journal needs only to notice that it changed. An
//! answer is stored with a checksum, because SQLite finds a torn write but not a flipped bit, and a damaged
//! answer that is replayed would be taken for what the model said.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{EffectKey, Spend};

/// The SHA-256 of the canonical request, shown in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestDigest([u8; 32]);

impl RequestDigest {
    /// Digests the canonical bytes of a request; the caller decides what canonical is.
    pub fn of(canonical_request: &[u8]) -> Self {
        Self(Sha256::digest(canonical_request).into())
    }

    /// Takes a digest that was computed elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for RequestDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Computes the checksum that is stored beside an answer; it covers whose answer it is and what it cost.
pub(crate) fn answer_checksum(key: &EffectKey, fence: u32, spend: &Spend, response: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    if spend.cache_write_input_tokens > 0 {
        // Answers from before this was counted keep their checksums; no key is as long as this mark.
        hash.update(usize::MAX.to_be_bytes());
        hash.update(spend.cache_write_input_tokens.to_be_bytes());
    }
    hash.update(key.as_str().len().to_be_bytes());
    hash.update(key.as_str());
    hash.update(fence.to_be_bytes());
    for tokens in [
        spend.input_tokens,
        spend.cached_input_tokens,
        spend.output_tokens,
        spend.reasoning_tokens,
    ] {
        hash.update(tokens.to_be_bytes());
    }
    hash.update(spend.cost_micros.to_be_bytes());
    hash.update(response);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_shows_as_the_hex_that_other_tools_print() {
        assert_eq!(
            RequestDigest::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_checksum_covers_answer_owner_and_cost() {
        let key = EffectKey::new("n", "w", "r", "s").unwrap();
        let other = EffectKey::new("n", "w", "r", "t").unwrap();
        let spend = Spend {
            cost_micros: 5,
            ..Spend::default()
        };
        let whole = answer_checksum(&key, 1, &spend, b"answer");
        assert_eq!(whole, answer_checksum(&key, 1, &spend, b"answer"));
        assert_ne!(whole, answer_checksum(&other, 1, &spend, b"answer"));
        assert_ne!(whole, answer_checksum(&key, 2, &spend, b"answer"));
        assert_ne!(whole, answer_checksum(&key, 1, &Spend::default(), b"answer"));
        assert_ne!(whole, answer_checksum(&key, 1, &spend, b"Answer"));
        let cached = Spend {
            cache_write_input_tokens: 1,
            ..spend
        };
        assert_ne!(whole, answer_checksum(&key, 1, &cached, b"answer"));
    }
}
