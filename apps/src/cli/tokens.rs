//! Tokens in files: a run of values of `token_bits` bits each, little-endian, as the processor keeps them in memory.
//!
//! A token of s bytes takes s bytes of the file, without the padding that fills its last 64-bit word on the machine; a token
//! of a size that is no whole number of bytes takes its words whole.

use sim_core::Channel;
use std::fmt::Write;

/// Bytes of one token in a file.
fn token_bytes(channel: &Channel) -> usize {
    let words = channel.token_words() as usize;
    // The payload of graph files fills words whole; typed tokens have whole bytes.
    if channel.tokens.bits > 0 && channel.tokens.bits.is_multiple_of(8) {
        (channel.tokens.bits / 8) as usize
    } else {
        words * 8
    }
}

/// The words of the tokens in `bytes`; `Err` is the size of a token if the last one is cut off.
pub(crate) fn from_bytes(channel: &Channel, bytes: &[u8]) -> Result<Vec<u64>, usize> {
    let size = token_bytes(channel);
    if !bytes.len().is_multiple_of(size) {
        return Err(size);
    }
    let words = channel.token_words() as usize;
    let mut list = Vec::with_capacity(bytes.len() / size * words);
    for token in bytes.chunks_exact(size) {
        list.extend(token.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        }));
    }
    Ok(list)
}

/// The bytes of tokens.
pub(crate) fn to_bytes(channel: &Channel, words: &[u64]) -> Vec<u8> {
    let size = token_bytes(channel);
    let of_token = |token: &[u64]| token.iter().flat_map(|word| word.to_le_bytes()).take(size).collect::<Vec<u8>>();
    words.chunks_exact(channel.token_words() as usize).flat_map(of_token).collect()
}

/// A line per token: its number, then its words as hexadecimal numbers.
pub(crate) fn to_csv(channel: &Channel, words: &[u64]) -> String {
    let columns = (0..channel.token_words()).map(|j| format!(",word{j}")).collect::<String>();
    let mut text = format!("token{columns}\n");
    for (n, token) in words.chunks_exact(channel.token_words() as usize).enumerate() {
        write!(text, "{n}").expect("strings take text");
        for word in token {
            write!(text, ",0x{word:016x}").expect("strings take text");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::{ActorId, ChannelTokens, InitialTokens};

    fn channel(token_bits: u64) -> Channel {
        Channel {
            name: "x".into(),
            source: ActorId(0),
            source_port: 0,
            target: ActorId(0),
            target_port: 0,
            tokens: ChannelTokens {
                produce: [1].into(),
                consume: [1].into(),
                bits: token_bits,
                initial: InitialTokens::none(),
            }
            .into(),
            place: None,
        }
    }

    /// Whatever the size of a token, its bytes come back from its words.
    #[test]
    fn bytes_survive_words() {
        for (bits, size) in [(8, 1), (32, 4), (64, 8), (72, 9), (128, 16), (1, 8), (65, 16), (0, 8)] {
            let channel = channel(bits);
            let bytes: Vec<u8> = (1..=(3 * size) as u8).collect();
            let words = from_bytes(&channel, &bytes).unwrap();
            assert_eq!(words.len(), 3 * channel.token_words() as usize, "{bits} bits");
            assert_eq!(to_bytes(&channel, &words), bytes, "{bits} bits");
            if size > 1 {
                assert_eq!(from_bytes(&channel, &bytes[1..]), Err(size), "{bits} bits");
            }
        }
    }

    #[test]
    fn a_csv_line_is_a_token() {
        assert_eq!(to_csv(&channel(32), &[1, 255]), "token,word0\n0,0x0000000000000001\n1,0x00000000000000ff\n");
    }
}
