//! Section files: words with a version and a checksum.
//!
//! `tidelock`, then version, number of words, words (8 bytes each, little-endian), and BLAKE3 of all that.

use zerocopy::IntoBytes;

const MAGIC: [u8; 8] = *b"tidelock";
const VERSION: u64 = 1;
const HEADER_BYTES: usize = 24;
const HASH_BYTES: usize = 32;

/// Why bytes are no section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SectionError {
    /// Other bytes at the start.
    #[error("it is no state of a run")]
    Foreign,
    /// Another version.
    #[error("it has version {found}, this program reads version {VERSION}")]
    Version {
        /// What was found.
        found: u64,
    },
    /// Cut off, or too long.
    #[error("it has {found} bytes, its header says {expected}")]
    Length {
        /// What was found.
        found: usize,
        /// What the header says.
        expected: u64,
    },
    /// Changed.
    #[error("its content is not what was written: BLAKE3 {found} instead of {expected}")]
    Hash {
        /// Hash of the content.
        found: String,
        /// Hash behind the content.
        expected: String,
    },
}

/// The file with `words`, and the hash at its end.
pub(super) fn encode(words: &[u64]) -> (Vec<u8>, blake3::Hash) {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 8 * words.len() + HASH_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((words.len() as u64).to_le_bytes());
    if cfg!(target_endian = "little") {
        bytes.extend(words.as_bytes());
    } else {
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    (bytes, hash)
}

/// Reads what [`encode`] wrote: the words, and their hash.
pub(super) fn decode(bytes: &[u8]) -> Result<(Vec<u64>, blake3::Hash), SectionError> {
    let found = bytes.len();
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or(SectionError::Foreign)?;
    let [magic, version, count] = header.as_chunks::<8>().0 else { unreachable!("a header has three words") };
    if *magic != MAGIC {
        return Err(SectionError::Foreign);
    }
    let (version, count) = (u64::from_le_bytes(*version), u64::from_le_bytes(*count));
    if version != VERSION {
        return Err(SectionError::Version { found: version });
    }
    let expected = count.saturating_mul(8).saturating_add((HEADER_BYTES + HASH_BYTES) as u64);
    if found as u64 != expected {
        return Err(SectionError::Length { found, expected });
    }
    let (content, written) = rest.split_at(rest.len() - HASH_BYTES);
    let written = blake3::Hash::from_slice(written).expect("a hash has 32 bytes");
    let hash = blake3::hash(&bytes[..found - HASH_BYTES]);
    if hash != written {
        return Err(SectionError::Hash { found: short(&hash), expected: short(&written) });
    }
    Ok((content.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect(), hash))
}

/// The first digits of a hash, for people.
pub(super) fn short(hash: &blake3::Hash) -> String {
    hash.to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_cut_file_is_no_section() {
        let words = [0, 1, u64::MAX, 0x0123_4567_89ab_cdef];
        let (bytes, hash) = encode(&words);
        assert_eq!(decode(&bytes), Ok((words.to_vec(), hash)));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = decode(&bytes).unwrap_err();
            let expected = match bit / 8 {
                0..8 => matches!(error, SectionError::Foreign),
                8..16 => matches!(error, SectionError::Version { .. }),
                16..24 => matches!(error, SectionError::Length { .. }),
                _ => matches!(error, SectionError::Hash { .. }),
            };
            assert!(expected, "bit {bit}: {error}");
        }
    }
}
