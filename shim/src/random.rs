//! The random bytes of a node: a stream per purpose, that the seed and the node's name determine.

use sim_core::mix;
use sim_core::random::philox4x32_10;

/// What random bytes are for. A stream each, so that a program that draws more for one purpose changes no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The 16 bytes that the kernel hands to a fresh image.
    Image,
    /// `getrandom`, and the files that are random.
    Program,
    /// Identifiers, as `/proc/sys/kernel/random/uuid` shows.
    Identifier,
}

/// An endless run of random bytes.
#[derive(Clone, Debug)]
pub(crate) struct RandomStream {
    key: u64,
    purpose: Purpose,
    position: u64,
}

impl RandomStream {
    pub(crate) fn new(seed: u64, node: &str, purpose: Purpose) -> Self {
        Self { key: mix::mix64(mix::fnv(node) ^ mix::mix64(seed)), purpose, position: 0 }
    }

    /// Fills `bytes` with what comes next.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        let key = [self.key as u32, (self.key >> 32) as u32];
        for chunk in bytes.chunks_mut(16) {
            let counter = [self.position as u32, (self.position >> 32) as u32, self.purpose as u32, 0];
            let block = philox4x32_10(counter, key).map(u32::to_le_bytes);
            chunk.copy_from_slice(&block.as_flattened()[..chunk.len()]);
            self.position += 1;
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random identifier in its usual form (RFC 9562, version 4).
    pub(crate) fn identifier(&mut self) -> String {
        let mut b: [u8; 16] = self.array();
        b[6] = b[6] & 0x0F | 0x40;
        b[8] = b[8] & 0x3F | 0x80;
        let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}\n", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// A number that is another one every time: what tests have in place of an order that they switch off.
pub(crate) fn host_random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_those_of_seed_node_and_purpose() {
        let bytes = |seed, node, purpose| RandomStream::new(seed, node, purpose).array::<32>();
        let first = bytes(1, "a", Purpose::Program);
        assert_eq!(first, bytes(1, "a", Purpose::Program));
        for other in [(2, "a", Purpose::Program), (1, "b", Purpose::Program), (1, "a", Purpose::Image)] {
            assert_ne!(first, bytes(other.0, other.1, other.2));
        }
    }

    #[test]
    fn identifiers_have_their_form() {
        let text = RandomStream::new(1, "a", Purpose::Identifier).identifier();
        assert_eq!(text.len(), 37);
        assert_eq!(&text[14..15], "4");
    }
}
